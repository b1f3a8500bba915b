"""The steps of the bulk flow in one process: a real object store and engine, no cluster."""

import base64
import logging
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from flows import upscale as module
from flows.support import artifacts, upscale_report
from flows.support.upscale_report import (
    RunProgressBar,
    publish_summary,
    show_forecast,
    show_samples,
)
from flows.upscale import open_places, plan_run, preview_run, upscale, upscale_batch
from srgan.bulk.plan import BulkPlan
from srgan.bulk.progress import RunProgress
from srgan.bulk.records import Tally
from srgan.bulk.run import BulkRun
from srgan.bulk.summary import check
from srgan.config import GeneratorConfig, UpscaleConfig
from srgan.errors import ClusterError, ConfigError, DataError
from srgan.images import decode
from srgan.jobs import upscale as worker
from srgan.jobs.upscale import UpscaleSpec
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef, UpscaleReport
from srgan.services import mlflow_models
from srgan.services.mlflow_models import CHAMPION
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.versions import services
from srgan.versions.register import Registrar
from tests.support.photos import DrawPhoto
from tests.support.versions import lineage, weights


class Models:
    """A registry of a model without a promotion log, whose champion a test can change."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=8)
        self.weights = dump_generator(build_generator(config))
        self.champion = 1
        self.loaded: list[int] = []

    def alias(self, name: str, alias: str) -> int:
        return self.champion

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
        self.texts: dict[str, str] = {}

    def uri(self, prefix: str) -> str:
        return self.store.uri(prefix)

    def run_job(self, *, run: str, module: str, spec: BaseModel, **_: object) -> None:
        assert module == "srgan.jobs.upscale"
        assert isinstance(spec, UpscaleSpec)
        self.job_runs.append(run)
        sent = UpscaleSpec.model_validate_json(spec.model_dump_json())
        worker.UpscaleWorker().run(sent)

    def show(self, *, key: str, table: list[dict[str, object]], description: str) -> None:
        self.artifacts[key] = table

    def show_text(self, text: str, *, key: str, description: str) -> None:
        self.texts[key] = text

    def upscale(
        self,
        *,
        source: str | None = None,
        destination: str | None = None,
        manifest: str | None = None,
        **config: object,
    ) -> UpscaleReport:
        """Make the calls of the flow's body."""
        chosen = UpscaleConfig.model_validate(config)
        places = open_places(source or self.uri("photos"), destination or self.uri("up"))
        run, plan = plan_run.fn(*places, "m", chosen, manifest)
        finished = {number: self.batch(number, run) for number in range(plan.num_batches)}
        report, summary = publish_summary.fn(run, plan, finished, {})
        show_samples.fn(run)
        check(summary, chosen.failure_tolerance)
        return report

    def plan(self, destination: str | None = None, **config: object) -> tuple[BulkRun, BulkPlan]:
        """Make the first half of them."""
        places = open_places(self.uri("photos"), destination or self.uri("up"))
        return plan_run.fn(*places, "m", UpscaleConfig.model_validate(config))

    def batch(self, number: int, run: BulkRun) -> Tally:
        return upscale_batch.fn(number, run, num_batches=9)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, object_store: S3Store, s3_settings: Settings) -> Bench:
    models = Models()
    bench = Bench(object_store, s3_settings, models)
    monkeypatch.setattr(services, "Settings", lambda: s3_settings)
    for each in (module, upscale_report):
        monkeypatch.setattr(each, "get_run_logger", lambda: logging.getLogger("flow-run"))
    for each in (services, mlflow_models):
        monkeypatch.setattr(each, "Registry", lambda _: models)
    monkeypatch.setattr(worker, "Settings", lambda: s3_settings)
    monkeypatch.setattr(module, "root_flow_run_id", lambda: bench.root)
    monkeypatch.setattr(module, "run_job", bench.run_job)
    monkeypatch.setattr(upscale_report, "create_table_artifact", bench.show)
    monkeypatch.setattr(upscale_report, "create_markdown_artifact", bench.show_text)
    monkeypatch.setattr(upscale_report, "create_image_artifact", bench.show_text)
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
    assert outputs(bench.store).keys() == {f"up/{name}" for name in photos}
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
    run, plan = bench.plan(batch_bytes=1)
    bench.batch(0, run)
    bench.models.champion = 2
    # The flow process dies here and the same run is put back: it follows its own plan.
    run, again = bench.plan(batch_bytes=1)
    assert again == plan
    assert run.model == plan.model
    for number in range(1, again.num_batches):
        bench.batch(number, run)
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
    monkeypatch.setattr(services, "Registry", lambda _: pytest.fail("asked the registry"))
    with pytest.raises(ConfigError, match="inside it"):
        bench.plan(bench.uri("photos/up"))


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


