"""Crops in fewer bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from srgan.data.packing import pack, unpack
from srgan.errors import StorageError
from tests.support.workshop import Workshop


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
