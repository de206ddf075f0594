# LwM2M for MicroPython: the names that an application uses.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors
#
# What every client loads imports modules by their whole names: in a frozen image those are qstrs in
# flash then, where relative ones are put together on the heap and stay there.

import sys
from micropython import const

# Statuses: CoAP codes, class << 5 | detail.
NO_ERROR = const(0)
SERVICE_UNAVAILABLE = const(0xA3)  # 5.03

# Other numbers are looked up when they are asked for, as each would take heap: the place of a name is
# its value. Event.type, and core.Event tells what comes with each; Security Modes (/0/x/2).
# fmt: off
EVENTS = const((
    "", "EVENT_REG_UNREGISTERED", "EVENT_REG_REGISTERING", "EVENT_REG_REGISTERED",
    "EVENT_REG_UPDATING", "EVENT_REG_FAILED", "EVENT_REG_UPDATE_FAILED", "EVENT_BS_PENDING",
    "EVENT_BS_FINISHED", "EVENT_BS_FAILED", "EVENT_OBJECT_INSTANCE_CREATED",
    "EVENT_OBJECT_INSTANCE_DELETED", "EVENT_READ", "EVENT_SERVER_SETTING_CHANGED",
))
# fmt: on
_SECURITY = const(("SEC_PRE_SHARED_KEY", "SEC_RAW_PUBLIC_KEY", "SEC_CERTIFICATE", "SEC_NONE"))

# Loaded when first asked for, so that what is not used costs no heap: names, and their modules.
_NAMES = const(("Client", "Object", "Net", "Store", "debug", "EVENT_STORE", "EVENT_UPDATE"))
_MODULES = const(("client", "model", "net", "store", "debug", "context", "update"))


def __getattr__(name):
    # EVENT_OBSERVATION_… and EVENT_EVALUATION_PERIOD are observe's.
    for names in (EVENTS, _SECURITY):
        if name in names:
            return names.index(name)
    if name in _NAMES:
        module = _MODULES[_NAMES.index(name)]
    elif name[:7] in ("EVENT_O", "EVENT_E"):
        module = "observe"
    else:
        raise AttributeError(name)
    value = getattr(__import__("lwm2m." + module, None, None, (name,)), name)
    globals()[name] = value
    return value


def optional(module):
    """Module lwm2m.<module>, or None where this image lacks it. One that is broken raises."""
    name = "lwm2m." + module
    try:
        return __import__(name, None, None, ("",))
    except MemoryError:  # what is there of it is not to be taken for the whole
        sys.modules.pop(name, None)
        raise
    except ImportError as e:
        if "'%s'" % name not in str(e):
            raise


def forget(module):
    """Give back the heap of module lwm2m.<module>, which is loaded again when it is asked for."""
    sys.modules.pop("lwm2m." + module, None)
    globals().pop(module, None)
