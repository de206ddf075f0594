"""What is different under a preview of MicroPython (`make preview`), by the names of tests in unit/.

All of it comes from how that one was built. A test that is named here and passes fails.
"""

_NO_CCM = "it was built without AES-CCM, so that other suites are negotiated"
_BUFFERS = "its mbedTLS has buffers of 16 KB, so that no handshake and no record is too long"

DIFFERENT = {
    "test_dtls.test_psk": _NO_CCM,
    "test_dtls.test_suite_of_account": _NO_CCM,
    "test_dtls.test_wrong_key": _NO_CCM,
    "test_dtls.test_large_certificate": _BUFFERS,
    "test_dtls.test_too_large_datagram": _BUFFERS,
}
