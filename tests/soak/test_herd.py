"""10,000 clients come back after an outage of an hour and of five days: the peak at their server is at
most three times the mean of the return, and all are back within half an hour.

HERD=1000 has fewer of them. Half of the cores' time that it takes is that of five days of retries.
"""

import json
import os
import subprocess

import pytest
from harness.micropython import UNIT, command, environment, lib_dir

CLIENTS = int(os.environ.get("HERD", "10000"))
WINDOW_S = 10  # as herd.py has it
BACK_S = 1800
DAY_S = 86400

# UDP payload that a client may send in a day of each outage, bytes.
A_DAY = {
    ("server", 3600): 70_000,
    ("server", 5 * DAY_S): 30_000,
    ("bootstrap", 3600): 40_000,
    ("bootstrap", 5 * DAY_S): 15_000,
    ("network", 3600): 0,
    ("network", 5 * DAY_S): 0,
}


@pytest.mark.parametrize(("what", "seconds"), A_DAY)
def test_return(what: str, seconds: int):
    processes = os.cpu_count() or 1
    share = CLIENTS // processes
    running = [
        subprocess.Popen(
            command(UNIT / "herd.py", what, seconds, n * share, share, heap="2M"),
            env=environment(lib_dir("mpy"), UNIT),
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    found = [json.loads(process.communicate()[0]) for process in running]
    windows = [sum(counts) for counts in zip(*(counts for counts, _, _ in found))]
    last = max(s for _, s, _ in found)
    a_day = max(n for _, _, n in found)
    mean = sum(windows) / (last // WINDOW_S + 1)
    print(
        f"{what} away for {seconds} s: {share * processes} clients, {sum(windows)} requests, the last"
        f" after {last} s; peak {max(windows)} in {WINDOW_S} s, {max(windows) / mean:.2f} times the"
        f" mean; {a_day} bytes per client and day of the outage"
    )
    assert last < BACK_S
    assert max(windows) <= 3 * mean
    assert a_day <= A_DAY[what, seconds]
