# heapsize: 1M
# A fleet's return after an outage, in small: make soak has 10,000 clients.

import gc

from herd import BOOTSTRAP, NETWORK, SERVER, WINDOW_S, fleet, outage

_SPAN = 10  # windows that are taken together, as there are few clients


def _check(what, count):
    windows, last, a_day = fleet(what, 3600, 1, count)
    gc.collect()
    assert count <= sum(windows) and last < 1350, (what, last)
    windows = windows[: last // WINDOW_S + 1]
    mean = sum(windows) * _SPAN / len(windows)
    peak = max([sum(windows[i : i + _SPAN]) for i in range(0, len(windows), _SPAN)])
    assert peak <= 3 * mean, (what, peak, mean)
    assert a_day < 100000, (what, a_day)


def test_server():
    _check(SERVER, 60)


def test_bootstrap_server():
    _check(BOOTSTRAP, 60)


def test_network():
    _check(NETWORK, 60)


def test_five_days():
    for what, most in ((SERVER, 150000), (BOOTSTRAP, 75000), (NETWORK, 0)):
        times, sent = outage(what, 5 * 86400, 3)
        gc.collect()
        assert times and times[-1] < 1350, (what, times)
        assert sent <= most, (what, sent)
