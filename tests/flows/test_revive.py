"""Dead and cancelled processes are told apart by the history of a flow run."""

from prefect.client.schemas.objects import State
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Crashed,
    Pending,
    Running,
    Scheduled,
)

from flows.revive import num_revivals, was_cancelled

ATTEMPT: list[State] = [Scheduled(), Pending(), Running()]
PUT_BACK: State = Scheduled(name="Revived")


def test_a_killed_process_is_not_a_cancellation() -> None:
    assert not was_cancelled([*ATTEMPT, Crashed()])


def test_a_cancelled_run_that_passes_through_crashed_is_a_cancellation() -> None:
    assert was_cancelled([*ATTEMPT, Cancelling(), Crashed()])
    assert was_cancelled([*ATTEMPT, Cancelling(), Crashed(), Cancelled()])


def test_a_cancellation_before_the_user_started_the_run_again_does_not_count() -> None:
    assert not was_cancelled([*ATTEMPT, Cancelling(), Cancelled(), *ATTEMPT, Crashed()])


def test_a_run_cancelled_after_it_was_put_back_is_a_cancellation() -> None:
    assert was_cancelled([*ATTEMPT, Crashed(), PUT_BACK, Pending(), Cancelling()])


def test_only_our_own_putting_back_is_counted() -> None:
    states = [*ATTEMPT, Crashed(), PUT_BACK, Running(), Crashed(), AwaitingRetry(), Running()]
    assert num_revivals(states) == 1
