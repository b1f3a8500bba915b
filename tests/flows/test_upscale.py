"""The steps of the bulk flow in one process: a real object store and engine, no cluster."""

import logging
from collections.abc import Callable

import pytest
import torch
from pydantic import BaseModel

from flows import upscale as module
from flows.upscale import plan_run, publish_summary, upscale, upscale_batch
from srgan.adapters import registry
from srgan.adapters import upscale_worker as worker
from srgan.adapters.s3 import S3Store
from srgan.adapters.upscale_worker import UpscaleSpec
from srgan.config import GeneratorConfig, UpscaleConfig
from srgan.errors import ConfigError, DataError
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.refs import ModelRef, UpscaleReport
from srgan.settings import Settings
from srgan.upscale.summary import check
from tests.conftest import DrawPhoto


class Models:
    """A registry whose champion a test can change."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=8)
        self.weights = dump_generator(build_generator(config))
        self.champion = 1
        self.loaded: list[int] = []

    def resolve(self, address: str) -> ModelRef:
        return ModelRef(name=address, version=self.champion, run="r", weights_digest="ab" * 32)

    def load_generator_bytes(self, ref: ModelRef) -> bytes:
        self.loaded.append(ref.version)
        return self.weights


class Bench:
    """A flow run with the id ``root`` whose jobs run here, one after another."""

    def __init__(self, store: S3Store, settings: Settings, models: Models) -> None:
        self.store = store
        self.settings = settings
        self.models = models
        self.root = "root"
        self.job_runs: list[str] = []
        self.artifacts: dict[str, list[dict[str, object]]] = {}

    def uri(self, prefix: str) -> str:
        return self.store.uri(prefix)

    def run_job(self, *, stage: str, run: str, module: str, spec: BaseModel, spec_key: str) -> None:
        assert module == "srgan.adapters.ray_upscale"
        assert isinstance(spec, UpscaleSpec)
        self.job_runs.append(run)
        sent = UpscaleSpec.model_validate_json(spec.model_dump_json())
        worker.upscale(sent, self.settings, self.store, self.store)

    def show(self, *, key: str, table: list[dict[str, object]], description: str) -> None:
        self.artifacts[key] = table

    def upscale(self, **config: object) -> UpscaleReport:
        """The calls of the flow's body."""
        chosen = UpscaleConfig.model_validate(config)
        plan = plan_run.fn(self.uri("photos"), self.uri("up"), "m", chosen)
        finished = {number: upscale_batch.fn(number, plan) for number in range(plan.num_batches)}
        report, summary = publish_summary.fn(plan, finished, {})
        check(summary, chosen.failure_tolerance)
        return report


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, object_store: S3Store, s3_settings: Settings) -> Bench:
    models = Models()
    bench = Bench(object_store, s3_settings, models)
    monkeypatch.setattr(module, "Settings", lambda: s3_settings)
    monkeypatch.setattr(module, "Registry", lambda _: models)
    monkeypatch.setattr(registry, "Registry", lambda _: models)
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("flow-run"))
    monkeypatch.setattr(module, "root_flow_run_id", lambda: bench.root)
    monkeypatch.setattr(module, "run_job", bench.run_job)
    monkeypatch.setattr(module, "create_table_artifact", bench.show)
    return bench


@pytest.fixture
def photos(bench: Bench, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]) -> list[str]:
    """Names of three photos below ``photos/``."""
    names = ["a.jpg", "sub/Ünï.png", "z.webp"]
    for seed, name in enumerate(names):
        kind = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[name.rpartition(".")[2]]
        bench.store.put(f"photos/{name}", encode_photo(draw_photo(seed, 16, 24), kind))
    return names


def outputs(store: S3Store) -> dict[str, str]:
    return {info.key: info.token for info in store.list("up/") if "/_srgan/" not in info.key}


def test_every_image_is_upscaled_under_its_relative_path(bench: Bench, photos: list[str]) -> None:
    report = bench.upscale()
    assert (report.num_done, report.num_skipped, report.num_failed) == (3, 0, 0)
    assert list(outputs(bench.store)) == [f"up/{name}" for name in photos]
    assert bench.artifacts["upscale"][0]["done"] == 3


def test_a_second_run_submits_no_job_and_changes_nothing(bench: Bench, photos: list[str]) -> None:
    bench.upscale(output_format="png")
    before = outputs(bench.store)
    bench.root, bench.job_runs = "another-root", []
    report = bench.upscale(output_format="png")
    assert (report.num_done, report.num_skipped, bench.job_runs) == (0, 3, [])
    assert outputs(bench.store) == before


def test_a_run_without_any_records_recognises_outputs_by_their_metadata(
    bench: Bench, photos: list[str]
) -> None:
    bench.upscale()
    before = outputs(bench.store)
    for info in list(bench.store.list("up/_srgan/")):
        bench.store.delete(info.key)
    report = bench.upscale()
    assert (report.num_done, report.num_skipped) == (0, 3)
    assert outputs(bench.store) == before


def test_a_new_champion_in_the_middle_of_a_run_mixes_nothing(
    bench: Bench, photos: list[str]
) -> None:
    plan = plan_run.fn(bench.uri("photos"), bench.uri("up"), "m", UpscaleConfig(batch_bytes=1))
    upscale_batch.fn(0, plan)
    bench.models.champion = 2
    # The flow process dies here and the same run is put back: it follows its own plan.
    again = plan_run.fn(bench.uri("photos"), bench.uri("up"), "m", UpscaleConfig(batch_bytes=1))
    assert again == plan
    for number in range(1, again.num_batches):
        upscale_batch.fn(number, again)
    assert set(bench.models.loaded) == {1}
    assert {bench.store.metadata(f"up/{name}")["srgan-model"] for name in photos} == {
        "m/1@abababababababab"
    }
    bench.root = "another-root"
    assert bench.upscale().num_done == 3, "the next run uses the new champion"


def test_bad_images_fail_the_flow_after_all_others_are_done(
    bench: Bench, photos: list[str]
) -> None:
    bench.store.put("photos/broken.png", b"not a picture")
    with pytest.raises(DataError, match=r"1 of 4 images failed \(not_an_image 1\), 3 are done"):
        bench.upscale()
    assert len(outputs(bench.store)) == 3
    report = bench.upscale(failure_tolerance=0.25)
    assert (report.num_skipped, report.num_failed) == (3, 1)
    assert list(report.failures) == ["photos/broken.png"]
    assert bench.artifacts["upscale-failures"][0]["image"] == "photos/broken.png"


def test_a_destination_inside_the_source_is_refused_before_the_registry_is_asked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Registry", lambda _: pytest.fail("asked the registry"))
    with pytest.raises(ConfigError, match="inside it"):
        plan_run.fn(bench.uri("photos"), bench.uri("photos/up"), "m", UpscaleConfig())


def test_parameters_of_a_deployment_are_plain_json() -> None:
    given = upscale.validate_parameters(
        {"source": "s3://b/photos", "destination": "s3://b/up", "config": {"jpeg_quality": 80}}
    )
    assert given["config"] == UpscaleConfig(jpeg_quality=80)
    assert upscale.parameters.required == ["source", "destination"]


def test_batches_of_different_runs_and_roots_never_share_a_job(
    bench: Bench, photos: list[str]
) -> None:
    bench.upscale()
    bench.upscale(jpeg_quality=80)
    bench.root = "another-root"
    bench.upscale(jpeg_quality=70)
    assert len(set(bench.job_runs)) == len(bench.job_runs) == 3
