"""Values of a TIFF come out whole whatever its strips and tiles; hostile ones cost nothing."""

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srgan.errors import ImageError
from srgan.images.codecs.tiff_values import COMPRESSIONS
from tests.support.checkout import ROOT
from tests.support.image_files import picture, read
from tests.support.tiffs import Values, written


def planes() -> Values:
    return np.moveaxis(picture().astype(np.uint16) * 257, 2, 0)


def with_tag(data: bytes, tag: int, value: int) -> bytes:
    """Replace the number that stands in an entry of the first directory."""
    start = int.from_bytes(data[4:8], "little")
    num_entries = int.from_bytes(data[start : start + 2], "little")
    for entry in range(start + 2, start + 2 + 12 * num_entries, 12):
        if int.from_bytes(data[entry : entry + 2], "little") == tag:
            changed = struct.pack("<HHII", tag, 4, 1, value)
            return data[:entry] + changed + data[entry + 12 :]
    raise AssertionError(f"the test's file has no tag {tag}")


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 1},
        {"rowsperstrip": 39},
        {"rowsperstrip": 1000},
        {"tile": (16, 64)},
        {"tile": (256, 256)},
        {"bigtiff": True},
        {"bigtiff": True, "tile": (16, 32)},
    ],
    ids=str,
)
@pytest.mark.parametrize("compression", [None, "lzw", "zstd"])
def test_strips_and_tiles_of_any_size_make_the_whole_picture(
    options: dict[str, Any], compression: str | None
) -> None:
    photo = read(written(picture(), compression=compression, **options))
    np.testing.assert_array_equal(photo.pixels, picture(), strict=True)


def test_a_big_endian_bigtiff_is_refused_with_the_true_reason() -> None:
    with pytest.raises(ImageError, match=r"^unsupported: BigTIFF in big-endian order"):
        read(written(picture(), bigtiff=True, byteorder=">"))


def test_a_strip_may_be_larger_than_the_limits_of_the_library() -> None:
    shape = (3100, 3100, 3)  # 58 MB, and noise stays as large
    values = np.random.default_rng(0).integers(0, 65_536, shape, dtype=np.uint16)
    photo = read(written(values, compression="zstd", rowsperstrip=3100), 10_000_000)
    assert np.array_equal(photo.pixels, values)


def test_lengths_that_nothing_needs_may_be_wrong() -> None:
    plain, packed = written(picture()), written(picture(), compression="lzw")
    for size in (0, 5, 2**31):
        np.testing.assert_array_equal(read(with_tag(plain, 279, size)).pixels, picture())
    with pytest.raises(ImageError, match=r"^corrupt: a strip or tile of the TIFF is empty"):
        read(with_tag(packed, 279, 0))
    with pytest.raises(ImageError, match=r"^corrupt"):
        read(with_tag(packed, 279, 50))


def test_pixels_beyond_the_file_are_truncated() -> None:
    for data in (written(picture()), written(planes(), planarconfig="separate")):
        start = int.from_bytes(data[4:8], "little")
        assert start < len(data) // 2, "the directory comes first"
        with pytest.raises(ImageError, match=r"^truncated: \d+ bytes of the TIFF's pixels"):
            read(data[:-100])


def test_a_small_file_cannot_name_the_same_bytes_again_and_again() -> None:
    data = bytearray(written(picture(), compression="deflate", rowsperstrip=1))
    whole = bytes(data)
    start = int.from_bytes(data[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * 20, 12):
        tag, kind, count, at = struct.unpack("<HHII", data[entry : entry + 12])
        if tag in (273, 279):
            width = {3: 2, 4: 4}[kind]
            value = 8 if tag == 273 else min(len(data) - 8, 2 ** (8 * width) - 1)
            data[at : at + width * count] = value.to_bytes(width, "little") * count
    assert bytes(data) != whole
    with pytest.raises(ImageError, match=r"^corrupt: the strips or tiles of the TIFF overlap"):
        read(bytes(data))


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        (322, 2**31, "too_large: tiles of"),
        (322, 0, "corrupt: the TIFF has strips or tiles without pixels"),
        (277, 40, "unsupported: 40 channels"),
        (277, 2**31, "unsupported: 2147483648 channels"),
        (257, 100_000, "too_large"),
        (257, 170, "corrupt: the TIFF has 12 strips or tiles of 44"),
        (317, 3, "unsupported: .*Predictor"),
        (259, 34712, "unsupported: compression 34712"),
    ],
)
def test_a_directory_that_asks_for_too_much_is_refused_before_anything_is_allocated(
    tag: int, value: int, reason: str
) -> None:
    data = written(picture(), tile=(16, 16), compression="deflate", predictor=True)
    with pytest.raises(ImageError, match=f"^{reason}"):
        read(with_tag(data, tag, value))


def test_a_strip_that_unpacks_to_more_than_its_rows_is_cut_off_there() -> None:
    for compression in ("zstd", "lzma", "deflate"):
        whole = written(
            np.zeros((4000, 56, 3), np.uint8), compression=compression, rowsperstrip=4000
        )
        data = with_tag(with_tag(whole, 257, 40), 278, 40)
        assert read(data).pixels.shape == (40, 56, 3), compression


def test_strips_without_pixels_for_all_rows_are_corrupt() -> None:
    for compression in ("zstd", "lzma", "deflate", "lzw"):
        whole = written(picture(), compression=compression, rowsperstrip=40)
        with pytest.raises(ImageError, match=r"^corrupt"):
            read(with_tag(with_tag(whole, 257, 80), 278, 80))


def test_the_docs_list_the_compressions_that_are_read() -> None:
    page = (ROOT / "docs" / "upscaling.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| compression |"))
    listed = row.split("|")[2].strip().split(", ")
    assert sorted(listed) == sorted(set(COMPRESSIONS.values()))


FILES = {
    "tiles": written(picture(), tile=(16, 16), compression="lzw", predictor=True),
    "planes": written(planes(), planarconfig="separate", compression="deflate"),
    "jpeg": written(picture(), compression="jpeg"),
    "zstd": written(picture(), compression="zstd", tile=(32, 32)),
    "webp": written(picture(), compression="webp"),
}


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_nothing_but_an_image_error_escapes_whatever_the_layout_says(
    kind: str, data: st.DataObject
) -> None:
    broken = bytearray(FILES[kind])
    start = int.from_bytes(broken[4:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        at = start + data.draw(st.integers(0, 220)) if data.draw(st.booleans()) else None
        at = data.draw(st.integers(0, len(broken) - 1)) if at is None else at
        broken[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
    with suppress(ImageError):
        read(bytes(broken))


def test_a_predictor_is_undone_for_compressions_that_are_unpacked_here() -> None:
    values = picture().astype(np.uint16) * 200
    for order in "<>":
        data = written(values, compression="zstd", predictor=True, byteorder=order, tile=(16, 16))
        np.testing.assert_array_equal(read(data).pixels, values, strict=True)
