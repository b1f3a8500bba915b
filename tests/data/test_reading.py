"""Photos in work: as many as fit into memory, in the order of what was asked for."""

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.data.reading import BYTES_PER_PIXEL, PhotoReader, counted
from srgan.errors import ImageError, StorageError
from srgan.images import Photo
from srgan.storage import ObjectInfo

BUDGET = 4 * 1000 * BYTES_PER_PIXEL
"""Room for three photos of 1000 pixels beside the part for files."""


@dataclass
class Bench:
    """A store whose files say how many pixels they have, and a decoder that notes what is there."""

    missing: set[str] = field(default_factory=set)
    held: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str) -> bytes | None:
        if key == "unreachable":
            raise StorageError("no answer")
        return None if key in self.missing else key.encode()

    def measure(self, data: bytes, *, max_pixels: int) -> int:
        if not data.isdigit():
            raise ImageError("corrupt", "no header")
        return int(data)

    def decode(self, data: bytes, *, max_pixels: int) -> Photo:
        num_pixels = self.measure(data, max_pixels=max_pixels)
        with self.lock:
            self.held += num_pixels
            self.most = max(self.most, self.held)
        time.sleep(0.002 if num_pixels > 500 else 0)
        return Photo(np.zeros((num_pixels, 1), np.uint8))

    def read(self, *keys: str, size_bytes: int | None = None) -> list[int | str]:
        """Read files and return what was used, in that order."""
        used: list[int | str] = []

        def make(info: ObjectInfo, files: Sequence[bytes]) -> int | str:
            try:
                return reader.photo(info, files[0], max_pixels=10**6).num_pixels
            except ImageError as error:
                return error.reason

        def use(result: int | str) -> None:
            used.append(result)
            if isinstance(result, int):
                with self.lock:
                    self.held -= result

        reader = PhotoReader(decode=self.decode, measure=self.measure, memory_bytes=BUDGET)
        infos = [ObjectInfo(key, "t", size_bytes or len(key)) for key in keys]
        reader.read(infos, lambda info: [(self, info)], make, use, max_pixels=10**6)  # type: ignore[list-item]
        return used


def test_a_file_larger_than_any_photo_within_the_limit_is_not_read() -> None:
    most = 8 * 10**6 + 64 * 2**20
    assert Bench().read("900", size_bytes=most) == [900]
    assert Bench().read("unreachable", size_bytes=most + 1) == ["too_large"]


def test_results_come_in_the_order_of_the_items_whatever_takes_long() -> None:
    sizes = [1000, 1, 1, 999, 2, 3, 1000, 4] * 5
    assert Bench().read(*map(str, sizes)) == sizes


def test_photos_are_decoded_while_they_fit_into_the_memory_together() -> None:
    bench = Bench()
    bench.read(*["1000"] * 20)
    assert 1000 < bench.most <= 3000


def test_a_photo_that_never_fits_is_read_alone() -> None:
    bench = Bench()
    assert bench.read("10", "9000", "10", "9000", "9000", "10") == [10, 9000, 10, 9000, 9000, 10]
    assert bench.most == 9000


def test_a_file_without_a_header_is_left_to_the_decoder() -> None:
    assert Bench().read("10", "text", "20") == [10, "corrupt", 20]


def test_a_file_that_was_deleted_since_it_was_listed_is_passed_over() -> None:
    assert Bench(missing={"20"}).read("10", "20", "30") == [10, 30]


def test_a_store_that_cannot_be_reached_is_an_error_and_not_a_bad_photo() -> None:
    with pytest.raises(StorageError, match="no answer"):
        Bench().read("10", "unreachable", "30")


def test_pixels_are_gone_before_the_ones_behind_them_are_decoded() -> None:
    """A photo that is read alone must not lie in memory beside the one before."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    there: list[int] = []

    def make(info: ObjectInfo, files: Sequence[bytes]) -> NDArray[np.uint8]:
        there.append(sum(1 for each in alive if each() is not None))
        pixels = np.zeros(9000, np.uint8)
        alive.append(weakref.ref(pixels))
        return pixels

    bench = Bench()
    reader = PhotoReader(decode=bench.decode, measure=bench.measure, memory_bytes=BUDGET)
    infos = [ObjectInfo("9000", "t", 4)] * 5
    reader.read(
        infos,
        lambda info: [(bench, info)],  # type: ignore[list-item]
        make,
        lambda pixels: None,
        max_pixels=10**6,
    )
    assert there == [0] * 5


def test_what_need_not_be_read_counts_as_done() -> None:
    calls: list[tuple[int, int]] = []
    progress = counted(lambda *call: calls.append(call), 10)
    progress(0, 4)
    progress(4, 4)
    assert calls == [(6, 10), (10, 10)]
