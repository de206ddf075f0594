# Events in words, and their levels.

import lwm2m
from lwm2m.core import Event
from lwm2m.words import DETAILS, EVENTS, FAILURES, level, words


def event(type, **values):
    made = Event()
    for name in ("lifetime", "code", "internal", "text", "path"):
        setattr(made, name, values.get(name))
    made.type = type
    made.short_id = values.get("short_id", 1)
    return made


CASES = (
    (lwm2m.EVENT_REG_REGISTERING, {"lifetime": 60}, EVENTS, "server 1: registering"),
    (lwm2m.EVENT_REG_REGISTERED, {"lifetime": 60}, EVENTS, "server 1: registered, lifetime 60 s"),
    (lwm2m.EVENT_REG_UNREGISTERED, {"lifetime": 60}, EVENTS, "server 1: unregistered"),
    (lwm2m.EVENT_REG_UPDATING, {"lifetime": 60}, EVENTS, "server 1: updating"),
    (
        lwm2m.EVENT_REG_FAILED,
        {"code": 0xA3, "internal": True, "text": "no answer"},
        FAILURES,
        "server 1: registration failed 5.03, no answer",
    ),
    (
        lwm2m.EVENT_REG_FAILED,
        {"code": 0x83, "internal": False, "text": "go\x1b[2J away"},
        FAILURES,
        "server 1: registration failed 4.03, 'go\\x1b[2J away'",
    ),
    (lwm2m.EVENT_REG_UPDATE_FAILED, {"code": 0x84}, FAILURES, "server 1: update failed 4.04"),
    (lwm2m.EVENT_BS_PENDING, {"short_id": 65535}, EVENTS, "bootstrap server: bootstrapping"),
    (lwm2m.EVENT_BS_FINISHED, {"short_id": 65535}, EVENTS, "bootstrap server: bootstrapped"),
    (
        lwm2m.EVENT_BS_FAILED,
        {"short_id": 65535, "code": 0xA3, "internal": True, "text": "no operation in time"},
        FAILURES,
        "bootstrap server: bootstrap failed 5.03, no operation in time",
    ),
    (lwm2m.EVENT_READ, {"path": (3, 0, 9)}, DETAILS, "server 1: read /3/0/9"),
    (lwm2m.EVENT_OBJECT_INSTANCE_CREATED, {"path": (5, 0)}, DETAILS, "server 1: created /5/0"),
    (lwm2m.EVENT_OBJECT_INSTANCE_DELETED, {"path": (5, 0)}, DETAILS, "server 1: deleted /5/0"),
    (lwm2m.EVENT_SERVER_SETTING_CHANGED, {"path": (1, 0, 1)}, DETAILS, "server 1: changed /1/0/1"),
    (lwm2m.EVENT_OBSERVATION_STARTED, {"path": (3,)}, DETAILS, "server 1: observed /3"),
    (lwm2m.EVENT_OBSERVATION_NOTIFICATION, {"path": ()}, DETAILS, "server 1: notified"),
    (lwm2m.EVENT_OBSERVATION_NOTIFICATION_ACKED, {}, DETAILS, "server 1: acknowledged"),
    (
        lwm2m.EVENT_OBSERVATION_NOTIFICATION_FAILED,
        {"path": (3, 0)},
        FAILURES,
        "server 1: notification failed /3/0",
    ),
    (lwm2m.EVENT_OBSERVATION_CANCELED, {}, DETAILS, "server 1: no longer observed"),
    (
        lwm2m.EVENT_STORE,
        {"short_id": 0, "text": "slot 1 is used"},
        FAILURES,
        "Store: slot 1 is used",
    ),
    (lwm2m.EVENT_EVALUATION_PERIOD, {"path": (3, 0)}, DETAILS, "server 1: to be looked at /3/0"),
    (lwm2m.EVENT_UPDATE, {"short_id": 0, "text": "kept", "path": (5, 0)}, EVENTS, "Update: kept"),
    (200, {}, DETAILS, "server 1: event 200"),
)


def test_words():
    for type, values, how, text in CASES:
        made = event(type, **values)
        assert words(made) == str(made) == text, str(made)
        assert level(made) == how, text


def test_without_the_peers_words():
    made = event(lwm2m.EVENT_REG_FAILED, code=0x83, internal=False, text="swordfish")
    assert words(made, False) == "server 1: registration failed 4.03"


def test_all_types_have_words():
    names = ["EVENT_STORE", "EVENT_UPDATE", "EVENT_EVALUATION_PERIOD"]
    names += lwm2m.EVENTS[1:]
    for name in names:
        assert "event" not in words(event(getattr(lwm2m, name), lifetime=60)), name
