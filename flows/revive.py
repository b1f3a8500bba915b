"""Put back a flow run whose process died, and clean up after one that a user cancelled.

Prefect retries only runs that fail by an exception. A trigger on this flow's deployment starts
it for every other deployment's run that enters Crashed or Cancelling (see ``prefect.yaml``).
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled, Failed, Scheduled

from flows.support.jobs import stop_jobs_of
from flows.support.model_lock import free_lock
from srgan.errors import ClusterError

_MAX_REVIVALS = 3
# Name of the states that this flow sets. They stay in the run's history, where they are counted.
_REVIVED = "Revived"
# The worker may report the end of a process a moment after the process itself has.
_SETTLED_S = 5.0
_LIMIT_S = 20.0
_CANCEL = {StateType.CANCELLING, StateType.CANCELLED}


@flow(name="revive", flow_run_name="revive {flow_run_id}", log_prints=False)
def revive(flow_run_id: str) -> str:
    """Put a crashed run back at most three times, then fail it; stop what a cancelled one left.

    Returns what was done, in words.
    """
    with get_client(sync_client=True) as client:
        done = look_after(client, UUID(flow_run_id))
    get_run_logger().info("Flow run %s: %s", flow_run_id, done)
    return done


def look_after(client: SyncPrefectClient, run: UUID) -> str:
    """Do for a run what its history asks for.

    A cancelled run goes CANCELLING → CRASHED → CANCELLED, so its state alone does not tell.
    """
    warn = get_run_logger().warning
    # A user's cancel is obeyed before anything is waited for.
    stopped = stop_jobs_of(run, warn) if was_cancelled(_states(client, run)) else None
    states = _settled_states(client, run)
    if not was_cancelled(states):
        return _put_back(client, run, states)
    stopped = stop_jobs_of(run, warn) if stopped is None else stopped
    return _finish_cancelling(client, run, states[-1], stopped)


def was_cancelled(states: list[State]) -> bool:
    """Return whether a user cancelled the last attempt of a run; SCHEDULED begins an attempt."""
    attempt: list[StateType] = []
    for state in states:
        attempt = [] if state.type is StateType.SCHEDULED else [*attempt, state.type]
    return not _CANCEL.isdisjoint(attempt)


def num_revivals(states: list[State]) -> int:
    """Return how often a run has been put back so far."""
    return sum(state.name == _REVIVED for state in states)


def _states(client: SyncPrefectClient, flow_run_id: UUID) -> list[State]:
    return sorted(client.read_flow_run_states(flow_run_id), key=lambda state: state.timestamp)


def _settled_states(client: SyncPrefectClient, flow_run_id: UUID) -> list[State]:
    """Return the run's history, oldest first, once the run has ended or 20 s have passed."""
    deadline = time.monotonic() + _LIMIT_S
    while True:
        states = _states(client, flow_run_id)
        age = datetime.now(UTC) - states[-1].timestamp
        settled = age > timedelta(seconds=_SETTLED_S) or states[-1].is_cancelled()
        if (settled and states[-1].is_final()) or time.monotonic() > deadline:
            return states
        time.sleep(1.0)


def _put_back(client: SyncPrefectClient, flow_run_id: UUID, states: list[State]) -> str:
    if not states[-1].is_crashed():
        return f"left alone, it is {states[-1].name}"
    number = num_revivals(states) + 1
    if number > _MAX_REVIVALS:
        return _give_up(client, flow_run_id)
    message = f"Put back after its process died ({number} of {_MAX_REVIVALS})"
    answer: OrchestrationResult[Any] = client.set_flow_run_state(
        flow_run_id, Scheduled(name=_REVIVED, message=message)
    )
    if answer.status is not SetStateStatus.ACCEPT:
        return f"not put back, Prefect says: {answer.details}"
    return message


def _give_up(client: SyncPrefectClient, flow_run_id: UUID) -> str:
    """Set the run to Failed, not Crashed, because it will not be put back any more.

    This triggers the alert about failed runs (``srgan/services/alerts.yaml``).
    """
    message = f"Its process died after it had been put back {_MAX_REVIVALS} times; see its log"
    answer: OrchestrationResult[Any] = client.set_flow_run_state(
        flow_run_id, Failed(message=message), force=True
    )
    if answer.status is not SetStateStatus.ACCEPT:
        raise ClusterError(f"flow run {flow_run_id} could not be set to Failed: {answer}")
    free_lock(client, flow_run_id)
    return f"given up. {message}"


def _finish_cancelling(
    client: SyncPrefectClient, flow_run_id: UUID, last: State, stopped: list[str]
) -> str:
    """End a run that was cancelled while it had no process: nothing else runs its hook."""
    free_lock(client, flow_run_id)
    if not last.is_cancelled():
        message = "Cancelled while it had no process"
        answer: OrchestrationResult[Any] = client.set_flow_run_state(
            flow_run_id, Cancelled(message=message), force=True
        )
        if answer.status is not SetStateStatus.ACCEPT:
            raise ClusterError(f"flow run {flow_run_id} could not be set to Cancelled: {answer}")
    return f"cancelled; stopped {', '.join(stopped) or 'no job'}"
