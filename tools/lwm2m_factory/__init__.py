"""The factory tool: gives boards their LwM2M identities, over their serial ports."""

from .text import printable

__version__ = "0.1.0"


class FactoryError(Exception):
    """What went wrong, as a sentence for the person at the factory line; it holds no key.

    It may quote what a board or a file says, and is printable all the same.
    """

    def __str__(self) -> str:
        return printable(super().__str__())
