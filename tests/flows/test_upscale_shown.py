"""Forecast, progress, tables and samples that a bulk run shows."""

import base64
import re
import uuid
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prefect.states import Failed

from flows.support import artifacts, upscale_report
from flows.support.upscale_report import (
    RunProgressBar,
    compare_sources,
    show_drift,
    show_forecast,
)
from flows.upscale import open_places, preview_run
from srgan.bulk.progress import RunProgress
from srgan.config import DataConfig, GeneratorConfig, UpscaleConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import ConfigError
from srgan.images import decode
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.drift import find_drift
from srgan.refs import UpscaleReport
from tests.support.bench import Bench, outputs
from tests.support.photos import DrawPhoto
from tests.support.places import place


def test_a_plan_is_shown_and_nothing_is_written(bench: Bench, photos: list[str]) -> None:
    before = {info.key for info in bench.store.list("")}
    places = open_places(bench.uri("photos"), bench.uri("up"))
    forecast = preview_run.fn(*places, "m", UpscaleConfig(), None)
    assert show_forecast.fn(forecast).num_todo == 3
    assert forecast.output_megapixels == pytest.approx(3 * 16 * 24 * 4 / 1e6)
    assert bench.texts["upscale-plan"].startswith("- 3 images to upscale")
    assert {info.key for info in bench.store.list("")} == before


def test_a_contact_sheet_shows_a_few_images_before_and_after(
    bench: Bench, photos: list[str]
) -> None:
    report = bench.upscale()
    key = report.summary_key.replace("summary.json", "contact-sheet.jpg")
    sheet = decode(bench.store.get(key), max_pixels=10**7)
    assert sheet.pixels.shape[0] > 2 * 32, "two images, twice as large as theirs, with captions"
    encoded = bench.texts["upscale-samples"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(encoded) == bench.store.get(key)


def test_a_challenger_on_trial_is_shown_beside_the_champion_and_makes_no_output(
    bench: Bench, photos: list[str]
) -> None:
    torch.manual_seed(1)
    config = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=4)
    bench.models.challenger = dump_generator(build_generator(config))
    report = bench.upscale(output_format="png")
    alone, before = contact_sheet(bench, report), outputs(bench.store)
    for key in (*before, *(info.key for info in bench.store.list("up/_srgan/"))):
        bench.store.delete(key)
    bench.root = "another-root"
    report = bench.upscale(output_format="png", trial="models:/m@challenger")
    assert outputs(bench.store).keys() == before.keys()
    assert bench.store.metadata("up/a.png")["srgan-model"].startswith("m/1@")
    assert contact_sheet(bench, report).shape[1] > alone.shape[1]


def contact_sheet(bench: Bench, report: UpscaleReport) -> NDArray[np.uint8]:
    key = report.summary_key.replace("summary.json", "contact-sheet.jpg")
    pixels: NDArray[np.uint8] = decode(bench.store.get(key), max_pixels=10**7).pixels
    return pixels


def test_a_challenger_of_another_scale_is_refused(bench: Bench, photos: list[str]) -> None:
    config = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=1, num_channels=4)
    bench.models.challenger = dump_generator(build_generator(config))
    wanted = "models:/m/9 upscales 4 times and models:/m/1 2 times; try a version of the same scale"
    with pytest.raises(ConfigError, match=wanted):
        bench.upscale(trial="models:/m@challenger")


def test_stages_bytes_and_model_are_in_the_tables(bench: Bench, photos: list[str]) -> None:
    bench.upscale()
    (row,) = bench.artifacts["upscale"]
    assert row["model"] == "models:/m/1"
    stages = [row["stage"] for row in bench.artifacts["upscale-stages"]]
    assert stages == ["read", "decode", "upscale", "encode", "write"]


def test_sources_that_are_unlike_the_training_photos_are_shown_and_kept_as_drift(
    bench: Bench, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> None:
    for number in range(60):
        bench.store.put(f"raw/{number}.png", encode_photo(draw_photo(number)))
        dark = (draw_photo(100 + number, 20, 24) // 8).astype(np.uint8)
        bench.store.put(f"photos/{number}.png", encode_photo(dark))
    config = DataConfig(scale=2, crop_size=32)
    dataset = prepare_dataset(place(bench.store, "raw"), bench.store, "pets", config)
    bench.models.tags = {"run": "r", "dataset_ref": dataset.model_dump_json()}
    run, _ = bench.plan()
    bench.batch(0, run)
    drift = compare_sources.fn(run)
    assert "brightness" in [each.statistic for each in drift.beyond(0.5)]
    shown = bench.texts["upscale-drift"]
    assert shown.startswith(f"With models:/m/1: sources of {run.source.address} differ from")
    assert "| | median of 60 sources | of 60 training inputs | distance | |" in shown
    assert re.search(r"\| brightness \| [\d.]+ \| [\d.]+ \| 1.00 \| drift \|", shown)
    assert "not counted: a network sees patches" in shown
    kept = drift.model_copy(update={"weights_digest": run.model.weights_digest})
    assert find_drift(bench.store, run.model) == kept


def test_the_drift_of_an_imported_model_is_said_to_be_unknown(
    bench: Bench, photos: list[str]
) -> None:
    run, plan = bench.plan()
    for number in range(plan.num_batches):
        bench.batch(number, run)
    assert compare_sources.fn(run).unknown
    assert bench.texts["upscale-drift"].strip() == "Unknown: models:/m/1 was imported"


def test_a_drift_that_cannot_be_measured_is_a_warning_and_no_failed_run(
    bench: Bench,
    photos: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, _ = bench.plan()
    failed = Failed(message="MLflow does not answer")
    monkeypatch.setattr(upscale_report, "compare_sources", lambda run, return_state: failed)
    show_drift(run)
    assert "The drift could not be measured: MLflow does not answer" in caplog.text


def test_progress_adds_up_over_batches(bench: Bench, photos: list[str]) -> None:
    run, plan = bench.plan(batch_bytes=1)
    progress = RunProgress(run)
    seen = [progress.read(range(3)).num_images]
    for number in range(plan.num_batches):
        bench.batch(number, run)
        seen.append(progress.read([number]).num_images)
    assert seen == [0, 1, 2, 3], "what was read of earlier ones is kept"
    assert progress.read([]).source_bytes == plan.todo_bytes
    assert RunProgress(run).read_all() == progress.read([])


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
    bar.update(range(3))
    assert shown == [], "nothing has happened yet"
    for number in range(plan.num_batches):
        bench.batch(number, run)
        bar.update([number])
    assert [percent for percent, _ in shown] == sorted(percent for percent, _ in shown)
    assert "1 of 3 images (0 failed)" in shown[0][1]
    assert " s left" in shown[0][1]
    assert shown[-1][0] == 100
