"""Shard files and their cache on the local disk."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from srgan.data.manifest import Shard
from srgan.data.shards import ShardCache, ShardWriter, pack, read_shard, unpack
from srgan.data.tables import CropSpan
from srgan.errors import ConfigError, StorageError
from srgan.keys import shard_key
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from tests.support.workshop import Asked, Workshop

_SIZE = 4


def _crops(seed: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, _SIZE, _SIZE, 3), np.uint8)


def _write(store: S3Store, *seeds: int, count: int = 10, packed: bool = False) -> list[Shard]:
    shard_bytes = count * _SIZE * _SIZE * 3
    writer = ShardWriter(store, "pets", (_SIZE, _SIZE, 3), shard_bytes, packed=packed)
    for seed in seeds:
        writer.add(str(seed), _crops(seed, count))
    writer.flush()
    return writer.shards


def _bytes(shards: list[Shard]) -> int:
    return sum(shard.size_bytes for shard in shards)


def test_spans_say_where_the_crops_went(object_store: S3Store) -> None:
    writer = ShardWriter(object_store, "pets", (_SIZE, _SIZE, 3), 5 * _SIZE * _SIZE * 3)
    for seed, count in ((1, 3), (2, 4), (3, 1)):
        writer.add(str(seed), _crops(seed, count))
    writer.flush()

    assert [shard.num_crops for shard in writer.shards] == [5, 3]
    first, second = (shard.sha256 for shard in writer.shards)
    assert writer.spans == {
        "1": [CropSpan(first, 0, 3)],
        "2": [CropSpan(first, 3, 2), CropSpan(second, 0, 2)],
        "3": [CropSpan(second, 2, 1)],
    }
    np.testing.assert_array_equal(
        read_shard(object_store, "pets", writer.shards[1])[:2], _crops(2, 4)[2:]
    )


def test_a_crop_larger_than_a_shard_gets_its_own_shard(object_store: S3Store) -> None:
    assert [shard.num_crops for shard in _write(object_store, 1, 2, count=1)] == [1, 1]


def test_the_same_crops_are_stored_once(object_store: S3Store) -> None:
    store = Asked(object_store)
    assert _write(store, 1) == _write(store, 1)  # type: ignore[arg-type]  # quacks alike
    assert len(store.written) == 1


def test_numpy_alone_can_map_a_shard(object_store: S3Store, tmp_path: Path) -> None:
    (shard,) = _write(object_store, 1)
    object_store.download(shard_key("pets", shard.sha256), tmp_path / "shard.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "shard.npy", mmap_mode="r"), _crops(1, 10))


def test_the_cache_fetches_a_shard_once(object_store: S3Store, tmp_path: Path) -> None:
    shards = _write(object_store, 1, 2, 3)
    opened = ShardCache(object_store, tmp_path / "cache", 10**6).open("pets", shards)
    for seed, array in zip((1, 2, 3), opened, strict=True):
        np.testing.assert_array_equal(array, _crops(seed, 10))
        assert not array.flags.writeable

    for shard in shards:
        object_store.delete(shard_key("pets", shard.sha256))
    again = ShardCache(object_store, tmp_path / "cache", 10**6).open("pets", shards[::-1])
    np.testing.assert_array_equal(again[0], _crops(3, 10))


def test_a_packed_shard_is_unpacked_once_and_counts_with_its_size_on_the_disk(
    object_store: S3Store, tmp_path: Path
) -> None:
    shards = _write(object_store, 1, 2, packed=True)
    cache = ShardCache(object_store, tmp_path, sum(shard.npy_bytes for shard in shards))
    opened = cache.open("pets", shards)
    np.testing.assert_array_equal(opened[1], _crops(2, 10))
    np.testing.assert_array_equal(read_shard(object_store, "pets", shards[1]), _crops(2, 10))
    assert [(tmp_path / f"{each.sha256}.npy").stat().st_size for each in shards] == [608, 608]
    for shard in shards:
        object_store.delete(shard.key("pets"))
    np.testing.assert_array_equal(cache.open("pets", shards)[0], _crops(1, 10))
    with pytest.raises(ConfigError, match="bounded to 1,215"):
        ShardCache(object_store, tmp_path, 1215).open("pets", shards)


@pytest.mark.parametrize("packed", [False, True])
def test_an_altered_shard_is_refused_and_not_kept(
    object_store: S3Store, tmp_path: Path, packed: bool
) -> None:
    (shard,) = _write(object_store, 1, packed=packed)
    key = shard.key("pets")
    object_store.put(key, object_store.get(key)[:-1] + b"!")
    with pytest.raises(StorageError, match=rf"{key} was altered"):
        ShardCache(object_store, tmp_path, 10**6).open("pets", [shard])
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob(".*.part"))
    with pytest.raises(StorageError, match="was altered"):
        read_shard(object_store, "pets", shard)


def test_a_file_cut_short_by_a_crash_is_fetched_again(
    object_store: S3Store, tmp_path: Path
) -> None:
    (shard,) = _write(object_store, 1)
    (tmp_path / f"{shard.sha256}.npy").write_bytes(b"\x93NUMPY")
    (opened,) = ShardCache(object_store, tmp_path, 10**6).open("pets", [shard])
    np.testing.assert_array_equal(opened, _crops(1, 10))


def test_the_longest_unused_shards_make_room(object_store: S3Store, tmp_path: Path) -> None:
    shards = _write(object_store, 1, 2, 3)
    cache = ShardCache(object_store, tmp_path, _bytes(shards))
    cache.open("pets", shards)
    for age, shard in zip((10, 30, 20), shards, strict=True):
        os.utime(tmp_path / f"{shard.sha256}.npy", (1e9 - age, 1e9 - age))
    cache.open("pets", _write(object_store, 4))

    kept = {path.stem for path in tmp_path.glob("*.npy")}
    assert len(kept) == 3
    assert shards[1].sha256 not in kept


def test_a_shard_that_was_set_aside_makes_room_first(object_store: S3Store, tmp_path: Path) -> None:
    shards = _write(object_store, 1, 2, 3)
    cache = ShardCache(object_store, tmp_path, _bytes(shards))
    cache.open("pets", shards)
    cache.set_aside(shards[2])
    cache.open("pets", _write(object_store, 4))
    assert not (tmp_path / f"{shards[2].sha256}.npy").exists()
    cache.set_aside(shards[2])  # evicted already: not an error


def test_what_is_open_is_never_evicted(object_store: S3Store, tmp_path: Path) -> None:
    used = _write(object_store, 1, 2)
    cache = ShardCache(object_store, tmp_path, _bytes(used) + 10)
    opened = cache.open("pets", used)
    with pytest.raises(ConfigError, match="raise SRGAN_CACHE_BYTES"):
        cache.open("pets", _write(object_store, 3))
    np.testing.assert_array_equal(opened[0], _crops(1, 10))

    del opened
    cache.open("pets", _write(object_store, 3))
    assert len(list(tmp_path.glob("*.npy"))) == 2


def test_a_dataset_larger_than_the_cache_is_refused_with_both_sizes(
    object_store: S3Store, tmp_path: Path
) -> None:
    shards = _write(object_store, 1, 2)
    refusal = rf"{_bytes(shards):,} bytes.*bounded to 700; raise SRGAN_CACHE_BYTES"
    with pytest.raises(ConfigError, match=refusal):
        ShardCache(object_store, tmp_path, 700).open("pets", shards)


def _open_in_process(settings: Settings, directory: Path, shards: list[Shard]) -> int:
    store = Asked(open_store(settings))
    downloads = 0

    def download(key: str, path: Path) -> None:
        nonlocal downloads
        downloads += 1
        store.store.download(key, path)

    store.download = download  # type: ignore[method-assign]
    opened = ShardCache(store, directory, 10**6).open("pets", shards)  # type: ignore[arg-type]
    assert int(opened[0].sum()) == int(_crops(1, 10).sum())
    return downloads


def test_processes_of_a_node_fetch_each_shard_once(
    object_store: S3Store, s3_settings: Settings, tmp_path: Path
) -> None:
    shards = _write(object_store, 1, 2, 3, 4)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [(s3_settings, tmp_path / "cache", shards)] * 2
        assert sum(pool.starmap(_open_in_process, jobs)) == 4


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 9)).flatmap(
        lambda size: arrays(np.uint8, (size[0], size[1], size[1], 3))
    )
)
def test_crops_come_back_to_the_bit(crops: NDArray[np.uint8]) -> None:
    before = crops.copy()
    again = unpack(pack(crops))
    np.testing.assert_array_equal(again, before)
    np.testing.assert_array_equal(crops, before)
    assert again.dtype == np.uint8
    assert again.flags.c_contiguous


def test_what_changes_slowly_takes_a_small_part_of_the_bytes() -> None:
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    crops = np.stack([ramp, ramp, ramp], axis=2)[None].repeat(4, axis=0)
    assert len(pack(crops)) < crops.nbytes / 20


@pytest.mark.parametrize("data", [b"", b"no shape\n1234", b'{"shape": [1, 2, 2, 3]}\n1234'])
def test_bytes_that_were_not_packed_are_refused(data: bytes) -> None:
    with pytest.raises(StorageError, match="not packed as they should be"):
        unpack(data)


def test_a_compressed_dataset_is_the_same_version_with_the_same_crops(workshop: Workshop) -> None:
    workshop.upload(*range(6))
    plain = workshop.prepare()
    crops = list(workshop.crops(plain, "train"))
    for info in list(workshop.store.list("crops/")):
        workshop.store.delete(info.key)
    packed = workshop.prepare(compress=True)
    assert packed.version == plain.version
    assert {info.key.rpartition(".")[2] for info in workshop.store.list("crops/pets/shards/")} == {
        "packed"
    }
    for one, other in zip(workshop.crops(packed, "train"), crops, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_dataset_that_is_compressed_from_now_on_keeps_its_old_shards(workshop: Workshop) -> None:
    workshop.upload(*range(5))
    workshop.prepare()
    old = {info.key for info in workshop.store.list("crops/pets/shards/")}
    workshop.upload(*range(5, 9))
    ref = workshop.prepare(compress=True)
    both = {info.key for info in workshop.store.list("crops/pets/shards/")}
    assert ref.num_read == 4
    assert old < both
    assert all(key.endswith(".packed") for key in both - old)
    assert len(workshop.crops(ref, "train")) == ref.num_train_crops
    assert workshop.prepare(compress=True).num_read == 0, "packed shards are found again"
