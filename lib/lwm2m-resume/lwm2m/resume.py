# Sessions of DTLS that outlast sleep: saved as bytes, from which they go on without a handshake.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# Net.suspend() and Net.resume() load it for connections with DTLS.
#
# The nonces of AEAD suites are numbers of records: if two go on from the same bytes, they send
# different data under the same nonces, which is the end of all secrecy, and nothing tells. So the
# bytes are to be gone, from flash or wherever they were, before they are used, and whatever happens
# then, with them lost there is a handshake. A number stored ahead of those in use (RFC 8613 B.1.1)
# would save the nonces, too, but not what comes in: old bytes do not know which of the server's
# requests were had since, and take them again from whoever has kept them.

import tls
from hashlib import sha256
from micropython import const
from .dtls import Session

# The bytes: check value, and what tls has saved. mbedTLS hardly looks at what it loads, so the check
# value is over all of it, over the version of this, and over the account, its keys included: who
# does not have them cannot make one.
_VERSION = const(2)
_CHECK = const(16)

_REMEMBERED = const(8)

_loaded = []  # the check values of what was loaded last


def fault(session):
    """Why a session cannot be saved now, in words, or None."""
    if session.tls is None:
        return "it is over"
    if not hasattr(session.tls, "dtls_save"):
        return "this port's tls cannot save sessions"
    cipher = session.tls.cipher()
    if not session.up or cipher is None:
        return "its handshake is not over"
    if "CBC" in cipher[0]:
        return "its cipher suite has CBC, not CCM or GCM"
    if not session.roams:
        return "the server has no connection ids"


def save(session):
    """A client's session as bytes for resume(), or None where it cannot be saved.

    With bytes given, the session is at its end, and the server is not told.
    """
    try:
        if not fault(session):
            digest = _digest(session._role, session.account)
            saved = session.tls.dtls_save()
            session.tls = None
            digest.update(saved)
            check = digest.digest()[:_CHECK]
            if check in _loaded:  # nothing has passed since, so that the bytes are the same
                _loaded.remove(check)
            return check + saved
    except Exception:  # OSError: something is on its way; MemoryError; keys that cannot be read
        pass


def resume(net, core, account, data, now):
    """Let an account that has no connection go on with the session that save() gave the bytes of.

    They must not be anywhere else any more. Returns False, and nothing has changed, where they are
    damaged, of another account or other keys, of another version, or were loaded before; raises what
    else there is, for Net.resume().
    """
    check = bytes(data[:_CHECK])
    saved = data[_CHECK:]
    digest = _digest(core, account)
    digest.update(saved)
    if account.connection is not None or digest.digest()[:_CHECK] != check or check in _loaded:
        return False

    def begin(role, account, sock, host, now, limit_ms, trust):
        # As dtls.connect(). Neither keys nor certificates are asked for: who is who has been settled.
        session = Session(sock, role, now, limit_ms)
        session.account = account
        context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
        context.verify_mode = tls.CERT_NONE
        context.dtls_cid = b""
        session.tls = context.wrap_socket(session, do_handshake_on_connect=False, dtls_saved=saved)
        session.up = session.roams = True
        _loaded.append(check)
        del _loaded[:-_REMEMBERED]
        return session

    net.open(core, account, now, begin)
    return True


def _digest(core, account):
    # Of what a session is bound to; where something of it is another, so is the session.
    keys = core.keys(account)
    security = account.security
    checked = security.get(13), security.get(14), security.get(15)  # how a certificate is
    of = _VERSION, account.short_id, account.uri, keys[0], checked
    digest = sha256(repr(of).encode())
    for part in keys[1:]:
        digest.update(sha256(part or b"").digest())
    return digest
