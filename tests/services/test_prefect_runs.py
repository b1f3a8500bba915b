"""Flow runs that count as running, on a real Prefect server."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Pending, Running, Scheduled

from srgan.errors import OrchestratorError
from srgan.services.prefect_runs import running_flow_runs


@flow(name="gc-probe")
def probe(model: str) -> None:
    pass


@pytest.mark.usefixtures("prefect_api")
def test_what_runs_is_due_or_crashed_a_moment_ago_counts_and_what_is_over_or_planned_does_not() -> (
    None
):
    later = datetime.now(UTC) + timedelta(hours=3)
    states = {
        "runs": Running(),
        "begins": Pending(),
        "due": Scheduled(),
        "planned": Scheduled(scheduled_time=later),
        "over": Completed(),
        "crashed": Crashed(),
    }
    with get_client(sync_client=True) as client:
        for name, state in states.items():
            client.create_flow_run(probe, parameters={"model": "m"}, name=name, state=state)
        found = {run.name: run for run in running_flow_runs() if run.flow == "gc-probe"}
        assert found.keys() == {"runs", "begins", "due", "crashed"}
        assert found["runs"].parameters == {"model": "m"}
        for run in found.values():
            client.delete_flow_run(run.run_id)


def test_a_server_that_does_not_answer_is_an_error() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(OrchestratorError, match="does not say which flows are running"),
    ):
        running_flow_runs()
