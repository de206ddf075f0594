# heapsize: 2M
#
# The objects of lwm2m-ipso, -connectivity, -device and -diagnostics as our Server sees them, over sockets.

import lwm2m
from lwm2m.connectivity import ETHERNET, Connectivity
from lwm2m.device import Device
from lwm2m.diagnostics import DIAGNOSTICS, ID, Diagnostics
from lwm2m.ipso import Ipso, Sensor
from lwm2m.location import Location
from lwm2m.server import Server, values
from lwm2m.statistics import Statistics

_PATIENCE_S = 30
_CHANGED = 0x44
_CONTENT = 0x45


class _Case:
    """A client with all of them and a server, in one loop."""

    def __init__(self):
        self.net = lwm2m.Net()
        self.server = self._listen()
        self.probe = 21.5
        client_net = lwm2m.Net()
        self.statistics = Statistics(client_net)
        self.diagnostics = Diagnostics(client_net)
        self.client = client = lwm2m.Client("dev", net=client_net)
        self.sensor = Sensor(3303, "Cel", read=lambda: self.probe)
        self.light = Ipso(3306, {5850: False}, lambda iid, values: self.written.append(values))
        self.written = []
        self.button = Sensor(3347)
        self.connectivity = Connectivity(ETHERNET)
        self.connectivity.set(0, 4, {0: "192.0.2.7"})
        self.location = Location()
        for obj in (self.sensor, self.light, self.button, self.connectivity, self.location):
            client.add_object(obj)
        client.add_object(self.statistics)
        self.device = Device(client)
        self.diagnostics.start(client, reset="power")
        client.add_server(1, "coap://127.0.0.1:%d" % self.port, lwm2m.SEC_NONE, 300)
        self.until(lambda: "dev" in self.server.clients)
        self.remote = self.server.clients["dev"]

    def _listen(self):
        for _ in range(100):
            self.port = 20000 + self.net.rng() % 20000
            try:
                return Server(self.port, "127.0.0.1", net=self.net)
            except OSError:  # it is in use
                pass

    def until(self, condition):
        since = lwm2m.Net.now()
        while not condition():
            assert lwm2m.Net.now() - since & 0x3FFFFFFF < _PATIENCE_S * 1000, "nothing came"
            self.client.step(0)
            self.server.step(0)

    def ask(self, operation, path, *args):
        """(code, payload) of an operation's answer."""
        found = []

        def answered(client, code, format, payload):
            found.append((code, bytes(payload)))

        getattr(self.server, operation)(self.remote, path, *args, callback=answered)
        self.until(lambda: found)
        return found[0]

    def read(self, path, resources=None):
        """A text, or the values of an instance."""
        found = []

        def answered(client, code, format, payload):
            if code != _CONTENT:
                found.append(code)
            elif resources is None:
                found.append(str(payload, "utf-8"))
            else:
                found.append(values(resources, path, format, payload))

        self.server.read(self.remote, path, answered)
        self.until(lambda: found)
        return found[0]

    def close(self):
        self.client.offline()
        self.server.close()


def test_a_sensor():
    case = _Case()
    told = []
    case.server.observe(
        case.remote,
        "/3303/0/5700",
        lambda client, code, format, payload: told.append(str(payload, "utf-8")),
    )
    case.until(lambda: told)
    for value in (22.0, 22.0, 18.25):
        case.probe = value
        case.sensor.measure()
        case.read("/3303/0/5701")
    case.until(lambda: len(told) == 3)
    assert told == ["21.5", "22.0", "18.25"]
    assert case.read("/3303/0/5601") == "18.25" and case.read("/3303/0/5602") == "22.0"
    assert case.ask("execute", "/3303/0/5605") == (_CHANGED, b"")
    assert case.read("/3303/0/5602") == "18.25"
    case.close()


def test_an_actuator_and_a_button():
    case = _Case()
    assert case.ask("write", "/3306/0/5850", True) == (_CHANGED, b"")
    assert case.written == [{5850: True}]
    case.button.set(0, 5500, True)
    assert case.read("/3347/0/5501") == "1" and case.read("/3347/0/5500") == "1"
    case.close()


def test_network_and_place():
    case = _Case()
    assert case.read("/4/0/0") == "41"
    assert case.read("/6/0/0") == 0x84
    case.location.move(48.5, 16.25, 1790000000)
    assert case.read("/6/0/0") == "48.5"
    assert case.ask("write", "/7/0/8", 60) == (_CHANGED, b"")
    assert case.ask("execute", "/7/0/6") == (_CHANGED, b"")
    for _ in range(20):
        case.read("/3303/0/5701")
    assert case.statistics.sent >= 20 and case.statistics.received >= 20
    assert 0 < int(case.read("/7/0/5")) < 64
    assert case.ask("execute", "/7/0/7") == (_CHANGED, b"")
    case.close()


def test_device_and_diagnostics():
    case = _Case()
    case.device.source(0, 5, voltage=5000)
    case.device.source(1, 1)
    case.device.battery(80)
    assert case.read("/3/0/9") == "80"
    found = case.read("/%d/0" % ID, DIAGNOSTICS)
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert found[1] == "power" and found[3] > 0 and found[4] > 0 and found[9] == 1
    assert case.ask("write", "/%d/0/9" % ID, 2) == (_CHANGED, b"")
    case.diagnostics.log(2, "door opened")
    assert case.read("/%d/0/10" % ID).endswith(" door opened")
    case.close()
