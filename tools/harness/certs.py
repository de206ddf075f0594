"""The certificates and keys of the tests under DTLS, for CPython.

They are in tests/unit/dtls_certs.py, which tests/make_dtls_certs.py makes, as MicroPython imports them.
"""

import importlib.util

from .micropython import UNIT

_spec = importlib.util.spec_from_file_location("dtls_certs", UNIT / "dtls_certs.py")
certs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(certs)
