"""A bar with the time left, on terminals; pipes and files get nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[float, float], None]
"""Takes how much of how much is done."""


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Draw a bar on stderr while the block runs, and remove it at the end."""
    if not sys.stderr.isatty():  # rich takes a tenth of a second to import
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("left"),
        console=console,
        transient=True,
        disable=console.is_dumb_terminal,
        # The bar is redrawn below lines that go to the same terminal; others must not go there.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
