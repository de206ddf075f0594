# The status LED.
# MIT license; Copyright (c) 2026 The lwm2m firmware authors

from micropython import const

# By the state that is shown: on or off for 100 ms each, two seconds of it, bit 0 is the first.
# fmt: off
_PATTERNS = const((
    0x00000,  # 0, off: dark
    0x00001,  # 1, unprovisioned: a flash every two seconds
    0x07C1F,  # 2, connecting: half a second on, half a second off
    0x00005,  # 3, bootstrapping: two flashes every two seconds
    0xFFFFF,  # 4, registered: on
    0x55555,  # 5, an error: flickers, five times a second
    0x00015,  # 6, safe mode: three flashes every two seconds
))
# fmt: on


class Led:
    """Shows one of the states above. set(0 or 1): what lights it, or None."""

    def __init__(self, set=None):
        self.set = set
        self.state = 0
        self._at = 0

    def show(self, state):
        """Show another state from its beginning."""
        if state != self.state:
            self.state = state
            self._at = 0

    def tick(self):
        """To be called each 100 ms."""
        if self.set:
            self.set(_PATTERNS[self.state] >> self._at & 1)
        self._at = (self._at + 1) % 20
