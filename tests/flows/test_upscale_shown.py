"""Forecast, progress, tables and samples that a bulk run shows."""

import base64
import uuid

import pytest

from flows.support import artifacts
from flows.support.upscale_report import (
    RunProgressBar,
    show_forecast,
)
from flows.upscale import open_places, preview_run
from srgan.bulk.progress import RunProgress
from srgan.config import UpscaleConfig
from srgan.images import decode
from tests.support.bench import Bench


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


def test_stages_bytes_and_model_are_in_the_tables(bench: Bench, photos: list[str]) -> None:
    bench.upscale()
    (row,) = bench.artifacts["upscale"]
    assert row["model"] == "models:/m/1"
    stages = [row["stage"] for row in bench.artifacts["upscale-stages"]]
    assert stages == ["read", "decode", "upscale", "encode", "write"]


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
