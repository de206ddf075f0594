"""What Leshan's server misses while a client cannot reach it (/1/x/6) comes later, in SenML with its times."""

import time
from typing import List

import pytest
from device_objects import SENSOR
from harness.processes import Managed
from harness.udp_relay import UdpRelay

PATH = "/3303/0/5700"
VALUES = (22.5, 23.5, 24.5)
STEP_S = 2  # from one value to the next: s are what tells times apart


@pytest.mark.parametrize("format", ["SENML_CBOR", "SENML_JSON"])
def test_what_was_missed(leshan, device, format):
    away: List[int] = []
    with UdpRelay(leshan.server_port, lose=lambda: bool(away)) as relay:
        started = device(
            servers=[{"short_id": 1, "uri": f"coap://127.0.0.1:{relay.port}"}],
            objects=[SENSOR],
            coap={1: [1000, 100, 4]},
        )
        started.wait_event("REG_REGISTERED")
        managed = Managed(started, leshan.server)
        managed.wait_event("registered")
        observed = managed("observe", PATH, format=format)
        assert (observed["code"], observed["content"]) == ("2.05", 21.5)
        away.append(1)
        began = time.time()
        for value in VALUES:
            started.set(PATH, value)
            time.sleep(STEP_S)  # the time that the values have is what is tested
        away.clear()
        # The first one arrives with a repetition, as it was sent; the others with their times.
        notified = managed.wait_event("notification", path=PATH)
        assert notified["content"] == VALUES[0]
        notified = managed.wait_event("notification", path=PATH)
        assert notified["code"] == "2.05" and notified["content"] == VALUES[-1]
        history = sorted((each["time"], each["value"]) for each in notified["history"])
        assert [value for _, value in history] == list(VALUES[1:])
        for n, (at, _) in enumerate(history, 1):
            assert abs(at - (began + n * STEP_S)) <= 2, history
        assert history[1][0] - history[0][0] in (STEP_S - 1, STEP_S, STEP_S + 1)
        assert started.wait_event("OBSERVATION_NOTIFICATION_ACKED")
