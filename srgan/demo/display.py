"""Progress that people can read: a live bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from srgan.demo.watch import Moment

_LINE_EVERY_S = 10.0


def open_console() -> Console:
    """A console that prints every text as it is: names of files and runs may have brackets."""
    return Console(markup=False, emoji=False, highlight=False)


class Display(Protocol):
    """Shows moments while it is open."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, moment: Moment) -> None:
        """Show a moment; called every second."""


def open_display(console: Console) -> Display:
    return LiveDisplay(console) if console.is_terminal else LineDisplay(console)


class LiveDisplay:
    """One bar for each activity; finished ones stay, with the time they took."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=console,
        )
        self._doing: str | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._progress.stop()

    def show(self, moment: Moment) -> None:
        if moment.doing != self._doing or self._task is None:
            self._finish()
            self._doing = moment.doing
            self._task = self._progress.add_task(moment.doing, total=None, detail="")
        self._progress.update(
            self._task,
            total=moment.steps or None,
            completed=moment.step,
            detail=moment.detail,
        )

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, total=1, completed=1, detail="")


class LineDisplay:
    """A line for each new activity, and one every ten seconds while steps are counted."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._doing: str | None = None
        self._step = 0
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, moment: Moment) -> None:
        now = time.monotonic()
        is_new = moment.doing != self._doing
        has_moved = moment.step != self._step and now - self._shown_at > _LINE_EVERY_S
        if not (is_new or has_moved):
            return
        self._doing, self._step, self._shown_at = moment.doing, moment.step, now
        count = f"  {moment.step}/{moment.steps}" if moment.steps else ""
        detail = f"  {moment.detail}" if moment.steps else ""
        self._console.print(f"  {moment.doing}{count}{detail}", soft_wrap=True)
