# IPSO objects of sensors and actuators, as OMA's registry defines them.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from math import isnan
from micropython import const
from ucoap import Error
from .model import Object

# The values of model, again: only a module's own constants fold into a tuple in flash.
_STR = const(1)
_INT = const(2)
_FLOAT = const(4)
_BOOL = const(5)
_OPAQUE = const(6)
_TIME = const(7)
_R = const(0x10)
_RW = const(0x30)
_E = const(0x40)
_M = const(0x100)

_MAX_ID = const(65535)

_BAD_REQUEST = const(0x80)

_LOW = const(5601)  # Min Measured Value
_HIGH = const(5602)  # Max Measured Value
_RESET = const(5605)  # Reset Min and Max Measured Values
_COUNTER = const(5501)
_EDGES = const(5504)  # 1 falling, 2 rising, 3 both
_RESET_COUNTER = const(5505)

# fmt: off
# The shape that most sensors share; from 3316 on they have Current Calibration too.
_SENSOR = (
    5518, _TIME | _R,  # Timestamp, s since 1970
    5601, _FLOAT | _R,
    5602, _FLOAT | _R,
    5603, _FLOAT | _R,  # Min Range Value
    5604, _FLOAT | _R,  # Max Range Value
    5605, _E,
    5700, _FLOAT | _R | _M,  # Sensor Value
    5701, _STR | _R,  # Sensor Units
    5750, _STR | _RW,  # Application Type
    6042, _INT | _R,  # Measurement Quality Indicator
    6049, _INT | _R,  # Measurement Quality Level
    6050, _FLOAT | _R,  # Fractional Timestamp, s
)
_BEHIND = const(18)  # where _SENSOR's 6042 is

# Object id, its version, its resources.
_OBJECTS = (
    3200, "1.1", (  # Digital Input
        5500, _BOOL | _R | _M,  # State
        5501, _INT | _R,
        5502, _BOOL | _RW,  # Polarity
        5503, _INT | _RW,  # Debounce, ms
        5504, _INT | _RW,
        5505, _E,
        5518, _TIME | _R,
        5750, _STR | _RW,
        5751, _STR | _R,  # Sensor Type
        6050, _FLOAT | _R,
    ),
    3201, "1.1", (  # Digital Output
        5518, _TIME | _R,
        5550, _BOOL | _RW | _M,  # State
        5551, _BOOL | _RW,  # Polarity
        5750, _STR | _RW,
        6050, _FLOAT | _R,
    ),
    3202, "1.1", (  # Analog Input
        5518, _TIME | _R,
        5600, _FLOAT | _R | _M,  # Current Value
        5601, _FLOAT | _R,
        5602, _FLOAT | _R,
        5603, _FLOAT | _R,
        5604, _FLOAT | _R,
        5605, _E,
        5750, _STR | _RW,
        5751, _STR | _R,
        6042, _INT | _R,
        6049, _INT | _R,
        6050, _FLOAT | _R,
    ),
    3203, "1.1", (  # Analog Output
        5518, _TIME | _R,
        5603, _FLOAT | _R,
        5604, _FLOAT | _R,
        5650, _FLOAT | _RW | _M,  # Current Value, 0 to 1
        5750, _STR | _RW,
        6050, _FLOAT | _R,
    ),
    3306, "1.1", (  # Actuation
        5518, _TIME | _R,
        5750, _STR | _RW,
        5850, _BOOL | _RW | _M,  # On/Off
        5851, _INT | _RW,  # Dimmer, %
        5852, _INT | _RW,  # On Time, s
        5853, _STR | _RW,  # Multi-state Output
        6050, _FLOAT | _R,
    ),
    3336, "2.0", (  # Location
        5517, _OPAQUE | _R,  # Velocity
        5518, _TIME | _R,
        5705, _FLOAT | _R,  # Compass Direction, degrees
        5750, _STR | _RW,
        6042, _INT | _R,
        6049, _INT | _R,
        6050, _FLOAT | _R,
        6051, _FLOAT | _R | _M,  # Numeric Latitude
        6052, _FLOAT | _R | _M,  # Numeric Longitude
        6053, _FLOAT | _R,  # Numeric Uncertainty, m
    ),
    3342, "1.1", (  # On/Off Switch
        5500, _BOOL | _R | _M,
        5501, _INT | _R,
        5518, _TIME | _R,
        5750, _STR | _RW,
        5852, _INT | _RW,
        5854, _INT | _RW,  # Off Time, s
        6050, _FLOAT | _R,
    ),
    3343, None, (  # Dimmer
        5548, _FLOAT | _RW | _M,  # Level, %
        5750, _STR | _RW,
        5852, _INT | _RW,
        5854, _INT | _RW,
    ),
    3347, "1.1", (  # Push Button
        5500, _BOOL | _R | _M,
        5501, _INT | _R,
        5518, _TIME | _R,
        5750, _STR | _RW,
        6050, _FLOAT | _R,
    ),
)

# What a server may write where the type allows more: resource id, least, most.
_RANGES = (5504, 1, 3, 5548, 0, 100, 5650, 0, 1, 5851, 0, 100)
# fmt: on


