"""Make a result of each photo, and say what became of each: in lines, or as one JSON document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from srgan.cli.console import complain, print_json, say, warn
from srgan.cli.progress import ProgressBar
from srgan.errors import PASSED_BY, DataError, ImageError, SrganError, first_few
from srgan.readable import printable

if TYPE_CHECKING:
    from srgan.images.files import FilePlan, FileResult

Share = Callable[[float], None]
"""Is told how much of a photo is done, from 0 to 1."""
Change = Callable[[Path, Path, Share], "FileResult"]
"""Makes the result of one photo at a path."""


@dataclass(frozen=True)
class _Failure:
    """Reason why a photo has no result."""

    reason: str
    """One of those of a bulk run's records, or the name of an error."""
    detail: str


@dataclass(frozen=True)
class _Outcome:
    """One photo, and its result or why there is none."""

    source: str
    result: str | None = None
    lost: tuple[str, ...] = ()
    """Names of what the photo has and the result does not."""
    kept: bool = False
    """True for a result that an earlier run had made."""
    error: _Failure | None = None


def change_all(plan: "FilePlan", change: Change, *, what: str, as_json: bool = False) -> None:
    """Make a result of each photo; name what it lost, name and skip those that cannot be used."""
    outcomes = []
    sizes = [_size_bytes(path) for path, _ in plan.files]
    before, total = 0, sum(sizes)
    with ProgressBar(what) as bar:
        for (path, target), size in zip(plan.files, sizes, strict=True):
            bar(before, total)
            outcome, problem = _changed(
                path, target, change, partial(_report, bar, before, size, total)
            )
            outcomes.append(outcome)
            before += size
            with bar.paused():
                if outcome.result is None:
                    name_failed(path, problem)
                elif not as_json:
                    typer.echo(printable(outcome.result))
                if outcome.lost:
                    warn(f"{printable(path)}: lost: {', '.join(outcome.lost)}")
    name_left_out(plan)
    for path, problem in plan.failed.items():
        reason, _, detail = problem.partition(": ")
        outcomes.append(_Outcome(str(path), error=_Failure(reason, detail)))
    _conclude(outcomes, plan.passed_over, as_json=as_json)


def name_left_out(plan: "FilePlan") -> None:
    """Name what is not a photo, and what cannot be read."""
    name_passed_over([printable(path) for path in plan.passed_over])
    for path, problem in plan.failed.items():
        name_failed(path, problem)


def name_passed_over(names: Sequence[str]) -> None:
    """Count and name entries that are not photos."""
    if names:
        noun = "entry is not a photo" if len(names) == 1 else "entries are not photos"
        say(f"{len(names)} {noun}: {first_few(names, ', ')}")


def name_failed(path: Path | str, problem: str) -> None:
    """Name an entry with what is wrong with it; the problem may name files, too."""
    complain(printable(f"{path}: {problem}"))


def _report(bar: ProgressBar, before: float, size: float, total: float, done: float) -> None:
    bar(before + done * size, total)


def _changed(path: Path, target: Path, change: Change, share: Share) -> tuple[_Outcome, str]:
    """Make one result; the text is the problem for people, if there is one."""
    try:
        made = change(path, target, share)
        return _Outcome(str(path), str(made.path), made.lost, made.kept), ""
    except ImageError as error:
        return _Outcome(str(path), error=_Failure(error.reason, error.detail)), str(error)
    except (*PASSED_BY, DataError) as error:
        name = type(error).__name__
        problem = str(error) if isinstance(error, SrganError) else f"{name}: {error}"
        return _Outcome(str(path), error=_Failure(name, str(error))), problem


def _size_bytes(path: Path) -> int:
    """Bytes of a file, to weigh it by; 1 where that is not known."""
    try:
        return max(1, path.stat().st_size)
    except OSError:
        return 1


def _conclude(outcomes: list[_Outcome], passed_over: Sequence[Path], *, as_json: bool) -> None:
    """Print the document, or the counts; exit code 1 if a photo could not be used."""
    num_failed = sum(1 for each in outcomes if each.error)
    num_kept = sum(1 for each in outcomes if each.kept)
    if as_json:
        counts = {
            "num_done": len(outcomes) - num_failed,
            "num_kept": num_kept,
            "num_failed": num_failed,
        }
        print_json({"photos": outcomes, "passed_over": list(map(str, passed_over)), **counts})
    if num_kept:
        say(f"{num_kept} of {len(outcomes)} results were made earlier and are kept")
    exit_if_failed(num_failed, len(outcomes))


def exit_if_failed(num_failed: int, total: int) -> None:
    """Say how many of how many photos could not be used, and exit with code 1; else do nothing."""
    if num_failed:
        say(f"{num_failed} of {total} photos could not be used")
        raise typer.Exit(1)
