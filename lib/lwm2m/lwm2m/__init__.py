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

# Security Modes (/0/x/2).
SEC_PRE_SHARED_KEY = const(0)
SEC_RAW_PUBLIC_KEY = const(1)
SEC_CERTIFICATE = const(2)
SEC_NONE = const(3)

# Event.type; core.Event tells what comes with each.
EVENT_REG_UNREGISTERED = const(1)
EVENT_REG_REGISTERING = const(2)
EVENT_REG_REGISTERED = const(3)
EVENT_REG_UPDATING = const(4)
EVENT_REG_FAILED = const(5)
EVENT_REG_UPDATE_FAILED = const(6)
EVENT_BS_PENDING = const(7)
EVENT_BS_FINISHED = const(8)
EVENT_BS_FAILED = const(9)
EVENT_OBJECT_INSTANCE_CREATED = const(10)
EVENT_OBJECT_INSTANCE_DELETED = const(11)
EVENT_READ = const(12)
EVENT_SERVER_SETTING_CHANGED = const(13)

# Loaded when first asked for, so that what is not used costs no heap: names, and their modules.
_NAMES = const(("Client", "Object", "Net", "Store", "debug", "EVENT_STORE", "EVENT_UPDATE"))
_MODULES = const(("client", "model", "net", "store", "debug", "context", "update"))


def __getattr__(name):
    # EVENT_OBSERVATION_… and EVENT_EVALUATION_PERIOD are observe's.
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
