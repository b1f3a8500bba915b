"""Ask Prefect's server which flow runs are under way."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from srgan.errors import OrchestratorError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

_PAGE = 200
_REVIVED_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True)
class Running:
    """One flow run that works or is about to go on."""

    flow: str
    run_id: str
    name: str
    parameters: dict[str, Any]


def running_flow_runs() -> list[Running]:
    """Root flow runs that run, are about to, or were put back; `OrchestratorError` if unknown.

    One that crashed a moment ago counts: an automation may be putting it back.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        with get_client(sync_client=True) as client:
            runs: list[FlowRun] = []
            names: dict[Any, str] = {}
            while len(page := _page(client, len(runs))) == _PAGE:
                runs += page
            runs += page
            for run in runs:
                if run.flow_id not in names:
                    names[run.flow_id] = client.read_flow(run.flow_id).name
    except (HTTPError, PrefectException, OSError, RuntimeError) as error:
        raise OrchestratorError(
            f"Prefect's server cannot be asked which flows are running: {error}. Check "
            "PREFECT_API_URL; nothing was deleted"
        ) from error
    return [
        Running(names[run.flow_id], str(run.id), run.name, run.parameters)
        for run in runs
        if _matters(run)
    ]


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
    """Neither nested, nor planned for later, nor crashed long ago."""
    if run.parent_task_run_id is not None or run.state is None:
        return False
    if run.state.is_scheduled():
        due = run.expected_start_time
        return run.start_time is not None or (due is not None and due <= datetime.now(UTC))
    if run.state.is_crashed():
        return run.state.timestamp > datetime.now(UTC) - _REVIVED_WITHIN
    return True
