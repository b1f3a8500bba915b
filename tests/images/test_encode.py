import zlib
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from srgan.errors import ImageError
from srgan.images import Photo, decode, encode
from srgan.images.encode import check_writable
from tests.support.image_files import exif, picture, srgb_profile

PHOTO = Photo(picture(), icc_profile=srgb_profile(), exif=exif(1), dpi=(300, 200))
ALPHA = picture()[:, :, 1]


def again(photo: Photo, kind: str) -> Photo:
    return decode(encode(photo, format=kind, jpeg_quality=95), max_pixels=10_000)


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp"])
def test_lossless_formats_keep_pixels_and_gray(kind: str) -> None:
    for pixels in (picture(), picture()[:, :, 0]):
        copy = again(replace(PHOTO, pixels=np.ascontiguousarray(pixels)), kind)
        assert copy.format == kind
        assert np.array_equal(copy.pixels, pixels)


def test_jpeg_goes_to_a_descriptor_so_that_threads_compress_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descriptors = list[int]()
    save = Image.Image.save

    def seen(image: Image.Image, file: BinaryIO, *args: Any, **options: Any) -> None:
        descriptors.append(file.fileno())
        save(image, file, *args, **options)

    monkeypatch.setattr(Image.Image, "save", seen)
    data = encode(PHOTO, format="jpeg", jpeg_quality=95)
    assert descriptors
    in_memory = BytesIO()
    save(Image.fromarray(PHOTO.pixels), in_memory, "jpeg", quality=95, subsampling="4:4:4")
    scan = in_memory.getvalue().index(b"\xff\xda")
    assert data.endswith(in_memory.getvalue()[scan:])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_every_png_is_written_with_the_one_fast_filter(
    channels: int, dtype: type, alpha: bool
) -> None:
    levels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (9, 7, 4), dtype)
    pixels = levels[..., 0] if channels == 1 else levels[..., :3]
    photo = Photo(pixels, alpha=levels[..., 3] if alpha else None)
    data = encode(photo, format="png", jpeg_quality=92)
    at = data.index(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    rows = zlib.decompress(data[at + 4 : at + 4 + size])
    row_bytes = 1 + 7 * (channels + alpha) * dtype().itemsize
    assert rows[::row_bytes] == bytes([4]) * 9, "4 is the filter Paeth"
    found = decode(data, max_pixels=10_000)
    np.testing.assert_array_equal(found.pixels, photo.pixels)
    assert (found.alpha is None) == (not alpha)
    assert found.alpha is None or np.array_equal(found.alpha, levels[..., 3])
    assert found.pixels.dtype == dtype


def test_jpeg_keeps_gray_and_nearly_the_pixels() -> None:
    gray = again(Photo(np.ascontiguousarray(ALPHA)), "jpeg")
    assert gray.pixels.ndim == 2
    assert np.abs(gray.pixels.astype(int) - ALPHA).max() <= 8


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_profile_and_exif_travel_to_every_format_that_has_a_place_for_them(kind: str) -> None:
    copy = again(PHOTO, kind)
    assert copy.icc_profile == PHOTO.icc_profile
    assert copy.exif is not None
    assert b"abc\x00" in copy.exif
    if kind != "tiff":  # a TIFF's tags are its EXIF and are written again
        assert copy.exif == PHOTO.exif


def test_a_profile_of_grays_does_not_describe_the_rgb_of_a_webp() -> None:
    grays = bytes(16) + b"GRAY" + bytes(108)
    for profile, expected in ((grays, None), (srgb_profile(), srgb_profile())):
        photo = Photo(np.ascontiguousarray(ALPHA), icc_profile=profile)
        assert again(photo, "webp").icc_profile == expected
        frames = replace(photo, format="webp", duration_ms=9, pages=(Photo(~ALPHA),))
        assert again(frames, "webp").icc_profile == expected
        assert again(photo, "png").icc_profile == profile


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp"])
def test_dpi_travels(kind: str) -> None:
    assert again(PHOTO, kind).dpi == pytest.approx((300, 200), abs=0.05)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_a_damaged_exif_block_does_not_prevent_writing(kind: str) -> None:
    damaged = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x0f\x01"
    assert again(replace(PHOTO, exif=damaged), kind).icc_profile == PHOTO.icc_profile


def test_a_dpi_that_no_file_can_hold_is_left_out() -> None:
    assert again(replace(PHOTO, dpi=(70_000, 70_000)), "jpeg").dpi is None


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("pixels", [picture(), picture()[:, :, 0]], ids=["colour", "gray"])
def test_alpha_is_kept(kind: str, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    copy = again(Photo(np.ascontiguousarray(pixels), np.ascontiguousarray(ALPHA)), kind)
    assert np.array_equal(copy.pixels, pixels)
    assert copy.alpha is not None
    assert np.array_equal(copy.alpha, ALPHA)


def test_webp_keeps_alpha() -> None:
    copy = again(Photo(picture(), np.ascontiguousarray(ALPHA)), "webp")
    assert copy.alpha is not None
    assert np.array_equal(copy.alpha, ALPHA)


@pytest.mark.parametrize(
    ("photo", "kind", "expected"),
    [
        (Photo(picture(), np.ascontiguousarray(ALPHA)), "jpeg", "unsupported"),
        (Photo(picture(), np.ascontiguousarray(ALPHA)), "bmp", "unsupported"),
        (Photo(np.zeros((1, 16_384), np.uint8)), "webp", "too_large"),
        (Photo(np.zeros((65_501, 1), np.uint8)), "jpeg", "too_large"),
        (PHOTO, "gif", "unsupported"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error_and_not_a_loss(
    photo: Photo, kind: str, expected: str
) -> None:
    with pytest.raises(ImageError) as caught:
        encode(photo, format=kind, jpeg_quality=90)
    assert caught.value.reason == expected


def test_the_largest_sides_of_jpeg_and_webp_are_written() -> None:
    for kind, side in (("webp", 16_383), ("jpeg", 65_500)):
        data = encode(Photo(np.zeros((1, side), np.uint8)), format=kind, jpeg_quality=50)
        assert decode(data, max_pixels=side).pixels.shape[:2] == (1, side)


def test_quality_decides_the_size_of_a_jpeg() -> None:
    sizes = [len(encode(PHOTO, format="jpeg", jpeg_quality=q)) for q in (30, 90)]
    assert sizes[0] < sizes[1]


def test_subsampling_of_colours_is_chosen() -> None:
    files = {}
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        data = encode(PHOTO, format="jpeg", jpeg_quality=90, jpeg_subsampling=subsampling)
        factors = data[data.index(b"\xff\xc0") + 11]  # sampling of luma; chroma has 1×1
        files[subsampling] = (hex(factors), len(data))
    assert [factors for factors, _ in files.values()] == ["0x11", "0x21", "0x22"]
    assert encode(PHOTO, format="jpeg", jpeg_quality=90) == encode(
        PHOTO, format="jpeg", jpeg_quality=90, jpeg_subsampling="4:4:4"
    )
    gray = Photo(np.ascontiguousarray(ALPHA))
    assert encode(gray, format="jpeg", jpeg_quality=90, jpeg_subsampling="4:2:0")


def test_what_a_format_cannot_hold_is_known_from_the_size_alone() -> None:
    for format, height, width, reason in (
        ("webp", 16_384, 1, "too_large"),
        ("jpeg", 1, 65_501, "too_large"),
        ("bmp", 40_000, 40_000, "too_large"),
    ):
        with pytest.raises(ImageError) as caught:
            check_writable(PHOTO, format, height, width)
        assert caught.value.reason == reason
    for format, height, width in (
        ("webp", 16_383, 1),
        ("png", 40_000, 40_000),
        ("tiff", 40_000, 40_000),
    ):
        check_writable(PHOTO, format, height, width)


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 4, 3)), None),
        (np.zeros((4, 4, 4), np.uint8), None),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)),
    ],
)
def test_a_photo_cannot_be_made_of_wrong_arrays(pixels: np.ndarray, alpha: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match="expected uint8"):
        Photo(pixels, alpha)
