"""How tests wait for what another process, or another thread, is to do: for a condition, never for a time.

There is one bound for all of them. It only ends a test that has failed, so that it is far from what
a machine needs on which eight others want each of its cores.
"""

import time
from threading import Condition
from typing import Any, Callable, Optional

PATIENCE_S = 120
_LOOK_S = 0.02  # between two looks at what nobody tells the changes of


class Late(AssertionError):
    """What was awaited did not come."""


def eventually(
    condition: Callable[[], object],
    what: str,
    seen: Optional[Callable[[], str]] = None,
    changed: Optional[Condition] = None,
    patience_s: float = PATIENCE_S,
) -> Any:
    """What condition() gives, as soon as it is true. One that cannot become true any more raises.

    what: is awaited; seen(): what there was instead; in words, for the failure.
    changed: held by the caller, and notified by whoever changes something. Without it condition()
    is asked again and again.
    """
    end = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        left = end - time.monotonic()
        if left <= 0:
            there = f"; there was:\n{seen()}" if seen else ""
            raise Late(f"{what} did not come within {patience_s} s{there}")
        if changed is None:
            time.sleep(min(left, _LOOK_S))
        else:
            changed.wait(left)
