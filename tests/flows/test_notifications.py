"""Messages about failures: automation, event and block on a real Prefect server, to a receiver."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL
from prefect.states import (
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Pending,
    Running,
)

from flows import revive as module
from flows.revive import revive
from tests.support.checkout import ROOT
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the block's own client
]


@pytest.fixture(scope="module")
def messages(
    prefect_api: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[dict[str, str]]]:
    """Messages that the automation of ``infra/notifications.yaml`` sends, as they arrive."""
    received: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever).start()
        block = CustomWebhookNotificationBlock(
            name="tests",
            url=f"http://127.0.0.1:{server.server_port}",
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
        )
        block_id = block.save("srgan-alerts", overwrite=True)
        apply("notifications.yaml", tmp_path_factory.mktemp("automation"), BLOCK_ID=str(block_id))
        yield received
        server.shutdown()


def apply(file: str, folder: Path, **changes: str) -> None:
    """Create the automation as the documentation says, with `changes` of the file's text."""
    text = (ROOT / "infra" / file).read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / file).write_text(text)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("prefect")),
            *("automation", "create", "--from-file", str(folder / file)),
        ],
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@flow(name="retrain")
def nightly() -> None:
    """Stand for any deployed flow, whose states are set by hand."""


def run_through(*states: State[None], deployed: bool = True) -> UUID:
    """Take a run, of a deployment or not, through these states."""
    with get_client(sync_client=True) as client:
        if deployed:
            flow_id = client.create_flow(nightly)
            deployment = client.create_deployment(flow_id, name="nightly")
            run = client.create_flow_run_from_deployment(deployment)
        else:
            run = client.create_flow_run(nightly)
    go_through(run.id, Running(), *states)
    return run.id


def go_through(run: UUID, *states: State[None]) -> None:
    with get_client(sync_client=True) as client:
        for state in states:
            client.set_flow_run_state(run, state, force=True)


def test_a_failed_run_sends_a_message_and_a_cancelled_or_nested_one_sends_none(
    messages: list[dict[str, str]],
) -> None:
    before = len(messages)
    run_through(Cancelling(), Crashed(), Cancelled())
    run_through(Failed(message="nested"), deployed=False)
    failed = run_through(Failed(message="no space left"))
    wait_until(lambda: len(messages) > before, "a message about the failure", 60)
    (message,) = messages[before:]
    assert message["subject"] == "srgan: nightly has failed"
    assert "of retrain/nightly: no space left" in message["body"]
    assert str(failed) in message["body"], "it says which run"


def test_a_run_that_died_after_it_was_put_back_three_times_is_failed_and_sends_a_message(
    messages: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_S", 0.0)
    before = len(messages)
    given_up = run_through(Crashed())
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


@pytest.mark.slow(group="parts")
def test_a_run_that_sends_no_sign_of_life_any_more_is_called_crashed(tmp_path: Path) -> None:
    apply("silent-runs.yaml", tmp_path, **{"within: 900": "within: 10"})
    silent, ended = run_through(), run_through()
    with get_client(sync_client=True) as client:
        deployment = client.read_flow_run(silent).deployment_id
        for run in (silent, ended):
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
        client.set_flow_run_state(ended, Completed(), force=True)

        def is_crashed() -> bool:
            state = client.read_flow_run(silent).state
            return state is not None and state.is_crashed()

        wait_until(is_crashed, "the silent run to be called crashed", 90)
        state = client.read_flow_run(ended).state
        assert state is not None
        assert state.is_completed()
