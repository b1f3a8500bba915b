"""Shards that are fetched while their crops are read."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.data import fetching
from srgan.data.dataset import Crops, Patches, fetch_crops, open_crops
from srgan.data.manifest import read_manifest
from srgan.data.shards import ShardCache
from srgan.errors import StorageError
from srgan.keys import shard_key
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from tests.support.stores import Around
from tests.support.workshop import Workshop

BATCH = 4
CACHE_BYTES = 16 * 25_000
"""Room for 16 of the workshop's shards."""


class Gate(Around):
    """A store whose downloads pass when the test says so, and fail when it says so."""

    def __init__(self, store: S3Store) -> None:
        super().__init__(store)
        self.passes: Callable[[str], bool] = lambda key: True
        self.failures: list[str] = []
        self.asked: list[str] = []
        self.opened = threading.Event()

    def download(self, key: str, path: Path) -> None:
        self.asked.append(key)
        if not self.passes(key):
            assert self.opened.wait(30)
        if self.failures:
            raise StorageError(self.failures.pop())
        self.store.download(key, path)


@pytest.fixture
def ref(workshop: Workshop) -> DatasetRef:
    """Eight photos of thirty crops in shards of eight; about a third is held out."""
    workshop.upload(*range(8), height=160, width=192)
    return workshop.prepare()


@pytest.fixture
def gate(object_store: S3Store) -> Iterator[Gate]:
    gate = Gate(object_store)
    yield gate
    gate.opened.set()


@contextmanager
def fetched(
    store: object, ref: DatasetRef, folder: Path, cache_bytes: int = 2**30
) -> Iterator[Crops]:
    cache = ShardCache(store, folder, cache_bytes)  # type: ignore[arg-type]  # quacks alike
    crops = fetch_crops(store, ref, "train", cache)  # type: ignore[arg-type]  # the same
    assert crops.fetched is not None
    with crops.fetched:
        yield crops


def patches_of(crops: Crops, buffer_bytes: int | None = None) -> Patches:
    return Patches(
        crops, batch_size=BATCH, window=16, seed=3, augment=True, buffer_bytes=buffer_bytes
    )


def batch(patches: Patches, step: int) -> NDArray[np.uint8]:
    return patches.batch(step, rank=0, num_ranks=1)


def test_what_is_fetched_while_it_is_read_gives_the_batches_of_what_is_there(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path
) -> None:
    there = patches_of(workshop.crops(ref, "train"))
    with fetched(workshop.store, ref, tmp_path / "new") as crops:
        patches = patches_of(crops)
        for step in (0, 1, 7):
            np.testing.assert_array_equal(batch(patches, step), batch(there, step))


def test_the_first_batch_waits_for_its_own_shards_alone(
    workshop: Workshop, ref: DatasetRef, gate: Gate, tmp_path: Path
) -> None:
    there = patches_of(workshop.crops(ref, "train"))
    with fetched(gate, ref, tmp_path / "new") as crops:
        patches = patches_of(crops)
        assert crops.fetched is not None
        needed = {int(crops.shard_of[crop]) for crop in patches._draw(0).crops}
        assert len(needed) < len(crops.fetched)
        manifest = read_manifest(workshop.store, ref.key)
        sizes = {shard.sha256: shard for shard in manifest.shards}
        names = [shard.sha256 for shard in crops.fetched._shards]
        passing = {shard_key("pets", names[index]) for index in needed}
        assert sizes.keys() >= set(names)
        gate.passes = passing.__contains__
        np.testing.assert_array_equal(batch(patches, 0), batch(there, 0))
        assert set(gate.asked[: len(passing)]) == passing
        gate.opened.set()


def test_a_dataset_larger_than_the_cache_is_read_through_a_buffer_that_stays_within_it(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path
) -> None:
    whole = workshop.crops(ref, "train")
    folder = tmp_path / "small"
    with fetched(workshop.store, ref, folder, CACHE_BYTES) as crops:
        assert crops.fetched is not None
        assert sum(crops.fetched.sizes) > CACHE_BYTES
        patches = patches_of(crops, buffer_bytes=4 * 25_000)
        assert patches.buffer is not None
        assert patches.needed_bytes <= CACHE_BYTES
        seen = set()
        for step in range(len(crops.fetched) * patches.buffer.steps_per_move):
            batch(patches, step)
            seen.update(patches._draw(step).crops)
            with crops.fetched._cache._lock():  # nothing is deleted while we look
                used = sum(path.stat().st_size for path in folder.glob("*.npy"))
            assert used <= CACHE_BYTES
        assert len(seen) > 0.9 * len(crops)
        for index in seen:
            np.testing.assert_array_equal(crops[index], whole[index])


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_with_a_buffer_batches_are_a_function_of_seed_and_step_for_any_number_of_ranks(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path, num_ranks: int
) -> None:
    with (
        fetched(workshop.store, ref, tmp_path / "one", CACHE_BYTES) as crops,
        fetched(workshop.store, ref, tmp_path / "two", 2**30) as others,
    ):
        patches = patches_of(crops, buffer_bytes=4 * 25_000)
        again = patches_of(others, buffer_bytes=4 * 25_000)
        for step in (90, 3, 4, 41):
            parts = [again.batch(step, rank=r, num_ranks=num_ranks) for r in range(num_ranks)]
            np.testing.assert_array_equal(np.concatenate(parts), batch(patches, step))


