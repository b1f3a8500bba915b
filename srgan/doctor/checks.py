"""Run checks in order, each within a time limit, and not those that need one that failed."""

import contextvars
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal

from srgan.errors import SrganError
from srgan.logs import hidden

CheckOutcome = Literal["ok", "warning", "failed", "not checked"]


@dataclass(frozen=True)
class Seen:
    """Answer of a check."""

    outcome: CheckOutcome
    text: str
    remedy: str = ""
    """Advice; empty if all is well."""


def ok(text: str) -> Seen:
    return Seen("ok", text)


def warning(text: str, remedy: str) -> Seen:
    return Seen("warning", text, remedy)


def failed(text: str, remedy: str) -> Seen:
    return Seen("failed", text, remedy)


def skipped(text: str) -> Seen:
    return Seen("not checked", text)


@dataclass(frozen=True)
class Check:
    """One question to a service."""

    name: str
    look: Callable[[], Seen]
    remedy: str
    """Advice if `look` raises an error or does not return."""
    needs: tuple[str, ...] = ()
    """Names of earlier checks without which this one makes no sense."""
    limit_s: float = 15.0


@dataclass(frozen=True)
class Diagnosis:
    """One line of the doctor's report."""

    part: str
    check: str
    outcome: CheckOutcome
    seen: str
    remedy: str


def run(part: str, checks: Sequence[Check], secrets: Sequence[str] = ()) -> Iterator[Diagnosis]:
    """Yield a finding for each check, in order, without secrets.

    Nothing that a check raises comes through.
    """
    bad: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in bad]
        seen = skipped(f"needs {', '.join(missing)}") if missing else _look(check, secrets)
        if seen.outcome in ("failed", "not checked"):
            bad.add(check.name)
        text = hidden(seen.text, secrets)
        yield Diagnosis(part, check.name, seen.outcome, text, seen.remedy)


def _look(check: Check, secrets: Sequence[str]) -> Seen:
    answer: SimpleQueue[Seen] = SimpleQueue()

    def look() -> None:
        try:
            answer.put(check.look())
        except SrganError as error:
            answer.put(failed(str(error), check.remedy))
        except Exception as error:
            # Whatever a library raises about a broken service is a finding too.
            text = " ".join(hidden(str(error), secrets).split())[:500]
            answer.put(failed(f"{type(error).__name__}: {text}", check.remedy))

    # A thread, because no library here can be stopped from outside; one that hangs ends with the
    # command. In this context, which has Prefect's settings.
    Thread(target=contextvars.copy_context().run, args=(look,), daemon=True).start()
    try:
        return answer.get(timeout=check.limit_s)
    except Empty:
        return failed(f"no answer within {check.limit_s:.0f} s", check.remedy)
