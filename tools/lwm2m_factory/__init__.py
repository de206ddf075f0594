"""The factory tool: gives boards their LwM2M identities, over their serial ports."""

__version__ = "0.1.0"


class FactoryError(Exception):
    """What went wrong, as a sentence for the person at the factory line; it holds no key."""
