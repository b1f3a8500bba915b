"""Drift: found where sources were changed, not between two halves of one collection."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from srgan.bulk.records import Record, to_parquet
from srgan.bulk.run import BulkRun
from srgan.config import DegradationConfig
from srgan.data.manifest import put_table, read_latest, read_sources
from srgan.data.tables import dump_sources
from srgan.images import decode
from srgan.images.statistics import Statistics, statistics_of
from srgan.keys import checkpoint_key, records_key
from srgan.promotion.drift import (
    BOUND,
    Difference,
    Drift,
    compare,
    find_drift,
    keep_drift,
    measure_drift,
)
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, to_json
from srgan.services.s3 import S3Store
from srgan.storage import write_document
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.checkpoints import manifest
from tests.support.photos import dead_leaves
from tests.support.stages import pretrain
from tests.support.workshop import Workshop

Pixels = NDArray[np.uint8]
NUM_PHOTOS = 120


def measured(pixels: Pixels, file: bytes = b"") -> Statistics:
    found = statistics_of(pixels, file=file)
    assert found is not None
    return found


@pytest.fixture
def workshop(
    object_store: S3Store,
    tmp_path: Path,
    draw_photo: Callable[..., Pixels],
    encode_photo: Callable[..., bytes],
) -> Workshop:
    return Workshop(object_store, tmp_path, draw_photo, encode_photo)


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    return [decode(dead_leaves(seed), max_pixels=10**6).pixels for seed in range(NUM_PHOTOS)]


@pytest.fixture(scope="module")
def inputs(photos: list[Pixels]) -> list[Statistics]:
    return [measured(photo) for photo in photos]


def names(found: tuple[Difference, ...], bound: float = BOUND) -> list[str]:
    drift = Drift(run="r", source="s", num_sources=1, differences=found)
    return [each.statistic for each in drift.beyond(bound)]


def blurred(photo: Pixels) -> Statistics:
    return measured(np.array(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(1))))


def noisy(photo: Pixels) -> Statistics:
    noise = np.random.default_rng(0).normal(0, 12, photo.shape)
    return measured(np.clip(photo + noise, 0, 255).astype(np.uint8))


def compressed(photo: Pixels) -> Statistics:
    file = BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=60)
    return measured(np.array(Image.open(file)), file.getvalue())


@pytest.mark.parametrize("num_sources", [8, 50, 60])
def test_two_parts_of_one_collection_drift_in_at_most_one_case_of_twenty(
    inputs: list[Statistics], num_sources: int
) -> None:
    chance = np.random.default_rng(0)
    alarms = 0
    for _ in range(40):
        order = chance.permutation(len(inputs))
        parts = order[:num_sources], order[num_sources : 2 * num_sources]
        alarms += bool(names(compare(*([inputs[i] for i in part] for part in parts))))
    assert alarms <= 2


@pytest.mark.parametrize(
    ("change", "statistic"),
    [(blurred, "blur"), (noisy, "noise"), (compressed, "JPEG quality")],
)
def test_changed_copies_of_other_photos_drift(
    photos: list[Pixels],
    inputs: list[Statistics],
    change: Callable[[Pixels], Statistics],
    statistic: str,
) -> None:
    found = compare([change(photo) for photo in photos[:60]], inputs[60:])
    assert statistic in names(found)
    by_name = {each.statistic: each for each in found}
    assert not {"brightness", "contrast", "colourfulness"} & set(names(found))
    assert by_name[statistic].sources != by_name[statistic].inputs


def test_compression_that_hardly_shows_is_none(inputs: list[Statistics]) -> None:
    camera = [replace(each, jpeg_quality=93.0) for each in inputs]
    assert names(compare(camera[:60], inputs[60:])) == []


def test_other_sizes_are_shown_and_are_not_drift(inputs: list[Statistics]) -> None:
    large = [replace(each, source_side=4 * each.source_side) for each in inputs]
    found = compare(large[:60], inputs[60:])
    (size,) = [each for each in found if each.statistic == "size"]
    assert (size.distance, size.left_out) == (1, "a network sees patches")
    assert names(found) == []


def test_damage_that_the_recipe_draws_is_not_drift_but_colours_are(
    photos: list[Pixels], inputs: list[Statistics]
) -> None:
    worse = [
        replace(noisy(photo), blur=0.9, jpeg_quality=10.0, brightness=3.0) for photo in photos[:60]
    ]
    assert names(compare(worse, inputs[60:], is_damaged=True)) == ["brightness"]
    assert {"blur", "noise", "JPEG quality"} <= set(names(compare(worse, inputs[60:])))


def test_a_distance_that_few_images_have_by_chance_is_not_drift(inputs: list[Statistics]) -> None:
    bright = [replace(each, brightness=255.0) for each in inputs]
    assert names(compare(bright[:3], inputs[:3])) == []
    assert names(compare(bright[:3], inputs[60:])) == ["brightness"]
    assert names(compare(bright[:60], inputs[60:]), bound=0.999) == ["brightness"]


def version_of(
    dataset: DatasetRef | None, pairs: DatasetRef | None = None, **tags: str
) -> VersionRecord:
    refs = {"dataset_ref": dataset, "pairs_ref": pairs}
    texts = {name: to_json(ref).decode() for name, ref in refs.items() if ref}
    return VersionRecord("m", 1, {"run": "pretrain-0123", **texts, **tags}, datetime.now(UTC))


def finished(store: S3Store, sources: list[Statistics | None], batch: int = 0) -> BulkRun:
    """A bulk run with the records of a batch; None are sources that were not decoded."""
    run = bulk_run(store)
    rows = [
        Record(
            source_key=f"photos/{number}.png",
            source_token="t",
            source_bytes=1,
            model="m/1",
            config_digest="c",
            outcome="done",
            **({name: getattr(each, name) for name in Statistics.__slots__} if each else {}),
        )
        for number, each in enumerate(sources)
    ]
    store.put(records_key(run.destination.address, run.name, batch), to_parquet(rows))
    return run


def prepared(workshop: Workshop) -> DatasetRef:
    for seed in range(60):
        workshop.store.put(f"raw/{seed}.png", dead_leaves(seed))
    return workshop.prepare()


def test_sources_are_compared_with_the_lr_images_of_all_photos_of_the_dataset(
    workshop: Workshop, photos: list[Pixels]
) -> None:
    dataset = prepared(workshop)
    small = [
        statistics_of(decode(dead_leaves(seed), max_pixels=10**6).pixels, scale=4)
        for seed in range(60, 120)
    ]
    like = measure_drift(workshop.store, finished(workshop.store, small), version_of(dataset))
    assert (like.num_sources, like.num_inputs, like.unknown) == (60, 60, "")
    assert like.sentence(BOUND).endswith("are like what it was trained on")
    run = finished(workshop.store, [blurred(photo) for photo in photos[60:]])
    drift = measure_drift(workshop.store, run, version_of(dataset))
    assert drift.sentence(BOUND).startswith(
        f"sources of {run.source.address} differ from what it was trained on: "
    )
    assert "blur 1.00" in drift.sentence(BOUND)


def test_parts_all_over_a_run_are_read_and_sources_that_were_not_decoded_left_out(
    workshop: Workshop, inputs: list[Statistics]
) -> None:
    dataset = prepared(workshop)
    for batch in range(45):
        run = finished(workshop.store, [inputs[batch], None], batch)
    drift = measure_drift(workshop.store, run, version_of(dataset))
    assert drift.num_sources == 15, "every third of 45 parts"


def test_a_run_without_measured_sources_and_models_without_statistics_are_unknown(
    workshop: Workshop, inputs: list[Statistics]
) -> None:
    store, dataset = workshop.store, prepared(workshop)
    assert measure_drift(store, finished(store, [None]), version_of(dataset)).unknown == (
        "the run decoded no source"
    )
    run = finished(store, list(inputs[:3]))
    assert measure_drift(store, run, version_of(None, source_file="x.pth")).unknown == (
        "models:/m/1 was imported"
    )
    _without_statistics(store)
    assert measure_drift(store, run, version_of(dataset)).unknown == (
        "dataset pets was prepared by an earlier release, which measured no statistics"
    )


def _without_statistics(store: S3Store) -> None:
    """Make the dataset one of an earlier release."""
    found, _ = read_latest(store, "pets")
    assert found is not None
    rows = [replace(source, statistics=None) for source in read_sources(store, found)]
    table = put_table(store, "pets", dump_sources(rows))
    write_document(store, found.key, found.model_copy(update={"sources_table": table}))


def test_the_damage_of_a_recipe_is_read_from_its_last_checkpoint(
    workshop: Workshop, photos: list[Pixels]
) -> None:
    store, dataset = workshop.store, prepared(workshop)
    run = finished(store, [noisy(photo) for photo in photos[:60]])
    plain = measure_drift(store, run, version_of(dataset))
    assert "noise" in names(plain.differences)
    stage = pretrain(degradation=DegradationConfig(noise_sigma=(0, 20)))
    write_document(store, checkpoint_key("pretrain-0123", 5), manifest(5, stage=stage))
    damaged = measure_drift(store, run, version_of(dataset))
    assert not {"noise", "blur"} & set(names(damaged.differences))


def test_only_the_drift_of_50_sources_or_more_is_kept(
    object_store: S3Store, inputs: list[Statistics]
) -> None:
    found = compare(inputs[:60], inputs[60:])
    drift = Drift(run="r", source="s", num_sources=49, num_inputs=60, differences=found)
    assert not keep_drift(object_store, CHAMPION, drift)
    assert find_drift(object_store, CHAMPION) is None
    enough = drift.model_copy(update={"num_sources": 50})
    assert keep_drift(object_store, CHAMPION, enough)
    kept = enough.model_copy(update={"weights_digest": CHAMPION.weights_digest})
    assert find_drift(object_store, CHAMPION) == kept
    other = CHAMPION.model_copy(update={"weights_digest": "other"})
    assert find_drift(object_store, other) is None, "its number was another version's before"
    assert not keep_drift(object_store, CHAMPION, enough.model_copy(update={"unknown": "why"}))
