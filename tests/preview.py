"""What is different under a preview of MicroPython (`make preview`), by the names of tests in unit/.

All of it comes from how that one was built. A test that is named here and passes fails.
"""

_NO_CCM = "it was built without AES-CCM, so that other suites are negotiated"
_NO_RAW_KEYS = "it has no raw public keys: firmware/patches has what adds them to the builds here"
_NO_IDS = "it has neither connection ids nor close_notify, as _NO_RAW_KEYS"
_NO_SAVING = "it saves no sessions, as _NO_RAW_KEYS"
_NO_MODULE = (
    "an import that runs out of memory leaves a name without a module there: firmware/patches/0007"
)
_BUFFERS = "its mbedTLS has buffers of 16 KB, so that no handshake and no record is too long"

DIFFERENT = {
    "test_dtls.test_psk": _NO_CCM,
    "test_dtls.test_suite_of_account": _NO_CCM,
    "test_dtls.test_wrong_key": _NO_CCM,
    "test_dtls.test_too_large_datagram": _BUFFERS,
    "test_dtls.test_account_without_keys": _NO_RAW_KEYS,
    "test_device_gate.test_a_session_with_ids_wherever_it_is": _NO_IDS,
    "test_dtls.test_ids": _NO_IDS,
    "test_dtls.test_new_address": _NO_IDS,
    "test_dtls.test_who_does_not_move_a_session": _NO_IDS,
    "test_dtls.test_forged_record_with_an_id_in_a_handshake": _NO_IDS,
    "test_dtls.test_client_that_begins_anew_takes_its_own_place": _NO_IDS,
    "test_dtls.test_close_notify": _NO_IDS,
    "test_dtls.test_a_session_without_an_id_keeps_its_address": _NO_IDS,
    "test_dtls.test_server_closes": _NO_IDS,
    "test_import.test_memory_that_runs_out_in_an_import_leaves_no_module": _NO_MODULE,
    "test_queue_dtls.test_certificates": _NO_SAVING,
    "test_queue_dtls.test_psk": _NO_SAVING,
    "test_queue_dtls.test_raw_public_keys": _NO_RAW_KEYS,
    "test_queue_sockets.test_cycles_with_certificates": _NO_IDS,
    "test_queue_sockets.test_cycles_with_pre_shared_keys": _NO_IDS,
    "test_queue_sockets.test_cycles_with_raw_public_keys": _NO_RAW_KEYS,
    "test_queue_sockets.test_the_server_has_restarted": _NO_IDS,
    "test_resume.test_another_account": _NO_SAVING,
    "test_resume.test_another_build_of_mbedtls": _NO_SAVING,
    "test_resume.test_each_byte_changed": _NO_SAVING,
    "test_resume.test_gcm": _NO_SAVING,
    "test_resume.test_goes_on": _NO_SAVING,
    "test_resume.test_only_once": _NO_SAVING,
    "test_resume.test_replayed_records_are_not_taken_again": _NO_SAVING,
    "test_resume.test_server_that_has_forgotten": _NO_SAVING,
    "test_resume.test_size": _NO_SAVING,
    "test_resume.test_what_a_server_sends_meanwhile_is_lost_and_nothing_else": _NO_SAVING,
    "test_resume.test_what_cannot_be_saved": _NO_SAVING,
    "test_rpk.test_an_exception_in_the_check_ends_the_session": _NO_RAW_KEYS,
    "test_rpk.test_beside_the_others_in_one_context": _NO_RAW_KEYS,
    "test_rpk.test_both_suites": _NO_RAW_KEYS,
    "test_rpk.test_each_datagram_lost_once": _NO_RAW_KEYS,
    "test_rpk.test_keys_that_cannot_be_read": _NO_RAW_KEYS,
    "test_rpk.test_the_handshake_on_the_wire": _NO_RAW_KEYS,
    "test_rpk.test_what_a_listener_refuses": _NO_RAW_KEYS,
    "test_rpk.test_what_the_reference_has": _NO_RAW_KEYS,
    "test_rpk.test_who_may_not": _NO_RAW_KEYS,
}
