"""A terminal that remembers what was written to it."""

from io import StringIO


class Terminal(StringIO):
    """Text that says it is a terminal; what a program draws on it, with all control codes."""

    def isatty(self) -> bool:
        return True
