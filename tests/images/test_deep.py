"""16 bits are read and written without losing one of them."""

import struct
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images import Photo, decode_in_8_bits, encode
from tests.support.image_files import exif, picture, png, png_chunk, read, srgb_profile

Deep = NDArray[np.uint16]


def deep_picture(num_channels: int = 3, height: int = 40, width: int = 56) -> Deep:
    shape = (height, width, num_channels)
    return np.random.default_rng(7).integers(0, 65_536, shape, dtype=np.uint16)


def vips_image(values: Deep, kind: str) -> Any:
    height, width, num_channels = values.shape
    image = pyvips.Image.new_from_memory(values.tobytes(), width, height, num_channels, "ushort")
    return image.copy(interpretation=kind)


@st.composite
def deep_photos(draw: st.DrawFn) -> Photo:
    height, width = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    shape = (height, width, 3) if draw(st.booleans()) else (height, width)
    return Photo(
        pixels=draw(arrays.arrays(np.uint16, shape)),
        alpha=draw(st.none() | arrays.arrays(np.uint16, (height, width))),
        bit_depth=16,
        icc_profile=draw(st.sampled_from([None, srgb_profile()])),
        exif=draw(st.sampled_from([None, exif(1), exif(1, ">")])),
        dpi=draw(st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000))),
    )


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(deep_photos(), st.sampled_from(["png", "tiff"]))
def test_16_bit_photos_come_back_with_every_value_and_their_metadata(
    photo: Photo, kind: str
) -> None:
    copy = read(encode(photo, format=kind, jpeg_quality=90))
    assert (copy.format, copy.bit_depth) == (kind, 16)
    np.testing.assert_array_equal(copy.pixels, photo.pixels, strict=True)
    if photo.alpha is None:
        assert copy.alpha is None
    else:
        np.testing.assert_array_equal(copy.alpha, photo.alpha, strict=True)
    assert copy.icc_profile == photo.icc_profile
    if kind == "png":
        assert copy.exif == photo.exif, "to the byte, maker notes too"
    elif photo.exif:
        assert b"abc\x00" in (copy.exif or b"")
    assert copy.dpi == (photo.dpi and pytest.approx(photo.dpi, rel=0.02))


def test_other_programs_read_the_same_16_bits() -> None:
    values = deep_picture(4)
    photo = Photo(np.ascontiguousarray(values[:, :, :3]), np.ascontiguousarray(values[:, :, 3]))
    loaders = {"png": pyvips.Image.pngload_buffer, "tiff": pyvips.Image.tiffload_buffer}
    for kind, load in loaders.items():
        data = encode(replace(photo, icc_profile=srgb_profile()), format=kind, jpeg_quality=90)
        image = load(data)
        assert image.interpretation == "rgb16"
        assert image.get("icc-profile-data") == srgb_profile()
        np.testing.assert_array_equal(image.numpy(), values)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "deflate", "tile": True, "predictor": "none"},
        {"bigtiff": True},
        {},
    ],
    ids=str,
)
@pytest.mark.parametrize(("kind", "num_channels"), [("rgb16", 3), ("grey16", 1), ("grey16", 2)])
def test_16_bit_tiffs_of_other_programs_are_read_exactly(
    options: dict[str, Any], kind: str, num_channels: int
) -> None:
    values = deep_picture(num_channels)
    photo = read(vips_image(values, kind).tiffsave_buffer(**options))
    colours = values[:, :, :3] if num_channels == 3 else values[:, :, 0]
    np.testing.assert_array_equal(photo.pixels, colours, strict=True)
    assert (photo.alpha is not None) == (num_channels == 2)


def test_a_tiff_whose_zero_is_white_is_not_read_as_a_negative() -> None:
    values = deep_picture(1)
    photo = read(vips_image(values, "grey16").tiffsave_buffer(miniswhite=True))
    np.testing.assert_array_equal(photo.pixels, values[:, :, 0])


