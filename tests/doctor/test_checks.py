"""Checks run in order, end in time, and raise nothing."""

import time
from threading import Event

from srgan.doctor.checks import Check, ok, run, warning
from srgan.errors import StorageError
from tests.support.findings import look, outcomes


def broken() -> None:
    raise ZeroDivisionError("of\na library")


def test_a_check_that_needs_a_failed_one_is_not_checked_and_neither_are_those_that_need_it() -> (
    None
):
    asked: list[str] = []

    def note(name: str) -> Check:
        def see() -> object:
            asked.append(name)
            return ok(name)

        return Check(name, see, "", needs=("first",) if name == "second" else ("second",))  # type: ignore[arg-type]

    checks = [Check("first", broken, "mend it"), note("second"), note("third")]  # type: ignore[arg-type]
    found = look(checks)
    assert outcomes(found) == {"first": "failed", "second": "not checked", "third": "not checked"}
    assert found["second"].seen == "needs first"
    assert asked == []


def test_a_warning_lets_those_that_need_it_go_on() -> None:
    checks = [
        Check("first", lambda: warning("slow", "wait"), ""),
        Check("second", lambda: ok("fine"), "", needs=("first",)),
    ]
    assert outcomes(look(checks)) == {"first": "warning", "second": "ok"}


def test_whatever_is_raised_is_a_finding_in_one_line_with_what_to_do() -> None:
    def refused() -> None:
        raise StorageError("cannot list s3://b/: it is away")

    found = look([Check("ours", refused, "mend it"), Check("theirs", broken, "and this")])  # type: ignore[arg-type]
    assert (found["ours"].seen, found["ours"].remedy) == (
        "cannot list s3://b/: it is away",
        "mend it",
    )
    assert found["theirs"].seen == "ZeroDivisionError: of a library"
    assert found["theirs"].remedy == "and this"


def test_a_password_is_hidden_before_a_long_error_is_cut() -> None:
    def quotes() -> None:
        raise ValueError("x" * 496 + " pass-word")

    (found,) = run("part", [Check("quotes", quotes, "")], ["pass-word"])  # type: ignore[arg-type]
    assert found.seen.endswith("x ***"), found.seen[-20:]


def test_a_check_that_does_not_return_fails_at_its_limit() -> None:
    end = Event()
    began = time.monotonic()
    found = look([Check("hangs", lambda: end.wait(60), "call somebody", limit_s=0.2)])  # type: ignore[arg-type, return-value]
    end.set()
    assert time.monotonic() - began < 10
    assert (found["hangs"].outcome, found["hangs"].seen) == ("failed", "no answer within 0 s")
