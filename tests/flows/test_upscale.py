"""The steps of the bulk flow in one process: a real object store and engine, no cluster."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import srgan
from flows import upscale as module
from flows.upscale import open_places, plan_run, run_workers, upscale
from srgan.bulk.records import Record, Tally
from srgan.bulk.run import BulkRun
from srgan.config import GeneratorConfig, UpscaleConfig
from srgan.errors import ClusterError, ConfigError, DataError, StorageError
from srgan.images import decode
from srgan.jobs.failure import failure_of
from srgan.keys import batch_run, failure_key
from srgan.models.interchange import dump_generator
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.log import PromotionLog
from srgan.refs import UpscaleReport
from srgan.services import ray_metrics
from srgan.services.mlflow_models import CHAMPION
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.versions import services
from srgan.versions.register import Registrar
from tests.support.bench import Bench, outputs
from tests.support.networks import random_generator
from tests.support.photos import DrawPhoto
from tests.support.versions import lineage, weights


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


def test_a_self_ensemble_is_that_of_the_command_and_another_output_than_without_it(
    bench: Bench, photos: list[str]
) -> None:
    small = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=4)
    network = random_generator(small)
    bench.models.weights = dump_generator(network)
    bench.upscale(output_format="png")
    before = outputs(bench.store)
    bench.root, bench.job_runs = "another-root", []
    report = bench.upscale(output_format="png", self_ensemble=True)
    assert report.num_done == 3
    assert all(before[key] != token for key, token in outputs(bench.store).items())
    photo = decode(bench.store.get(f"photos/{photos[1]}"), max_pixels=10**6)
    made = decode(bench.store.get(f"up/{photos[1]}"), max_pixels=10**6)
    expected = srgan.upscale(photo.pixels, network, self_ensemble=True)
    np.testing.assert_array_equal(made.pixels, expected)


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


def test_every_image_is_counted_for_prometheus_under_the_run_of_its_log(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, str, str]] = []

    def count(run: str, row: Record) -> None:
        counted.append((run, row.outcome, row.reason))

    monkeypatch.setattr(ray_metrics, "count_image", count)
    bench.store.put("photos/broken.png", b"not a picture")
    bench.upscale(failure_tolerance=0.25)
    assert {run for run, _, _ in counted} == set(bench.job_runs)
    found = sorted((outcome, reason) for _, outcome, reason in counted)
    assert found == [("done", "")] * 3 + [("failed", "not_an_image")]


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


def test_a_batch_without_records_says_why_it_is_lost(bench: Bench, photos: list[str]) -> None:
    run, _ = bench.plan()
    with pytest.raises(ClusterError, match="workers ended without batch 0"):
        bench.follow(0, run)
    failure = failure_of(MemoryError("too little"), "root-1")
    write_document(bench.store, failure_key(batch_run(run.name, 0)), failure)
    with pytest.raises(ClusterError, match="batch 0 is lost: MemoryError: too little"):
        bench.follow(0, run)


def test_what_an_earlier_attempt_of_the_flow_run_had_lost_is_done_by_the_next(
    bench: Bench, photos: list[str]
) -> None:
    run, plan = bench.plan(batch_bytes=1)
    bench.batch(0, run)
    lost = failure_key(batch_run(run.name, 1))
    write_document(bench.store, lost, failure_of(MemoryError(), "root-1"))
    run_workers.fn(run, plan.num_batches)
    assert [bench.follow(number, run).num_done for number in range(3)] == [1, 1, 1]
    assert bench.store.find(lost) is None
    assert bench.models.loaded == [1, 1], "once for the first batch, once for the other two"
    assert len(bench.job_runs) == 1
    run_workers.fn(run, plan.num_batches)
    assert len(bench.job_runs) == 1, "nothing is left to do"


@pytest.mark.usefixtures("prefect_api")
def test_the_flow_follows_more_batches_than_it_has_tasks_at_once(
    bench: Bench, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> None:
    for seed in range(4):
        bench.store.put(f"photos/{seed}.png", encode_photo(draw_photo(seed, 16, 16)))
    bench.store.put("photos/bad.png", b"no picture")
    config = UpscaleConfig(batch_bytes=1, max_workers=1)
    with pytest.raises(DataError, match=r"1 of 5 images failed"):
        upscale(bench.uri("photos"), bench.uri("up"), "m", config)
    assert len(outputs(bench.store)) == 4
    assert len(bench.job_runs) == 1, "one job does all batches"


@pytest.mark.usefixtures("prefect_api")
def test_a_moment_without_the_store_after_the_last_batch_costs_nothing(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(number: int, *_: object) -> Tally:
        raise ClusterError(f"batch {number} is lost")

    find_tally, is_away = module.find_tally, iter([True])

    def find(run: BulkRun, number: int) -> Tally | None:
        if next(is_away, False):
            raise StorageError("connection refused")
        return find_tally(run, number)

    monkeypatch.setattr(module, "wait_for_records", lose)
    monkeypatch.setattr(module, "find_tally", find)
    soon = module.find_done_later.with_options(retry_delay_seconds=0)
    monkeypatch.setattr(module, "find_done_later", soon)
    report = upscale(bench.uri("photos"), bench.uri("up"), "m")
    assert isinstance(report, UpscaleReport)
    assert report.num_done == 3


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
