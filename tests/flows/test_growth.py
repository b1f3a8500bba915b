"""New photos and requests over HTTP start a retraining, on a real Prefect server."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.settings import PREFECT_API_URL

from flows.prepare import GROWN, prepare
from srgan.config import DataConfig, GrowthConfig
from srgan.services.s3 import S3Store
from tests.support.checkout import DEPLOYMENTS
from tests.support.photos import DrawPhoto
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("prefect_api", "preparing_here")

_DATA = DataConfig(crop_size=32, shard_bytes=2**20)


@flow(name="retrain")
def retrain() -> None:
    """Stand for the flow of that name, which nothing runs here."""


@flow
def retrain_something(source: str, dataset: str) -> None:
    """Prepare photos within another flow."""
    prepare(source, dataset, _DATA)


@pytest.fixture(scope="module")
def deployment(prefect_api: None) -> UUID:
    """The deployment ``retrain`` with its trigger of ``prefect.yaml``, enabled."""
    (spec,) = DEPLOYMENTS["retrain"]["triggers"]
    trigger = DeploymentEventTrigger.model_validate({**spec, "enabled": True})
    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(retrain), name="retrain")
        trigger.set_deployment_id(made)
        client.create_automation(trigger.as_automation())
    return made


def num_runs(deployment: UUID) -> int:
    with get_client(sync_client=True) as client:
        filtered = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return len(client.read_flow_runs(deployment_filter=filtered))


@pytest.mark.slow(group="parts")
def test_a_dataset_that_has_grown_starts_a_retraining_and_a_little_more_does_not(
    deployment: UUID,
    flow_store: S3Store,
    draw_photo: DrawPhoto,
    encode_photo: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    source = f"s3://{flow_store.bucket}/raw"
    half = GrowthConfig(min_changed_share=0.5)

    def upload(*seeds: int) -> None:
        for seed in seeds:
            flow_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))

    before = num_runs(deployment)
    upload(1, 2, 3)
    retrain_something(source, "demo")
    assert "Announced" not in caplog.text, "within another flow"
    prepare(source, "demo", _DATA, half)
    assert f"Announced (event {GROWN}): dataset demo, photos: 3 new" in caplog.text
    wait_until(lambda: num_runs(deployment) == before + 1, "the trigger starts a retraining", 60)
    upload(4)
    prepare(source, "demo", _DATA, half)
    assert "since dataset demo was last announced as grown: photos: 1 new" in caplog.text.lower()
    upload(5)
    prepare(source, "demo", _DATA, half)
    wait_until(lambda: num_runs(deployment) == before + 2, "two small steps are enough", 60)


def test_a_webhook_may_emit_the_event_or_start_a_run_with_parameters(deployment: UUID) -> None:
    before = num_runs(deployment)
    with httpx.Client(base_url=PREFECT_API_URL.value()) as client:
        event = {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": GROWN,
            "resource": {"prefect.resource.id": "srgan.dataset.demo"},
        }
        other = {"prefect.resource.id": "srgan.dataset.other"}
        elsewhere = {**event, "id": str(uuid4()), "resource": other}
        client.post("/events", json=[elsewhere, event]).raise_for_status()
        wait_until(lambda: num_runs(deployment) == before + 1, "the event starts one", 60)
        found = client.get("/deployments/name/retrain/retrain").raise_for_status().json()["id"]
        assert found == str(deployment)
        asked = {"parameters": {"force": True}}
        run = client.post(f"/deployments/{found}/create_flow_run", json=asked).raise_for_status()
    assert run.json()["parameters"]["force"] is True
    assert num_runs(deployment) == before + 2, "another dataset's event starts none"