def definition(id):
    """(version, resources) of an object, as model.Object takes them. Raises ValueError."""
    for i in range(0, len(_OBJECTS), 3):
        if _OBJECTS[i] == id:
            return _OBJECTS[i + 1], _OBJECTS[i + 2]
    more = None
    if id == 3300:  # Generic Sensor
        more = (5751, _STR | _R)
    elif (type(id) is int and 3316 <= id <= 3330) or id == 3346:  # from Voltage to Distance; Rate
        more = (5821, _FLOAT | _RW)
    elif id in (3301, 3303, 3304, 3315):  # Illuminance, Temperature, Humidity, Barometer
        return "1.1", _SENSOR
    if not more:
        raise ValueError("object %s is not in lwm2m-ipso: describe it with model.Object" % id)
    return "1.1", _SENSOR[:_BEHIND] + more + _SENSOR[_BEHIND:]


class Ipso(Object):
    """An object of the table, by its id.

    values: {resource id: value} of instance 0, as model.Object has them; a resource that no value
    is given for is not there. write: f(instance id, {resource id: value}), called when a server has
    written. persist: as Object's; what was kept is written by add_object(), as a server would.
    """

    def __init__(self, id, values=None, write=None, persist=False):
        version, resources = definition(id)
        if not isinstance(values or {}, dict) or not (write is None or callable(write)):
            raise ValueError("values are a dict, write is a function")
        super().__init__(id, resources, version=version, persist=persist)
        if write:
            self.on_write = write
        if values is not None:
            self.add(0, values)

    def on_check(self, iid, values):
        for i in range(0, len(_RANGES), 3):
            value = values.get(_RANGES[i])
            if value is not None and not _RANGES[i + 1] <= value <= _RANGES[i + 2]:
                text = "/%d/x/%d must be from %d to %d"
                raise Error(_BAD_REQUEST, text % ((self.id,) + _RANGES[i : i + 3]))


class Sensor(Ipso):
    """What measures: objects with Min and Max Measured Value, and inputs, which may have a counter.

    read: a function that returns the value, and is called for each Read; without it the
    application says set(0, 5700, value). units: /x/y/5701. persist: keep minimum, maximum and
    counter, and what servers write, in the client's store.
    """

    def __init__(self, id, units=None, read=None, persist=False):
        super().__init__(id)
        if persist:
            self.persist = (_LOW, _HIGH, _COUNTER, 5502, 5503, _EDGES, 5750, 5821)
        self._value = 5700
        for rid in (5500, 5600):
            if self.flags(rid):
                self._value = rid
        if not self.flags(self._value):
            raise ValueError("object %d is no sensor: make an Ipso of it" % id)
        self._told = {}  # {instance id: the last value that was looked at}
        self.another(0, units, read)

    def another(self, iid, units=None, read=None):
        """Add one more sensor of this kind, as the instance with that id."""
        if type(iid) is not int or not 0 <= iid < _MAX_ID or not (read is None or callable(read)):
            raise ValueError("an id is from 0 to 65534, read is a function")
        values = {}
        if units is not None:
            values[5701] = units
        if self.flags(_COUNTER):
            values[_COUNTER] = 0
        if read:

            def measured():
                value = read()
                self._look(iid, value)
                return value

            values[self._value] = measured
        self.add(iid, values)

    def set(self, iid, rid, value):
        if rid == self._value and not callable(value):
            self.check(rid, value)
            self._look(iid, value)
        super().set(iid, rid, value)

    def measure(self, iid=0):
        """Call the function now, and tell who observes it where the value is another. Returns it."""
        last = self._told.get(iid)
        value = self.get(iid, self._value)
        if value != last:
            self._changed(iid, self._value)
        return value

    def _look(self, iid, value):
        # A value was measured.
        self.check(self._value, value)
        values = self.instances[iid]
        last = self._told.get(iid)
        self._told[iid] = value
        if self._value == 5500:
            if value != last and _COUNTER in values:
                # A button that is up at first has not been released.
                if values.get(_EDGES, 2) & (2 if value else last is not None):
                    self._put(iid, _COUNTER, values[_COUNTER] + 1)
        elif not isnan(value):
            if not values.get(_LOW, value) < value:
                self._put(iid, _LOW, value)
            if not values.get(_HIGH, value) > value:
                self._put(iid, _HIGH, value)

    def _put(self, iid, rid, value):
        # Not set(): values of these need no check.
        values = self.instances[iid]
        if values.get(rid) != value:
            values[rid] = value
            self._changed(iid, rid)

    def on_execute(self, iid, rid, argument):
        if argument:
            raise Error(_BAD_REQUEST, "no arguments here")
        if rid == _RESET_COUNTER:
            return self._put(iid, _COUNTER, 0)
        # To the current value, OMA's registry says.
        value = self.get(iid, self._value)
        for extreme in (_LOW, _HIGH):
            if value is not None and not isnan(value):
                self._put(iid, extreme, value)
            elif self.instances[iid].pop(extreme, None) is not None:  # kept from before
                self._changed(iid, extreme)
