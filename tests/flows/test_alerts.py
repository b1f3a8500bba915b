"""Our own alerts: automations and block on a real Prefect server, to a receiver."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import (
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Pending,
    Running,
    Scheduled,
)

from flows import revive as module
from flows.revive import revive
from srgan.services.prefect_alerts import ALERTS, BLOCK, apply_alerts
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the block's own client
]

Messages = list[dict[str, str]]


@pytest.fixture(scope="module")
def messages(prefect_api: None) -> Iterator[Messages]:
    """Messages that the alerts send, as they arrive."""
    received: Messages = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server, get_client(sync_client=True) as client:
        threading.Thread(target=server.serve_forever).start()
        block = CustomWebhookNotificationBlock(
            name="tests",
            url=f"http://127.0.0.1:{server.server_port}",
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        )
        block_id = block.save(BLOCK, overwrite=True)
        apply_alerts(ALERTS)
        yield received
        # The server is shared, and others' runs would be called silent.
        for name in (each["name"] for each in yaml.safe_load(ALERTS.read_text())["automations"]):
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)
        client.delete_block_document(block_id)
        server.shutdown()


@flow(name="retrain")
def nightly() -> None:
    """Stand for any deployed flow, whose states are set by hand."""


def make_run(deployment: str | None = "nightly", pool: str | None = None, tag: str = "t") -> UUID:
    """Make a run of a deployment of this name, or of none."""
    with get_client(sync_client=True) as client:
        if deployment is None:
            return client.create_flow_run(nightly).id
        flow_id = client.create_flow(nightly)
        made = client.create_deployment(flow_id, name=deployment, work_pool_name=pool)
        return client.create_flow_run_from_deployment(made, tags=[tag]).id


def go_through(run: UUID, *states: State[None]) -> UUID:
    """Take a run through these states."""
    with get_client(sync_client=True) as client:
        for state in states:
            client.set_flow_run_state(run, state, force=True)
    return run


def test_a_failed_run_sends_a_message_and_a_cancelled_or_nested_one_sends_none(
    messages: Messages,
) -> None:
    before = len(messages)
    go_through(make_run(), Running(), Cancelling(), Crashed(), Cancelled())
    go_through(make_run(None), Running(), Failed(message="nested"))
    failed = go_through(make_run(), Running(), Failed(message="no space left"))
    wait_until(lambda: len(messages) > before, "a message about the failure", 60)
    (message,) = messages[before:]
    assert message["subject"] == "srgan: nightly has failed"
    assert "of retrain/nightly: no space left" in message["body"]
    assert str(failed) in message["body"], "it says which run"


def test_a_run_that_died_after_it_was_put_back_three_times_is_failed_and_sends_a_message(
    messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_S", 0.0)
    before = len(messages)
    given_up = go_through(make_run(), Running(), Crashed())
    for number in (1, 2, 3):
        assert revive(str(given_up)) == f"Put back after its process died ({number} of 3)"
        go_through(given_up, Pending(), Running(), Crashed())
    assert messages[before:] == [], "a crash alone is not a failure yet"
    assert revive(str(given_up)).startswith("given up. Its process died")
    wait_until(lambda: len(messages) > before, "a message about the run that was given up", 60)
    (message,) = messages[before:]
    assert "put back 3 times" in message["body"]
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(given_up).state
    assert state is not None
    assert state.is_failed()


def heartbeat(run: UUID) -> None:
    """Send the sign of life that a flow's process sends."""
    with get_client(sync_client=True) as client:
        deployment = client.read_flow_run(run).deployment_id
    emit_event(
        "prefect.flow-run.heartbeat",
        resource={"prefect.resource.id": f"prefect.flow-run.{run}"},
        related=[
            {
                "prefect.resource.id": f"prefect.deployment.{deployment}",
                "prefect.resource.role": "deployment",
            }
        ],
    )


@pytest.mark.slow(group="parts")  # Prefect waits for ten seconds at least, then looks every five
def test_what_is_silent_late_overdue_or_slow_sends_a_message_and_what_is_well_sends_none(
    messages: Messages, tmp_path: Path
) -> None:
    hasty = tmp_path / "alerts.yaml"
    hasty.write_text(re.sub(r"within: \d{3,}", "within: 10", ALERTS.read_text()))
    apply_alerts(hasty)
    before = len(messages)
    with get_client(sync_client=True) as client:
        for pool in ("idle", "busy"):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    silent, ended = (go_through(make_run("train"), Running()) for _ in range(2))
    for run in (silent, ended):
        heartbeat(run)
    go_through(ended, Completed())
    late = go_through(make_run(pool="idle"), Scheduled(name="Late"))
    go_through(make_run(pool="busy"), Scheduled(name="Late"), Pending())
    overdue = go_through(make_run("retrain", tag="auto-scheduled"), Running(), Completed())
    go_through(make_run("retrain"), Running(), Completed())  # started by hand
    slow = go_through(make_run("upscale"), Running(), Crashed(), Pending(), Running())
    go_through(make_run("upscale"), Running(), Completed())
    wait_until(lambda: len(messages) >= before + 4, "four messages", 120)
    found = {message["subject"]: message["body"] for message in messages[before:]}
    wanted = {
        "srgan: a run of train is silent": silent,
        "srgan: nothing takes the runs of idle": late,
        "srgan: retrain is overdue": overdue,
        "srgan: upscale is slow": slow,
    }
    assert found.keys() == wanted.keys()
    for subject, run in wanted.items():
        assert str(run) in found[subject], "it says which run"
    assert len(messages) == before + 4
    with get_client(sync_client=True) as client:
        states = [client.read_flow_run(run).state for run in (silent, ended)]
    assert [state.type.value if state else None for state in states] == ["CRASHED", "COMPLETED"]
