"""Texts of others, as they may be shown."""


def printable(text: str) -> str:
    """A text in which no terminal finds anything to obey, and that reads in the order it is written.

    What boards, files and peers have said may have escape sequences in it, line ends, or marks that turn
    the direction of writing. They are shown as Python writes them, such as \\x1b and \\u202e.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
