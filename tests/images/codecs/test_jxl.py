"""JPEG XL against drawn pictures; imagecodecs and pillow-jxl-plugin write the files."""

import struct
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images import decode_in_8_bits
from tests.support.image_files import LIMIT, exif, file, picture, read, reason, srgb_profile

imagecodecs = pytest.importorskip("imagecodecs")
pillow_jxl = pytest.importorskip("pillow_jxl")


def encoded(pixels: NDArray[Any], **options: Any) -> bytes:
    data: bytes = imagecodecs.jpegxl_encode(pixels, **{"lossless": True, "effort": 1, **options})
    return data


def by_plugin(pixels: NDArray[Any], **options: Any) -> bytes:
    return file(pixels, "jxl", **{"lossless": True, "effort": 1, "num_threads": 0, **options})


@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
def test_every_kind_of_pixels_is_read_value_by_value(num_channels: int, depth: int) -> None:
    kind = np.uint8 if depth == 8 else np.uint16
    values = np.random.default_rng(depth).integers(
        0, 2**depth, (13, 17, num_channels), dtype=kind, endpoint=False
    )
    data = encoded(values[:, :, 0] if num_channels == 1 else values, bitspersample=depth)
    photo = read(data)
    expected = values
    if depth == 10:
        expected = np.rint(values * (65_535 / 1023)).astype(np.uint16)
    assert (photo.format, photo.bit_depth) == ("jxl", depth)
    colours = expected[:, :, 0] if num_channels < 3 else expected[:, :, :3]
    np.testing.assert_array_equal(photo.pixels, colours, strict=True)
    if num_channels in (2, 4):
        assert photo.alpha is not None
        np.testing.assert_array_equal(photo.alpha, expected[:, :, -1], strict=True)
    rounded = decode_in_8_bits(data, max_pixels=LIMIT)
    np.testing.assert_array_equal(rounded.pixels, photo.in_8_bits().pixels)


def test_a_turned_file_is_upright_and_its_exif_says_so() -> None:
    photo = read(by_plugin(picture(), exif=exif(1)[6:], use_container=True))
    assert photo.exif == exif(1)
    np.testing.assert_array_equal(photo.pixels, picture())
    # The codestream of these files is not turned, so their EXIF is wrong: it counts for nothing.
    photo = read(by_plugin(picture(), exif=exif(6)[6:], use_container=True))
    assert photo.exif == exif(1)
    np.testing.assert_array_equal(photo.pixels, picture())


def test_a_jpeg_in_a_jpeg_xl_is_that_jpeg() -> None:
    jpeg = file(picture(), "jpeg", quality=90, exif=exif(6), icc_profile=srgb_profile())
    encoder = pillow_jxl.Encoder(
        mode="RGB", lossless=True, quality=100, decoding_speed=0, effort=1,
        use_container=True, use_original_profile=False, num_threads=0,
    )  # fmt: skip
    photo, expected = read(encoder(jpeg, 56, 40, jpeg_encode=True)), read(jpeg)
    np.testing.assert_array_equal(photo.pixels, expected.pixels)
    assert (photo.exif, photo.icc_profile) == (expected.exif, expected.icc_profile)


def test_the_profile_is_kept() -> None:
    assert (read(by_plugin(picture())).icc_profile or b"")[16:20] == b"RGB "


def test_animations_and_floating_point_numbers_are_refused() -> None:
    assert reason(encoded(np.stack([picture()] * 3))) == "unsupported"
    assert reason(encoded(picture().astype(np.float32) / 255)) == "unsupported"


@pytest.mark.parametrize("container", [False, True])
def test_a_file_that_ends_too_early_is_truncated(container: bool) -> None:
    data = by_plugin(picture(), use_container=container)
    ends = [16, 60, len(data) // 2, len(data) - 1]
    assert [reason(data[:end]) for end in ends] == ["truncated"] * len(ends)


def test_a_size_above_the_limit_is_refused_by_its_declaration() -> None:
    data = by_plugin(picture())
    assert reason(data, max_pixels=40 * 56 - 1) == "too_large"
    # Not small, a height of 30 bits, and a width equal to it.
    bits = 0 | 3 << 1 | (40_000 - 1) << 3 | 1 << 33
    assert reason(b"\xff\x0a" + struct.pack("<Q", bits) + data[10:]) == "too_large"


def test_changed_bytes_give_a_photo_or_an_image_error() -> None:
    data, random = by_plugin(picture(), use_container=True), np.random.default_rng(3)
    for number in range(200):
        spoiled = bytearray(data)
        for _ in range(3):
            spoiled[int(random.integers(len(data) if number % 2 else 60))] ^= 1 << number % 8
        with suppress(ImageError):
            assert read(bytes(spoiled)).num_pixels <= LIMIT


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(picture())
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(ImageError, match=r"^unsupported: JPEG XL needs .* '\.\[jxl\]'"):
        read(data)
