"""Bound what the images of a batch take at once, of memory or of the disk."""

import threading


class Budget:
    """Lets images in while their bytes fit into a budget.

    An image larger than the budget waits until it is alone, so that it is not refused for ever.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._taken_bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> bool:
        """Wait for room, and tell whether others have a part; `RuntimeError` once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(size_bytes))
            if self._closed:
                raise RuntimeError("the batch has ended")
            is_shared = self._taken_bytes > 0
            self._taken_bytes += size_bytes
            return is_shared

    def wait_until_free(self) -> None:
        """Wait until nobody has a part."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._taken_bytes)

    def give_back(self, size_bytes: int) -> None:
        """Make room for others."""
        with self._changed:
            self._taken_bytes -= size_bytes
            self._changed.notify_all()

    def close(self) -> None:
        """Wake every waiting thread with an error, because nobody makes room any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, size_bytes: int) -> bool:
        return not self._taken_bytes or self._taken_bytes + size_bytes <= self._budget_bytes
