"""A bar with the time left, on terminals; pipes and files get nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """A bar on stderr while the block runs; at its end it is wiped away."""

    def __init__(self, what: str) -> None:
        # rich takes a tenth of a second to import.
        self._bar = _draw(what) if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: float, total: float) -> None:
        """Show how much of how much is done."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wipe the bar away while lines are printed, which may go to the same terminal."""
        if self._bar:
            self._bar.stop()
        try:
            yield
        finally:
            if self._bar:
                self._bar.start()


def _draw(what: str) -> "Progress | None":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        return None
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        transient=True,
        # typer writes around it.
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task(what, total=None)
    return bar