def test_folders_are_upscaled_like_prefixes_and_only_once(
    bench: Bench, tmp_path: Path, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> None:
    for seed, name in enumerate(["a.png", "sub/Ünï.png"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_photo(draw_photo(seed, 16, 24)))
    folders = {"source": f"{tmp_path}/photos", "destination": f"{tmp_path}/up"}
    assert bench.upscale(**folders).num_done == 2
    up = {path for path in (tmp_path / "up").rglob("*.png") if "_srgan" not in path.parts}
    assert up == {tmp_path / "up" / "a.png", tmp_path / "up" / "sub" / "Ünï.png"}
    times = {path: path.stat().st_mtime_ns for path in up}
    bench.root = "another-root"
    assert bench.upscale(**folders).num_skipped == 2
    assert {path: path.stat().st_mtime_ns for path in up} == times


def test_outputs_in_a_folder_whose_records_are_gone_are_recognised(
    bench: Bench, tmp_path: Path, photos: list[str]
) -> None:
    bench.upscale(destination=f"{tmp_path}/up")
    for records in (tmp_path / "up" / "_srgan").glob("root*"):
        shutil.rmtree(records)
    report = bench.upscale(destination=f"{tmp_path}/up")
    assert (report.num_done, report.num_skipped) == (0, 3)


@pytest.mark.parametrize("where", ["s3", "disk"])
def test_of_a_manifest_only_its_images_are_upscaled(
    bench: Bench, photos: list[str], where: str, tmp_path: Path
) -> None:
    text = b'{"key": "z.webp"}\n{"key": "a.jpg"}\n'
    (tmp_path / "list.jsonl").write_bytes(text)
    bench.store.put("lists/list.jsonl", text)
    address = bench.uri("lists/list.jsonl") if where == "s3" else f"{tmp_path}/list.jsonl"
    assert bench.upscale(manifest=address).num_done == 2
    assert outputs(bench.store).keys() == {"up/a.jpg", "up/z.webp"}
    with pytest.raises(DataError, match=r"/no\.csv does not exist"):
        bench.upscale(manifest="/no.csv")


def test_a_plan_is_shown_and_nothing_is_written(bench: Bench, photos: list[str]) -> None:
    before = {info.key for info in bench.store.list("")}
    places = open_places(bench.uri("photos"), bench.uri("up"))
    forecast = preview_run.fn(*places, "m", UpscaleConfig(), None)
    assert show_forecast.fn(forecast).num_todo == 3
    assert forecast.output_megapixels == pytest.approx(3 * 16 * 24 * 4 / 1e6)
    assert bench.texts["upscale-plan"].startswith("- 3 images to upscale")
    assert {info.key for info in bench.store.list("")} == before


def test_a_folder_that_the_ray_node_does_not_see_is_named(
    bench: Bench, photos: list[str], tmp_path: Path
) -> None:
    run, _ = bench.plan(f"{tmp_path}/up")
    (tmp_path / "up").rename(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match=r"Ray node \S+ does not see the folder .*/up"):
        bench.batch(0, run)
    (tmp_path / "up").mkdir()
    with pytest.raises(ClusterError, match=r"does not find the run's plan below .*/up"):
        bench.batch(0, run)


def test_a_source_folder_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"flow runs on does not see the folder .*/nowhere"):
        open_places(f"{tmp_path}/nowhere", bench.uri("up"))


def test_a_contact_sheet_shows_a_few_images_before_and_after(
    bench: Bench, photos: list[str]
) -> None:
    report = bench.upscale()
    key = report.summary_key.replace("summary.json", "contact-sheet.jpg")
    sheet = decode(bench.store.get(key), max_pixels=10**7)
    assert sheet.pixels.shape[0] > 2 * 32, "two images, twice as large as theirs, with captions"
    encoded = bench.texts["upscale-samples"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(encoded) == bench.store.get(key)


def test_stages_bytes_and_model_are_in_the_tables(bench: Bench, photos: list[str]) -> None:
    bench.upscale()
    (row,) = bench.artifacts["upscale"]
    assert row["model"] == "models:/m/1"
    stages = [row["stage"] for row in bench.artifacts["upscale-stages"]]
    assert stages == ["read", "decode", "upscale", "encode", "write"]


def test_progress_adds_up_over_batches(bench: Bench, photos: list[str]) -> None:
    run, plan = bench.plan(batch_bytes=1)
    progress = RunProgress(run)
    seen = [progress.read().num_images]
    for number in range(plan.num_batches):
        bench.batch(number, run)
        seen.append(progress.read().num_images)
    assert seen == [0, 1, 2, 3]
    assert progress.read().source_bytes == plan.todo_bytes


def test_the_progress_artifact_says_how_long_it_takes_still(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[float, str]] = []
    made = uuid.uuid4()

    def create(percent: float, *, key: str, description: str) -> uuid.UUID:
        shown.append((percent, description))
        return made

    monkeypatch.setattr(artifacts, "create_progress_artifact", create)
    monkeypatch.setattr(
        artifacts,
        "update_progress_artifact",
        lambda of, percent, description: shown.append((percent, description)),
    )
    run, plan = bench.plan(batch_bytes=1)
    bar = RunProgressBar(run, plan)
    bar.update()
    assert shown == [], "nothing has happened yet"
    for number in range(plan.num_batches):
        bench.batch(number, run)
        bar.update()
    assert [percent for percent, _ in shown] == sorted(percent for percent, _ in shown)
    assert "1 of 3 images (0 failed)" in shown[0][1]
    assert " s left" in shown[0][1]
    assert shown[-1][0] == 100


@pytest.mark.usefixtures("prefect_api")
def test_the_flow_follows_more_batches_than_it_has_tasks_at_once(
    bench: Bench, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> None:
    for seed in range(4):
        bench.store.put(f"photos/{seed}.png", encode_photo(draw_photo(seed, 16, 16)))
    bench.store.put("photos/bad.png", b"no picture")
    config = UpscaleConfig(batch_bytes=1, max_jobs=1)
    with pytest.raises(DataError, match=r"1 of 5 images failed"):
        upscale(bench.uri("photos"), bench.uri("up"), "m", config)
    assert len(outputs(bench.store)) == 4
    assert len(set(bench.job_runs)) == len(bench.job_runs) == 5


@pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")
@pytest.mark.parametrize("address", ["hand-x4", "hand-x4@champion"])
def test_a_run_works_with_the_log_s_champion_where_the_alias_was_moved_by_hand(
    flow_store: S3Store, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    registrar = Registrar(Settings())
    first, second = (
        registrar.register("hand-x4", weights(n), lineage(f"adversarial-hand-{n}", weights(n)))
        for n in (1, 2)
    )
    promote_by_hand(PromotionLog(flow_store, "hand-x4"), second, None, "v1", "it is the test's")
    registrar.set_alias("hand-x4", CHAMPION, first.version)
    flow_store.put("photos/a.png", b"not looked at by a plan")
    monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("flow-run"))
    monkeypatch.setattr(module, "root_flow_run_id", lambda: "root")
    places = open_places(flow_store.uri("photos"), flow_store.uri("up"))
    _, plan = plan_run.fn(*places, address, UpscaleConfig())
    assert plan.model == second
    assert registrar.alias("hand-x4", CHAMPION) == second.version
