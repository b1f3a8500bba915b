"""Forecasts: judged by earlier runs, else by a few images; a disk too small is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from srgan.bulk.forecast import Forecast, measure_some
from srgan.bulk.plan import Sample, make_plan, preview
from srgan.bulk.records import Record, to_parquet
from srgan.bulk.run import BulkRun, stamp_of
from srgan.config import UpscaleConfig
from srgan.errors import ConfigError
from srgan.images import decode
from srgan.refs import ModelRef
from srgan.services.folder import FolderStore
from srgan.storage import Place
from tests.support.bulk_runs import CHAMPION
from tests.support.photos import DrawPhoto

EncodePhoto = Callable[..., bytes]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path: Path, draw_photo: DrawPhoto, encode_photo: EncodePhoto) -> Path:
    """Twenty JPEGs of 96×80 pixels in ``photos/``, and a file that is not an image."""
    (tmp_path / "photos").mkdir()
    for seed in range(20):
        photo = encode_photo(draw_photo(seed), "JPEG", quality=90)
        (tmp_path / "photos" / f"{seed:02d}.jpg").write_bytes(photo)
    return tmp_path


def run_in(folder: Path, **config: object) -> BulkRun:
    source, destination = (
        Place(str(each), FolderStore(each)) for each in (folder / "photos", folder / "up")
    )
    return BulkRun("run", source, destination, CHAMPION, UpscaleConfig.model_validate(config))


def sampling(run: BulkRun) -> Sample:
    return lambda items: measure_some(items, run, decode, 4)


def forecast_of(folder: Path, *, sampled: bool = True, **config: object) -> Forecast:
    run = run_in(folder, **config)
    return preview(run, sample=sampling(run) if sampled else None)


def put_records(folder: Path, *, model: ModelRef = CHAMPION, seconds: float = 10.0) -> None:
    """Write the record of one output of 8 megapixels and 500 kB, from a source of 100 kB."""
    stamp = stamp_of(model, UpscaleConfig())
    row = Record(
        source_key="elsewhere",
        source_token="t",
        source_bytes=100_000,
        model=stamp.model,
        config_digest=stamp.config_digest,
        outcome="done",
        destination_bytes=500_000,
        width=4000,
        height=2000,
        upscale_s=seconds,
    )
    key = f"{folder}/up/_srgan/{model.version}/records/000000.parquet"
    FolderStore(folder / "up").put(key, to_parquet([row, row]))


def test_a_preview_writes_nothing(folder: Path) -> None:
    assert forecast_of(folder).num_todo == 20
    assert sorted(path.name for path in folder.iterdir()) == ["photos"]


def test_without_earlier_runs_a_few_images_tell_the_size_but_not_the_time(folder: Path) -> None:
    forecast = forecast_of(folder)
    assert forecast.judged_by == "a sample of the images"
    assert forecast.output_megapixels == pytest.approx(20 * 96 * 80 * 16 / 1e6, rel=0.1)
    assert forecast.output_bytes is not None
    assert forecast.todo_bytes < forecast.output_bytes < 16 * forecast.todo_bytes
    assert forecast.seconds is None
    assert "not known before a first run" in forecast.text
    png = forecast_of(folder, output_format="png").output_bytes
    assert png is not None
    assert png > 2 * forecast.output_bytes, "the format counts"


def test_earlier_runs_tell_size_and_time(folder: Path) -> None:
    put_records(folder)
    forecast = forecast_of(folder, max_workers=1)
    share = forecast.todo_bytes / 100_000
    assert forecast.judged_by == "earlier runs with this model and these settings"
    assert forecast.output_bytes == pytest.approx(share * 500_000, abs=1)
    assert forecast.output_megapixels == pytest.approx(share * 8)
    assert forecast.seconds == pytest.approx(share * 10)
    assert " of work" in forecast.text


def test_runs_of_other_models_tell_only_where_there_are_no_better_ones(folder: Path) -> None:
    put_records(folder, model=CHAMPION.model_copy(update={"version": 2}), seconds=1000)
    forecast = forecast_of(folder, max_workers=1)
    assert forecast.judged_by == "earlier runs with other models or settings"
    put_records(folder)
    assert forecast_of(folder, max_workers=1).seconds == pytest.approx(forecast.todo_bytes / 10_000)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = forecast_of(folder).output_bytes
    assert needed is not None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, needed))
    with pytest.raises(ConfigError, match=r"disk of .*/up is too small: about .*B are to come"):
        forecast_of(folder)
    run = run_in(folder)
    with pytest.raises(ConfigError, match="too small"):
        make_plan(run, sample=sampling(run))
    assert sorted(path.name for path in folder.iterdir()) == ["photos"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2 * needed))
    assert forecast_of(folder).free_bytes == 2 * needed


def test_sources_that_cannot_be_used_do_not_end_a_forecast(folder: Path) -> None:
    (folder / "photos" / "00.jpg").write_bytes(b"no photo")
    assert forecast_of(folder).output_megapixels is not None


def test_a_file_too_large_to_be_read_is_forecast_to_become_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = forecast_of(folder)
    with (folder / "photos" / "00-film.jpg").open("wb") as film:
        film.truncate(2**40)
    reads: list[str] = []
    find = FolderStore.find
    monkeypatch.setattr(FolderStore, "find", lambda *given: reads.append(given[1]) or find(*given))
    forecast = forecast_of(folder)
    assert not [key for key in reads if "film" in key]
    assert forecast.num_todo == 21
    assert forecast.output_bytes == pytest.approx(whole.output_bytes, rel=0.1)


def test_where_nothing_is_known_the_plan_says_so(folder: Path) -> None:
    forecast = forecast_of(folder, sampled=False)
    assert (forecast.output_bytes, forecast.seconds, forecast.judged_by) == (None, None, "nothing")


def test_another_scale_or_size_changes_the_forecast(folder: Path) -> None:
    whole = forecast_of(folder)
    assert whole.output_megapixels is not None
    assert whole.output_bytes is not None
    for wanted, share in (({"scale": 2}, 1 / 4), ({"size": "192x"}, 1 / 4), ({"scale": 8}, 4)):
        forecast = forecast_of(folder, **wanted)
        assert forecast.output_megapixels == pytest.approx(whole.output_megapixels * share)
        assert forecast.output_bytes == pytest.approx(whole.output_bytes * share, rel=0.01)
    assert forecast_of(folder, size="95x").output_megapixels == 0, "all of them will be refused"