def test_premultiplied_colours_of_a_tiff_become_plain_ones() -> None:
    values = deep_picture(4)
    values[:, :, 3] = values[:, :, 3] // 2 + 32_768
    photo = read(vips_image(values, "rgb16").tiffsave_buffer(premultiply=True))
    assert np.abs(photo.pixels.astype(int) - values[:, :, :3]).max() <= 3
    np.testing.assert_array_equal(photo.alpha, values[:, :, 3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_16_bit_tiff_is_turned_as_an_8_bit_one_is(orientation: int) -> None:
    eight = vips_image(picture().astype(np.uint16) * 257, "rgb16")
    turned = {}
    for bits, image in ((16, eight), (8, eight.colourspace("srgb"))):
        tagged = image.copy(xres=10, yres=5)
        tagged.set_type(pyvips.GValue.gint_type, "orientation", orientation)
        turned[bits] = read(tagged.tiffsave_buffer())
    np.testing.assert_array_equal(turned[16].in_8_bits().pixels, turned[8].pixels)
    assert (
        turned[16].dpi
        == turned[8].dpi
        == pytest.approx((127, 254) if orientation >= 5 else (254, 127))
    )


def test_16_bit_ink_becomes_16_bit_colours() -> None:
    ink = deep_picture(4)
    plain = read(vips_image(ink, "cmyk").tiffsave_buffer())
    expected = (1 - ink[:, :, :3] / 65_535) * (1 - ink[:, :, 3:] / 65_535) * 65_535
    assert np.abs(plain.pixels - expected).max() <= 1
    profiled = vips_image(ink, "cmyk").copy()
    profiled.set_type(
        pyvips.GValue.blob_type, "icc-profile-data", pyvips.Operation.call("profile_load", "cmyk")
    )
    photo = read(profiled.tiffsave_buffer())
    assert photo.is_deep
    assert photo.icc_profile is None, "it describes ink, and the pixels are RGB now"
    assert not np.array_equal(photo.pixels, plain.pixels), "the profile counts"


def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha() -> None:
    row = b"\x00" + struct.pack(">6H", 0, 0x1234, 0xFFFF, 0, 0x1235, 0xFFFF)
    photo = read(png(2, 1, 16, 2, row, png_chunk(b"tRNS", struct.pack(">3H", 0, 0x1234, 0xFFFF))))
    assert photo.pixels.tolist() == [[[0, 0x1234, 0xFFFF], [0, 0x1235, 0xFFFF]]]
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[0, 65_535]]


def test_16_bits_become_the_nearest_of_256_levels_in_8_bit_formats() -> None:
    levels = np.arange(0, 65_536, 17, dtype=np.uint16).reshape(1, -1)
    copy = read(encode(Photo(np.dstack([levels] * 3)), format="bmp", jpeg_quality=90))
    assert np.abs(copy.pixels - np.dstack([levels] * 3) / 257).max() <= 0.5
    for kind in ("jpeg", "webp"):
        photo = Photo(picture().astype(np.uint16) * 257)
        data = encode(photo, format=kind, jpeg_quality=90)
        assert data == encode(Photo(picture()), format=kind, jpeg_quality=90)


def test_training_and_evaluation_see_8_bits() -> None:
    photo = Photo(deep_picture())
    data = encode(photo, format="tiff", jpeg_quality=90)
    assert decode_in_8_bits(data, max_pixels=10_000).pixels.dtype == np.uint8


@pytest.mark.parametrize("kind", ["rgb16", "grey16"])
def test_16_bits_that_are_not_a_picture_are_refused(kind: str) -> None:
    values = vips_image(deep_picture(3 if kind == "rgb16" else 1), kind)
    with pytest.raises(ImageError, match="unsupported"):
        read(values.cast("short").tiffsave_buffer())
    with pytest.raises(ImageError, match="unsupported"):
        read(vips_image(deep_picture(5), "rgb16").tiffsave_buffer())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.98])
@pytest.mark.parametrize("options", [None, {}, {"compression": "lzw"}], ids=str)
def test_a_truncated_16_bit_tiff_is_rejected_as_truncated(
    share: float, options: dict[str, Any] | None
) -> None:
    if options is None:
        data = encode(Photo(deep_picture()), format="tiff", jpeg_quality=90)
    else:
        data = vips_image(deep_picture(), "rgb16").tiffsave_buffer(**options)
    with pytest.raises(ImageError, match=r"^truncated"):
        read(data[: max(20, int(len(data) * share))])


def test_the_size_of_a_16_bit_file_is_checked_before_its_pixels() -> None:
    for kind in ("png", "tiff"):
        data = encode(Photo(deep_picture()), format=kind, jpeg_quality=90)
        with pytest.raises(ImageError, match=r"^too_large"):
            read(data, max_pixels=40 * 56 - 1)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(["png", "tiff", "lzw"]), st.data())
def test_nothing_but_an_image_error_escapes_whatever_the_16_bit_bytes(
    kind: str, data: st.DataObject
) -> None:
    if kind == "lzw":
        whole = vips_image(deep_picture(), "rgb16").tiffsave_buffer(compression="lzw")
    else:
        whole = encode(Photo(deep_picture()), format=kind, jpeg_quality=90)
    broken = bytearray(whole)
    edges = st.integers(0, 400) | st.integers(len(broken) - 400, len(broken) - 1)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(edges)
        broken[position : position + 1] = data.draw(st.binary(max_size=4))
    with suppress(ImageError):
        read(bytes(broken))
