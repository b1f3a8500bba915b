"""Flows with a version whose weights others trained, on real Prefect, MLflow and S3."""

import hashlib
import logging

import pytest

from flows import upscale as upscale_module
from flows.promote import promote
from flows.support import inputs
from flows.support.inputs import check_scales, find_dataset
from flows.upscale import open_places, plan_run
from srgan.config import GeneratorConfig, UpscaleConfig
from srgan.errors import ConfigError, RegistryError
from srgan.models.interchange import dump_generator
from srgan.promotion.lineage import ImportLineage
from srgan.promotion.log import PromotionLog
from srgan.recipes import tiny
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, CHAMPION, Registry
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions.register import Registrar
from tests.support.networks import random_generator
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

NETWORK = GeneratorConfig(kind="msrresnet", scale=4, num_blocks=1, num_channels=4)


@pytest.fixture
def imported(flow_store: S3Store) -> ModelRef:
    """An imported version; the environment names the services of the tests."""
    return import_to("from-others")


def import_to(model: str, seed: int = 0) -> ModelRef:
    weights = dump_generator(random_generator(NETWORK, seed))
    lineage = ImportLineage(
        source_file="theirs.pth",
        source_sha256="ab" * 32,
        source_format="MSRResNet of BasicSR, torch.save",
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    return Registrar(Settings()).register_import(model, weights, lineage)


@pytest.mark.usefixtures("prefect_api")
def test_a_promotion_of_it_without_a_dataset_fails_and_decides_nothing(
    imported: ModelRef, object_store: S3Store
) -> None:
    with pytest.raises(RegistryError, match=r"was imported from theirs\.pth .* parameter dataset"):
        promote(imported.name, imported.version)
    assert PromotionLog(object_store, imported.name).entries() == []
    registry = Registry(Settings())
    assert registry.alias(imported.name, CHAMPION) is None
    assert registry.alias(imported.name, CHALLENGER) is None


@pytest.mark.slow(group="parts")
@pytest.mark.usefixtures("prefect_api")
def test_it_becomes_champion_by_the_gate_where_it_is_better_on_a_prepared_dataset(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.mirror()
    champion = pipeline.retrain().result()
    data = pipeline.prepare("s3://srgan-test/raw", "leaves", tiny().data)
    monkeypatch.setattr(inputs, "newest_version", lambda _, name: {"leaves": data}[name])
    for seed, distance in enumerate((1.4, 1.2)):
        theirs = import_to(pipeline.model, seed)
        pipeline.distance["model"] = distance
        decision = promote(pipeline.model, theirs.version, dataset="leaves")
        assert decision.promoted == (distance == 1.2)
        assert pipeline.champion() == (theirs if decision.promoted else champion).version
        measured = pipeline.evaluated[-1]
        assert (measured.dataset, measured.contestants["champion"]) == (data, champion)


def test_a_version_of_another_scale_than_the_crops_is_refused_before_it_costs_anything(
    imported: ModelRef,
) -> None:
    with pytest.raises(ConfigError, match=rf"{imported.uri} upscales 4 times, .* at scale 2"):
        check_scales.fn(2, [imported])


def test_an_evaluation_of_it_asks_for_a_dataset(imported: ModelRef) -> None:
    with pytest.raises(RegistryError, match="parameter dataset of the flow"):
        find_dataset.fn(imported, None)


def test_a_bulk_run_plans_with_it_by_its_number(
    imported: ModelRef, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    object_store.put("photos/a.png", b"not looked at by a plan")
    monkeypatch.setattr(upscale_module, "get_run_logger", lambda: logging.getLogger("flow-run"))
    monkeypatch.setattr(upscale_module, "root_flow_run_id", lambda: "root")
    places = open_places(object_store.uri("photos"), object_store.uri("up"))
    _, plan = plan_run.fn(*places, imported.uri, UpscaleConfig())
    assert plan.model == imported
    assert plan.num_todo == 1
