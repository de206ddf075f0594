"""The factory tool: gives boards their LwM2M identities, over their serial ports."""

import sys

if sys.version_info < (3, 9):
    raise SystemExit(
        "lwm2m-factory needs Python 3.9 or newer, and this is %d.%d: start it with another one."
        % sys.version_info[:2]
    )

from .text import printable

__version__ = "0.1.0"


class FactoryError(Exception):
    """What went wrong, as a sentence for the person at the factory line; it holds no key.

    Several arguments are lines of their own. They may quote what a board or a file says, and are
    printable all the same.
    """

    def __str__(self) -> str:
        return "\n".join(map(printable, self.args))
