"""A clock in place of that of the system."""


class Clock:
    """Time in seconds that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
