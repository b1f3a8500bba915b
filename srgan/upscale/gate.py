"""A bound on the memory of images that are on their way."""

import threading


class Gate:
    """Lets threads in while the bytes inside stay within a budget.

    What is larger than the budget goes in alone rather than never.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._inside_bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def enter(self, size_bytes: int) -> None:
        """Wait for room; `RuntimeError` once the gate is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(size_bytes))
            if self._closed:
                raise RuntimeError("the batch has ended")
            self._inside_bytes += size_bytes

    def leave(self, size_bytes: int) -> None:
        """Give the room back."""
        with self._changed:
            self._inside_bytes -= size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Wake every waiting thread with an error: nobody will make room any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, size_bytes: int) -> bool:
        return not self._inside_bytes or self._inside_bytes + size_bytes <= self._budget_bytes
