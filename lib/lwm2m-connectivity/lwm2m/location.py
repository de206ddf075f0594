# Location (LwM2M 1.1 E.7, object 6): where the application says that the device is.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const
from .model import Object

_FLOAT = const(4)  # of model's flags
_OPAQUE = const(6)
_TIME = const(7)
_R = const(0x10)
_M = const(0x100)

# fmt: off
LOCATION = (
    0, _FLOAT | _R | _M,  # Latitude, degrees
    1, _FLOAT | _R | _M,  # Longitude, degrees
    2, _FLOAT | _R,  # Altitude, m
    3, _FLOAT | _R,  # Radius, m
    4, _OPAQUE | _R,  # Velocity (3GPP TS 23.032)
    5, _TIME | _R | _M,  # Timestamp, s since 1970
    6, _FLOAT | _R,  # Speed, m/s
)
# fmt: on


class Location(Object):
    """The object has no instance until move() is called."""

    def __init__(self):
        super().__init__(6, LOCATION)

    def move(
        self,
        latitude,
        longitude,
        timestamp,
        altitude=None,
        radius=None,
        velocity=None,
        speed=None,
    ):
        """There was a fix; what it does not tell is None.

        timestamp: of the fix, s since 1970. radius: of the circle around it, m. velocity: bytes, as
        3GPP TS 23.032 has them. Raises ValueError; then nothing has changed.
        """
        given = (latitude, longitude, altitude, radius, velocity, timestamp, speed)
        values = {}
        for rid in range(len(given)):
            if given[rid] is not None or self.flags(rid) & _M:
                self.check(rid, given[rid])
                values[rid] = given[rid]
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise ValueError(
                "no place on earth: latitude %s, longitude %s" % (latitude, longitude)
            )
        if 0 not in self.instances:
            return self.add(0, values)
        old = self.instances[0]
        self.instances[0] = values
        for rid in range(len(given)):
            if old.get(rid) != values.get(rid):
                self._changed(0, rid)
