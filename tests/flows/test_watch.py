"""New photos start a bulk run: `upscale/watch` as `prefect deploy` makes it, on a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from prefect.states import AwaitingConcurrencySlot, Crashed, Running, Scheduled

from flows import upscale as upscale_module
from flows.upscale import upscale
from srgan.config import UpscaleConfig
from srgan.errors import DataError, OrchestratorError
from tests.support.bench import Bench, outputs
from tests.support.checkout import DEPLOYMENTS, ROOT
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("prefect_api")

((ARRIVED,),) = (trigger["expect"] for trigger in DEPLOYMENTS["watch"]["triggers"])
PHOTO = "s3://pets/small/demo/sub/a b"


@flow(name="witness")
def witness_flow() -> None:
    """Stand for another flow that is started by the same events; nothing runs it here."""


@pytest.fixture(scope="module")
def witness(prefect_api: None) -> UUID:
    """A deployment that every event about photos starts."""
    trigger = DeploymentEventTrigger.model_validate(
        {"name": "witness", "expect": [ARRIVED], "posture": "Reactive", "threshold": 1}
    )
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(witness_flow), name="witness")
        trigger.set_deployment_id(made)
        client.create_automation(trigger.as_automation())
    return made


@pytest.fixture
def watch(prefect_api: None) -> UUID:
    """The deployment ``upscale/watch`` as a user gets it, for the bucket ``pets``."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="srgan", type="process"), overwrite=True)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("prefect")), *("--no-prompt", "deploy", "-n", "watch")],
        cwd=ROOT,
        env={
            **os.environ,
            "PREFECT_API_URL": PREFECT_API_URL.value(),
            "PYTHONWARNINGS": "ignore",
            "SRGAN_BUCKET": "pets",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name("upscale/watch").id


def runs(deployment: UUID) -> list[FlowRun]:
    """Runs of a deployment, those of its schedule left out."""
    with get_client(sync_client=True) as client:
        filtered = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return client.read_flow_runs(deployment_filter=filtered)


def announce(address: str, at: datetime | None = None) -> None:
    """Send the event that docs/upscaling.md shows; `at` is its time, if not now."""
    event = {
        "event": ARRIVED,
        "occurred": (at or datetime.now(UTC)).isoformat(),
        "id": str(uuid4()),
        "resource": {"prefect.resource.id": address},
    }
    httpx.post(f"{PREFECT_API_URL.value()}/events", json=[event]).raise_for_status()


@pytest.mark.slow(group="parts")
def test_photos_start_a_run_only_where_somebody_has_enabled_that_and_many_start_one(
    watch: UUID, witness: UUID
) -> None:
    with get_client(sync_client=True) as client:
        schedules = client.read_deployment(watch).schedules
        (automation,) = client.read_automations_by_name("srgan-watch")
    assert [schedule.active for schedule in schedules] == [False]
    seen = len(runs(witness))
    announce(PHOTO)
    wait_until(lambda: len(runs(witness)) == seen + 1, "the server looks at the event", 60)
    assert runs(watch) == [], "the trigger is off"

    with get_client(sync_client=True) as client:
        client.resume_automation(automation.id)
    began, tries = datetime.now(UTC), count(1)

    def is_started() -> bool:
        # The server takes a change of the trigger into account a moment after its answer.
        announce(f"{PHOTO}-{next(tries)}.jpg")
        return bool(runs(watch))

    wait_until(is_started, "a photo starts a run", 180, every_s=1)
    ended = datetime.now(UTC)
    (run,) = runs(watch)
    assert run.parameters == {
        "source": "s3://pets/small/demo",
        "destination": "s3://pets/upscaled/demo",
        "model": "srgan-demo",
        "config": {"only_new": True, "gpu": "auto"},
    }
    wait = timedelta(seconds=300)
    assert run.expected_start_time is not None
    assert run.expected_start_time > began + wait, "it covers photos that come until then"

    announce(PHOTO, began + 0.99 * wait)
    announce("s3://pets/small/demo/", ended + 1.01 * wait)
    wait_until(lambda: len(runs(watch)) > 1, "photos after the start of the run start another", 60)
    announce("s3://pets/small/other/a.jpg", ended + 3 * wait)
    seen += next(tries) + 3
    wait_until(lambda: len(runs(witness)) == seen, "the server looks at all events", 60)
    assert len(runs(watch)) == 2, "neither a photo of the first run nor one below another prefix"


@pytest.fixture(scope="module")
def receiver(prefect_api: None) -> Iterator[str]:
    """Address of a running ``infra/s3_events.py``."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "infra" / "s3_events.py"), "--port", str(port)],
        env={**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()},
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address), "the receiver answers", 60)
        yield address
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 501
    except httpx.TransportError:
        return False


def test_the_messages_of_s3_stores_become_events_about_the_objects_that_were_written(
    receiver: str, witness: UUID
) -> None:
    seen = len(runs(witness))

    def record(name: str, key: str) -> dict[str, object]:
        return {"eventName": name, "s3": {"bucket": {"name": "pets"}, "object": {"key": key}}}

    minio = [
        record("s3:ObjectCreated:Put", "small/demo/sub/a+b.jpg"),
        record("s3:ObjectRemoved:Delete", "small/demo/b.jpg"),
    ]
    aws = [record("ObjectCreated:CompleteMultipartUpload", "small/demo/c.jpg")]
    for records in (minio, aws):
        assert httpx.post(receiver, json={"Records": records}).status_code == 204
    wait_until(lambda: len(runs(witness)) >= seen + 2, "an event for each written object", 60)
    assert len(runs(witness)) == seen + 2
    for strange in (b"hello", b"[]", b"{}", json.dumps({"Records": [{}]}).encode()):
        assert httpx.post(receiver, content=strange).status_code == 400, strange
    answer = httpx.post(receiver, content=b"\x80 what nobody else should read")
    assert answer.reason_phrase == "not a notification of an S3 store: UnicodeDecodeError"
    assert "nobody" not in answer.text


@pytest.mark.parametrize(
    ("length", "status"),
    [("ten", 400), ("-1", 400), ("9" * 5000, 400), (str(2**20 + 1), 413)],
    ids=["not a number", "negative", "endless", "too large"],
)
def test_a_message_of_an_impossible_length_is_answered_and_not_read(
    receiver: str, length: str, status: int
) -> None:
    connection = HTTPConnection(httpx.URL(receiver).netloc.decode(), timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", length)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.slow(group="parts")
def test_a_run_for_new_photos_does_them_once_and_leaves_nothing_where_none_is_new(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched() -> object:
        bench.root = f"{bench.root}-next"
        config = UpscaleConfig(only_new=True)
        return upscale(bench.uri("photos"), bench.uri("up"), "m", config)

    bench.store.put("photos/bad.png", b"no picture")
    with pytest.raises(DataError, match=r"1 of 4 images failed"):
        watched()
    everything = {info.key: info.token for info in bench.store.list("")}
    assert len(outputs(bench.store)) == 3
    assert watched() is None
    assert {info.key: info.token for info in bench.store.list("")} == everything
    assert len(bench.job_runs) == 1, "no job for the photo that failed before"
    bench.store.put("photos/new.jpg", bench.store.get("photos/a.jpg"))
    watched()
    assert len(outputs(bench.store)) == 4


def test_a_run_for_new_photos_may_come_before_the_first_photo(bench: Bench) -> None:
    state = upscale(
        bench.uri("photos"),
        bench.uri("up"),
        "m",
        UpscaleConfig(only_new=True),
        return_state=True,
    )
    assert state.is_completed()
    assert state.message == (
        f"Nothing is new below {bench.uri('photos')}: 0 images to upscale (0.0 kB in 0 batches), "
        "0 done by earlier runs, 0 refused"
    )


@contextmanager
def two_due(bench: Bench) -> Iterator[tuple[FlowRun, FlowRun]]:
    """Two equal runs of one deployment that were due an hour ago."""
    parameters = {
        "source": bench.uri("photos"),
        "destination": bench.uri("up"),
        "model": "m",
        "config": {"only_new": True},
    }
    due: State[None] = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=1))
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(upscale), name="due")
        first, second = (
            client.create_flow_run_from_deployment(made, parameters=parameters, state=due)
            for _ in range(2)
        )
        yield first, second
        for run in (first, second):  # or other tests would see them wait
            client.delete_flow_run(run.id)


def state_of(run: FlowRun) -> str | None:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    return state.name if state else None


def test_a_run_for_new_photos_that_fails_leaves_those_that_wait(bench: Bench) -> None:
    bench.store.put("photos/bad.png", b"no picture")
    with two_due(bench) as (works, waits):
        run_flow(upscale, flow_run=works, parameters=works.parameters, return_type="state")
        assert (state_of(works), state_of(waits)) == ("Failed", "Scheduled")


@pytest.mark.usefixtures("photos")
def test_a_run_for_new_photos_that_cannot_cancel_those_that_wait_warns_and_succeeds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(**_: object) -> object:
        raise OrchestratorError("Prefect is away")

    monkeypatch.setattr(upscale_module, "get_client", away)
    with two_due(bench) as (works, waits):
        run_flow(upscale, flow_run=works, parameters=works.parameters, return_type="state")
        assert (state_of(works), state_of(waits)) == ("Completed", "Scheduled")
    assert len(outputs(bench.store)) == 3
    assert "Runs that wait list everything once more" in caplog.text


def test_a_run_for_new_photos_cancels_those_that_wait_to_find_the_same(bench: Bench) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    parameters = {
        "source": bench.uri("photos"),
        "destination": bench.uri("up"),
        "model": "m",
        "config": {"only_new": True},
    }
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            client.create_flow(upscale), name="waits", parameters=parameters
        )

        def planned(state: State[None], **others: object) -> UUID:
            return client.create_flow_run_from_deployment(
                deployment, parameters={**parameters, **others}, state=state
            ).id

        runs = {
            "works": planned(Scheduled(scheduled_time=now - 2 * hour)),
            "is due": planned(Scheduled(scheduled_time=now - hour)),
            "waits for its turn": planned(AwaitingConcurrencySlot(scheduled_time=now - hour)),
            "comes later": planned(Scheduled(scheduled_time=now + hour)),
            "looks elsewhere": planned(
                Scheduled(scheduled_time=now - hour), source=bench.uri("others")
            ),
            "is put back": planned(Scheduled(scheduled_time=now - hour)),
        }
        for state in (Running(), Crashed(), Scheduled(name="Revived")):
            client.set_flow_run_state(runs["is put back"], state)
        works = client.read_flow_run(runs["works"])
        run_flow(upscale, flow_run=works, parameters=parameters, return_type="state")
        found = {name: client.read_flow_run(run).state for name, run in runs.items()}
        for run in runs.values():  # or other tests would see them wait
            client.delete_flow_run(run)
    assert {name: state and state.name for name, state in found.items()} == {
        "works": "Completed",
        "is due": "Cancelled",
        "waits for its turn": "Cancelled",
        "comes later": "Scheduled",
        "looks elsewhere": "Scheduled",
        "is put back": "Revived",
    }
