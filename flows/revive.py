"""Flow: put back a run whose process died, and clean up after one that a user cancelled.

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

from flows.support.model_lock import give_turn_back
from srgan.errors import ClusterError
from srgan.services.ray_jobs import RayJobs
from srgan.settings import Settings

_MAX_REVIVALS = 3
# Of the states that this flow gives: they stay in the run's history, which is how it counts.
_REVIVED = "Revived"
# The worker may report the end of a process a moment after the process itself has.
_SETTLED_S = 5.0
_LIMIT_S = 20.0
_CANCEL = {StateType.CANCELLING, StateType.CANCELLED}


@flow(name="revive", log_prints=False)
def revive(flow_run_id: str) -> str:
    """Put a crashed run back at most three times, then fail it; of a cancelled one, stop the rest.

    A cancelled run goes CANCELLING → CRASHED → CANCELLED, so its history decides, not its state.
    Returns what was done, in words.
    """
    with get_client(sync_client=True) as client:
        run = UUID(flow_run_id)
        # A user's cancel is obeyed before anything is waited for.
        stopped = _stop_jobs(flow_run_id) if was_cancelled(_states(client, run)) else None
        states = _settled_states(client, run)
        if was_cancelled(states):
            stopped = _stop_jobs(flow_run_id) if stopped is None else stopped
            done = _finish_cancelling(client, run, states[-1], stopped)
        else:
            done = _put_back(client, run, states)
    get_run_logger().info("Flow run %s: %s", flow_run_id, done)
    return done


def was_cancelled(states: list[State]) -> bool:
    """Whether a user cancelled the present life of a run; a life begins by being scheduled."""
    life: list[StateType] = []
    for state in states:
        life = [] if state.type is StateType.SCHEDULED else [*life, state.type]
    return not _CANCEL.isdisjoint(life)


def num_revivals(states: list[State]) -> int:
    """How often a run has been put back so far."""
    return sum(state.name == _REVIVED for state in states)


def _states(client: SyncPrefectClient, flow_run_id: UUID) -> list[State]:
    return sorted(client.read_flow_run_states(flow_run_id), key=lambda state: state.timestamp)


def _stop_jobs(flow_run_id: str) -> list[str]:
    jobs = RayJobs(Settings().require("ray_address"), patience_s=_LIMIT_S)
    return jobs.stop_root(flow_run_id)


def _settled_states(client: SyncPrefectClient, flow_run_id: UUID) -> list[State]:
    """The run's history, oldest first, once it has come to an end (or does not within 20 s)."""
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
    """Failed instead of Crashed: nobody will look after it any more, so that is what it is.

    Automations that send messages are triggered by it (``infra/notifications.yaml``).
    """
    message = f"Its process died, after it had been put back {_MAX_REVIVALS} times; see its log"
    answer: OrchestrationResult[Any] = client.set_flow_run_state(
        flow_run_id, Failed(message=message), force=True
    )
    if answer.status is not SetStateStatus.ACCEPT:
        raise ClusterError(f"flow run {flow_run_id} could not be set to Failed: {answer}")
    give_turn_back(client, flow_run_id)
    return f"given up. {message}"


def _finish_cancelling(
    client: SyncPrefectClient, flow_run_id: UUID, last: State, stopped: list[str]
) -> str:
    """For a run cancelled while it had no process: nobody else runs its hook or ends it."""
    give_turn_back(client, flow_run_id)
    if not last.is_cancelled():
        message = "Cancelled while it had no process"
        answer: OrchestrationResult[Any] = client.set_flow_run_state(
            flow_run_id, Cancelled(message=message), force=True
        )
        if answer.status is not SetStateStatus.ACCEPT:
            raise ClusterError(f"flow run {flow_run_id} could not be set to Cancelled: {answer}")
    return f"cancelled; stopped {', '.join(stopped) or 'no job, none was running'}"
