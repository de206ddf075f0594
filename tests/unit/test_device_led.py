# What the LED shows.

from device.led import Led

# The states, as module main has them, too.
OFF, UNPROVISIONED, CONNECTING, BOOTSTRAPPING, REGISTERED, ERROR, SAFE = range(7)


def flashes(state):
    """(how often it goes on, how long it is on, ms) in two seconds."""
    lit = []
    led = Led(lit.append)
    led.show(state)
    for _ in range(40):
        led.tick()
    assert lit[:20] == lit[20:] and all(value in (0, 1) for value in lit)
    on = sum([lit[i] and not lit[i - 1] for i in range(20)])
    return on, sum(lit[:20]) * 100


def test_patterns():
    for state, on, ms in (
        (OFF, 0, 0),
        (UNPROVISIONED, 1, 100),
        (CONNECTING, 2, 1000),
        (BOOTSTRAPPING, 2, 200),
        (REGISTERED, 0, 2000),
        (ERROR, 10, 1000),
        (SAFE, 3, 300),
    ):
        assert flashes(state) == (on, ms), (state, flashes(state))


def test_show():
    lit = []
    led = Led(lit.append)
    led.show(SAFE)
    for _ in range(3):
        led.tick()
    led.show(SAFE)  # what is shown already goes on
    for _ in range(3):
        led.tick()
    assert lit == [1, 0, 1, 0, 1, 0]
    led.show(REGISTERED)
    led.tick()
    assert lit[-1] == 1
    Led().tick()  # without an LED
