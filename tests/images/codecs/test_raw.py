"""Raw files, drawn as DNGs of a camera whose colours are those of sRGB."""

import sys
from contextlib import suppress

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images import decode_in_8_bits
from srgan.images.metadata import exif_block
from tests.support.image_files import LIMIT, dng, file, picture, read, reason

pytest.importorskip("rawpy")


def linear() -> NDArray[np.uint16]:
    """Values of the sensor: smooth, so that any demosaicing gives nearly the same."""
    y, x = np.mgrid[0:96, 0:128]
    return np.dstack([x * 300 + 2000, y * 400 + 1500, (x + y) * 150 + 1000]).astype(np.uint16)


def in_srgb() -> NDArray[np.float64]:
    share = linear() / 65_535
    curved = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    return np.asarray(curved * 65_535)


def test_a_raw_file_is_developed_to_16_bits_of_srgb_in_its_own_brightness() -> None:
    photo = read(dng(linear()))
    assert (photo.format, photo.bit_depth, photo.icc_profile) == ("raw", 16, None)
    within = slice(8, -8)
    assert np.abs(photo.pixels[within, within] - in_srgb()[within, within]).max() < 16
    assert np.array_equal(photo.pixels, read(dng(linear())).pixels)
    rounded = decode_in_8_bits(dng(linear()), max_pixels=LIMIT)
    assert np.array_equal(rounded.pixels, photo.in_8_bits().pixels)


def test_the_white_balance_is_the_cameras() -> None:
    tinted = (linear() * np.array([0.5, 1.0, 0.75])).astype(np.uint16)
    photo = read(dng(tinted, neutral=(0.5, 1.0, 0.75)))
    within = slice(8, -8)
    assert np.abs(photo.pixels[within, within] - in_srgb()[within, within]).max() < 400


def test_a_turned_raw_file_is_upright_and_keeps_its_exif() -> None:
    photo = read(dng(linear(), orientation=6))
    assert photo.pixels.shape == (128, 96, 3)
    assert np.array_equal(photo.pixels, np.rot90(read(dng(linear())).pixels, -1))
    assert photo.exif is not None
    assert b"Drawn by a test" in photo.exif
    assert exif_block.orientation(photo.exif) == 1


def test_a_raw_file_that_ends_too_early_is_truncated() -> None:
    data = dng(linear())
    ends = [20, len(data) // 2, len(data) - 1]
    assert [reason(data[:end]) for end in ends] == ["truncated"] * len(ends)


def test_a_size_above_the_limit_is_refused() -> None:
    assert reason(dng(linear()), max_pixels=96 * 128 - 1) == "too_large"


def test_a_tiff_that_only_looks_like_a_raw_file_is_refused() -> None:
    assert reason(file(picture(), "tiff", tiffinfo={254: 1})) == "unsupported"


def test_changed_bytes_give_a_photo_or_an_image_error() -> None:
    data, random = dng(linear()), np.random.default_rng(3)
    for number in range(100):
        spoiled = bytearray(data)
        for _ in range(3):
            spoiled[int(random.integers(600))] ^= 1 << number % 8
        with suppress(ImageError):
            assert read(bytes(spoiled)).num_pixels <= LIMIT


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for data in (dng(linear()), b"FUJIFILMCCD-RAW 0201", b"\0\0\0\x18ftypcrx " + bytes(20)):
        with pytest.raises(ImageError, match=r"^unsupported: .* needs .* '\.\[raw\]'"):
            read(data)


def test_the_metadata_of_a_raw_file_that_is_not_quite_a_tiff_is_read_and_losses_are_named() -> None:
    olympus = dng(linear()).replace(b"II*\0", b"IIRO", 1)
    photo = read(olympus)
    assert b"Drawn by a test" in (photo.exif or b"")
    assert photo.lost == ()
    photo = read(dng(linear(), xmp=b"<x:xmpmeta/>"))
    assert (photo.xmp, photo.lost) == (None, ("XMP",))
