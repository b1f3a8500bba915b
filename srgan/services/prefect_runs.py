"""Ask Prefect's server which flow runs are active, resume one; addresses of their pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from srgan.errors import OrchestratorError, RefusedError
from srgan.logs import without_password
from srgan.services.prefect_setup import asking
from srgan.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_PAGE = 200
_REVIVED_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True)
class Running:
    """A flow run that is running or about to."""

    flow: str
    run_id: str
    name: str
    parameters: dict[str, Any]
    waits: bool = False
    """True while it is suspended, without a process, until somebody resumes it."""


def running_flow_runs() -> list[Running]:
    """Return root flow runs that are running or about to; `OrchestratorError` if Prefect is away.

    Includes runs that crashed within the last 15 minutes: an automation may be reviving them.
    """
    with _asking("does not say which flows are running", "nothing was deleted") as client:
        runs: list[FlowRun] = []
        names: dict[Any, str] = {}
        while len(page := _page(client, len(runs))) == _PAGE:
            runs += page
        runs += page
        for run in runs:
            if run.flow_id not in names:
                names[run.flow_id] = client.read_flow(run.flow_id).name
    return [
        Running(
            names[run.flow_id],
            str(run.id),
            run.name,
            run.parameters,
            waits=run.state is not None and run.state.is_paused(),
        )
        for run in runs
        if _matters(run)
    ]


def resume_flow_run(run_id: str) -> bool:
    """Have a suspended flow run go on; False if it is not suspended (yet).

    True also for one that has ended or was deleted: nobody waits any more. `OrchestratorError` if
    Prefect is away.
    """
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import ObjectNotFound

    with _asking(f"does not resume flow run {run_id}", "the run waits still") as client:
        try:
            state = client.read_flow_run(UUID(run_id)).state
        except ObjectNotFound:
            return True
        if state is None or not state.is_paused():
            return state is not None and state.is_final()
        return client.resume_flow_run(UUID(run_id)).status is SetStateStatus.ACCEPT


@contextmanager
def _asking(problem: str, consequence: str) -> "Iterator[SyncPrefectClient]":
    """A client whose errors say what does not work, and what that means for people."""
    try:
        with asking(timeout_s=None) as client:
            yield client
    except RefusedError as error:
        raise RefusedError(f"{error}; {consequence}") from error
    except OrchestratorError as error:
        raise OrchestratorError(
            f"Prefect's server {problem}: {error}. Check PREFECT_API_URL; {consequence}"
        ) from error


def flow_run_page(settings: Settings, run_id: str) -> str | None:
    """Return the address of a flow run's page; None if this process knows no Prefect server."""
    from prefect.utilities.urls import url_for

    if settings.prefect_public_url:
        return f"{settings.prefect_public_url}/runs/flow-run/{run_id}"
    page = url_for("flow-run", obj_id=run_id)
    return without_password(page) if page else None


def _page(client: Any, offset: int) -> "list[FlowRun]":
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    types = [
        StateType.RUNNING,
        StateType.PENDING,
        StateType.PAUSED,
        StateType.CANCELLING,
        StateType.SCHEDULED,
        StateType.CRASHED,
    ]
    condition = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)))
    found: list[FlowRun] = client.read_flow_runs(
        flow_run_filter=condition, limit=_PAGE, offset=offset
    )
    return found


def _matters(run: "FlowRun") -> bool:
    """True unless the run is nested, planned for later, or crashed long ago."""
    if run.parent_task_run_id is not None or run.state is None:
        return False
    if run.state.is_scheduled():
        due = run.expected_start_time
        return run.start_time is not None or (due is not None and due <= datetime.now(UTC))
    if run.state.is_crashed():
        return run.state.timestamp > datetime.now(UTC) - _REVIVED_WITHIN
    return True
