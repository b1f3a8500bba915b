"""Where the time until the first step goes, across the processes of a job."""

import time
from collections.abc import Iterable
from itertools import pairwise

Mark = tuple[str, float]
"""What ended, and when (seconds since the epoch: the only clock that processes share)."""


class Timeline:
    """Marks of what ended when; ``begun`` is the first."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self.marks: list[Mark] = list(marks) or [("begun", time.time())]

    def end(self, name: str) -> None:
        """Tell that `name` has just ended."""
        self.marks.append((name, time.time()))

    def line(self) -> str:
        """The whole and its parts: ``14.2 s: driver 4.1 s, workers 8.0 s, …``.

        Clocks of two nodes may differ a little; no part is shown as negative.
        """
        parts = [
            f"{name} {max(0.0, now - before):.1f} s"
            for (_, before), (name, now) in pairwise(self.marks)
        ]
        whole = max(0.0, self.marks[-1][1] - self.marks[0][1])
        return f"{whole:.1f} s: {', '.join(parts)}"
