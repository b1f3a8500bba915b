"""Flow runs that count as running, and those that wait, on a real Prefect server."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Pending, Running, Scheduled, Suspended

from srgan.errors import OrchestratorError
from srgan.services.prefect_runs import flow_run_page, resume_flow_run, running_flow_runs
from srgan.settings import Settings
from tests.support.passwords import password_wanted


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
        "waits": Suspended(),
    }
    with get_client(sync_client=True) as client:
        for name, state in states.items():
            client.create_flow_run(probe, parameters={"model": "m"}, name=name, state=state)
        found = {run.name: run for run in running_flow_runs() if run.flow == "gc-probe"}
        assert found.keys() == {"runs", "begins", "due", "crashed", "waits"}
        assert [name for name, run in found.items() if run.waits] == ["waits"]
        assert found["runs"].parameters == {"model": "m"}
        for run in found.values():
            client.delete_flow_run(run.run_id)


def test_a_server_that_does_not_answer_is_an_error() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(OrchestratorError, match="does not say which flows are running"),
    ):
        running_flow_runs()
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(OrchestratorError, match="does not resume flow run"),
    ):
        resume_flow_run(str(uuid4()))


def test_a_wrong_password_is_named_and_not_the_address() -> None:
    with (
        password_wanted() as address,
        temporary_settings({PREFECT_API_URL: address}),
        pytest.raises(OrchestratorError, match="Set PREFECT_API_AUTH_STRING") as refused,
    ):
        running_flow_runs()
    assert "PREFECT_API_URL" not in str(refused.value)


def test_a_page_of_a_run_does_not_show_the_password_of_the_api() -> None:
    run_id = str(uuid4())
    with temporary_settings({PREFECT_API_URL: "http://me:secret@prefect:4200/api"}):
        page = flow_run_page(Settings(prefect_public_url=None), run_id)
    assert page == f"http://prefect:4200/runs/flow-run/{run_id}"


@pytest.mark.usefixtures("prefect_api")
def test_a_suspended_run_is_resumed_once_and_one_that_is_over_or_gone_needs_nothing() -> None:
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(probe), name="waits")
        run = client.create_flow_run_from_deployment(deployment, parameters={"model": "m"})
        client.set_flow_run_state(run.id, Running())
        assert not resume_flow_run(str(run.id)), "it may still be suspended"
        client.set_flow_run_state(run.id, Suspended())
        assert resume_flow_run(str(run.id))
        state = client.read_flow_run(run.id).state
        assert state is not None
        assert state.name == "Resuming"
        assert not resume_flow_run(str(run.id))
        client.set_flow_run_state(run.id, Completed(), force=True)
        assert resume_flow_run(str(run.id)), "it is over"
        client.delete_flow_run(run.id)
        assert resume_flow_run(str(run.id)), "it is gone"