def test_a_dataset_that_fits_into_the_buffer_is_drawn_from_as_a_whole(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path
) -> None:
    there = patches_of(workshop.crops(ref, "train"))
    with fetched(workshop.store, ref, tmp_path / "new") as crops:
        patches = patches_of(crops, buffer_bytes=2**30)
        np.testing.assert_array_equal(batch(patches, 5), batch(there, 5))


def test_a_failure_that_no_batch_waits_for_is_tried_again(
    workshop: Workshop,
    ref: DatasetRef,
    gate: Gate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_S", 0.01)
    with fetched(gate, ref, tmp_path / "new") as crops:
        assert crops.fetched is not None
        gate.failures = ["the store is away"]
        with caplog.at_level(logging.INFO, "srgan.data.fetching"):
            crops.fetched.hold(range(len(crops.fetched)), first=())
            for index in range(len(crops.fetched)):
                while index not in crops.fetched._maps:
                    threading.Event().wait(0.01)
    assert "fetched again in 0.01 s: the store is away" in caplog.text
    assert f"{len(crops.shards)} shards of pets" in caplog.text


def test_a_batch_that_waits_for_a_failed_shard_raises_and_the_next_one_tries_again(
    ref: DatasetRef, gate: Gate, tmp_path: Path
) -> None:
    with fetched(gate, ref, tmp_path / "new") as crops:
        patches = patches_of(crops)
        gate.failures = ["the store is away"]
        with pytest.raises(StorageError, match="the store is away"):
            batch(patches, 0)
        assert batch(patches, 0).shape == (BATCH, 3, 16, 16)


@pytest.mark.parametrize("damage", ["altered", "gone"])
def test_a_damaged_or_missing_shard_is_named_with_what_to_do(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path, damage: str
) -> None:
    for info in list(workshop.store.list(shard_key.below("pets"))):
        if damage == "altered":
            workshop.store.put(info.key, workshop.store.get(info.key)[:-1] + b"!")
        else:
            workshop.store.delete(info.key)
    with (
        fetched(workshop.store, ref, tmp_path / "new") as crops,
        pytest.raises(StorageError, match=rf"shards/.*\.npy .*{damage}.*prepare the dataset again"),
    ):
        batch(patches_of(crops), 0)


def test_a_wait_for_the_store_is_told_in_seconds(
    ref: DatasetRef,
    gate: Gate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fetching, "_TOLD_WAIT_S", 0.1)
    gate.passes = lambda key: False
    threading.Timer(0.2, gate.opened.set).start()
    with (
        fetched(gate, ref, tmp_path / "new") as crops,
        caplog.at_level(logging.INFO, "srgan.data.fetching"),
    ):
        batch(patches_of(crops), 0)
        assert crops.fetched is not None
        assert crops.fetched.wait_s > 0.1
    assert "shards of pets from the object store" in caplog.text


def test_two_threads_get_the_same_shard_that_is_not_held(
    ref: DatasetRef, gate: Gate, tmp_path: Path
) -> None:
    gate.passes = lambda key: False
    found: list[NDArray[np.uint8]] = []
    with fetched(gate, ref, tmp_path / "new") as crops:
        threads = [threading.Thread(target=lambda: found.append(crops[0])) for _ in range(3)]
        for thread in threads:
            thread.start()
        gate.opened.set()
        for thread in threads:
            thread.join(30)
    assert len(found) == 3


def test_crops_that_are_not_held_can_be_read_and_are_let_go_of(
    workshop: Workshop, ref: DatasetRef, tmp_path: Path
) -> None:
    whole = open_crops(
        workshop.store, ref, "train", ShardCache(workshop.store, tmp_path / "all", 2**30)
    )
    with fetched(workshop.store, ref, tmp_path / "few", 3 * 25_000) as crops:
        for index in range(len(crops)):
            np.testing.assert_array_equal(crops[index], whole[index])
