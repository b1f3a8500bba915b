"""Multi-page TIFF and animated WebP: every image is read and written."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from srgan.errors import ImageError
from srgan.images import Photo, decode, decode_in_8_bits, encode
from srgan.images.encode import check_writable
from tests.support.image_files import exif, file, picture, srgb_profile

FRAMES = [np.ascontiguousarray(np.roll(picture(), 8 * n, axis=1)) for n in range(4)]


def read(data: bytes, max_pixels: int = 100_000) -> Photo:
    return decode(data, max_pixels=max_pixels)


def images(photo: Photo) -> list[Photo]:
    return [photo, *photo.pages]


def several(kind: str, **options: object) -> bytes:
    rest = [Image.fromarray(frame) for frame in FRAMES[1:]]
    return file(FRAMES[0], kind, save_all=True, append_images=rest, **options)


def test_every_page_of_a_tiff_comes_back_with_its_own_size_depth_and_metadata() -> None:
    pages = (
        Photo(picture(), icc_profile=srgb_profile(), exif=exif(1), dpi=(300, 200)),
        Photo(np.ascontiguousarray(picture(9, 5)[:, :, 0])),
        Photo(picture(7, 8).astype(np.uint16) * 250, alpha=np.full((7, 8), 40_000, np.uint16)),
        Photo(np.zeros((1, 1, 3), np.uint8), alpha=np.zeros((1, 1), np.uint8), dpi=(72, 72)),
    )
    photo = replace(pages[0], format="tiff", pages=pages[1:])
    copies = images(read(encode(photo, format="tiff", jpeg_quality=90)))
    assert len(copies) == len(pages)
    for copy, page in zip(copies, pages, strict=True):
        np.testing.assert_array_equal(copy.pixels, page.pixels, strict=True)
        assert (copy.alpha is None) == (page.alpha is None)
        assert (copy.icc_profile, copy.dpi) == (page.icc_profile, page.dpi)
        assert (copy.exif is None) == (page.exif is None)


def test_pages_of_other_programs_are_read_and_ours_are_read_by_others() -> None:
    photo = read(several("tiff", compression="tiff_lzw"))
    assert [np.array_equal(*pair) for pair in zip_pixels(photo, FRAMES)] == [True] * 4
    ours = Image.open(io.BytesIO(encode(photo, format="tiff", jpeg_quality=90)))
    for frame, expected in zip(ImageSequence.Iterator(ours), FRAMES, strict=True):
        np.testing.assert_array_equal(np.asarray(frame), expected)


def zip_pixels(photo: Photo, frames: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(one.pixels, frame) for one, frame in zip(images(photo), frames, strict=True)]


def test_a_preview_is_not_a_page() -> None:
    first, preview = Image.fromarray(FRAMES[0]), Image.fromarray(picture(10, 14))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    data = file(first, "tiff", save_all=True, append_images=[preview])
    assert decode_preview_kind(data) == 1, "the test file is wrong"
    photo = read(data)
    assert photo.pages == ()
    np.testing.assert_array_equal(photo.pixels, FRAMES[0])


def test_a_tiff_with_only_previews_is_refused_as_a_raw_file() -> None:
    previews = [Image.fromarray(frame) for frame in FRAMES[:2]]
    for preview in previews:
        preview.encoderinfo = {"tiffinfo": {254: 1}}
    data = file(previews[0], "tiff", save_all=True, append_images=previews[1:], tiffinfo={254: 1})
    with pytest.raises(ImageError, match=r"^unsupported: .* only previews, so a camera's"):
        read(data)


def decode_preview_kind(data: bytes) -> int:
    image = Image.open(io.BytesIO(data))
    image.seek(1)
    return int(image.tag_v2[254])  # type: ignore[attr-defined]  # of TIFF images


def test_frames_durations_and_loop_of_an_animation_are_kept() -> None:
    durations = [40, 1000, 70, 120]
    data = several("webp", lossless=True, duration=durations, loop=3, icc_profile=srgb_profile())
    photo = read(data)
    assert [np.array_equal(*pair) for pair in zip_pixels(photo, FRAMES)] == [True] * 4
    photo = replace(photo, exif=exif(1), is_lossless=False)
    copy = read(encode(photo, format="webp", jpeg_quality=95))
    assert [frame.duration_ms for frame in images(copy)] == durations
    assert copy.num_loops == 3
    assert (copy.icc_profile, copy.exif) == (srgb_profile(), exif(1))
    for frame, expected in zip_pixels(copy, FRAMES):
        assert np.abs(frame.astype(int) - expected).mean() < 6


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=6), st.integers(0, 65_535))
def test_an_animation_keeps_its_timing_whatever_it_is(durations: list[int], loops: int) -> None:
    frames = [
        Photo(np.full((4, 6, 3), 30 * n, np.uint8), format="webp", duration_ms=duration)
        for n, duration in enumerate(durations)
    ]
    photo = replace(frames[0], pages=tuple(frames[1:]), num_loops=loops)
    copy = read(encode(photo, format="webp", jpeg_quality=95))
    assert ([frame.duration_ms for frame in images(copy)], copy.num_loops) == (durations, loops)


def test_transparency_of_an_animation_is_kept() -> None:
    alpha = np.zeros((40, 56), np.uint8)
    alpha[10:30, 10:40] = 255
    frames = [Photo(frame, alpha=alpha, format="webp", duration_ms=50) for frame in FRAMES]
    photo = replace(frames[0], pages=tuple(frames[1:]))
    for frame in images(read(encode(photo, format="webp", jpeg_quality=90))):
        np.testing.assert_array_equal(frame.alpha, alpha)


def test_the_limit_of_pixels_holds_for_all_images_of_a_file_together() -> None:
    for kind in ("tiff", "webp"):
        data = several(kind)
        assert len(images(read(data, max_pixels=4 * 40 * 56))) == 4
        with pytest.raises(ImageError, match=r"^too_large: all pages together declare more than"):
            read(data, max_pixels=4 * 40 * 56 - 1)


def test_an_animated_png_is_refused_with_the_reason() -> None:
    with pytest.raises(ImageError, match=r"^unsupported: animated PNG; extract the frames"):
        read(several("png"))


@pytest.mark.parametrize("kind", ["tiff", "webp"])
def test_learning_and_judging_want_one_image_per_file(kind: str) -> None:
    with pytest.raises(ImageError, match=rf"^unsupported: {kind} with several images"):
        decode_in_8_bits(several(kind), max_pixels=100_000)


@pytest.mark.parametrize(("kind", "other"), [("tiff", "webp"), ("webp", "tiff"), ("webp", "png")])
def test_several_images_are_not_written_into_a_format_of_another_kind(
    kind: str, other: str
) -> None:
    photo = read(several(kind))
    with pytest.raises(ImageError, match=rf"^unsupported: 4 images in one {kind}; write them as"):
        check_writable(photo, other, 160, 224)


def test_pages_that_point_at_each_other_end() -> None:
    data = bytearray(encode(read(several("tiff")), format="tiff", jpeg_quality=90))
    first = int.from_bytes(data[4:8], "little")
    num_entries = int.from_bytes(data[first : first + 2], "little")
    link = first + 2 + 12 * num_entries
    data[link : link + 4] = data[4:8]
    assert len(images(read(bytes(data)))) == 1


def test_a_cut_page_fails_the_file_rather_than_losing_the_page() -> None:
    for kind in ("tiff", "webp"):
        data = several(kind)
        with pytest.raises(ImageError, match=r"^(truncated|corrupt)"):
            read(data[: len(data) * 3 // 4])
