"""Multi-page TIFF and animated WebP: every image is read and written."""

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from srgan.errors import ImageError
from srgan.images import Photo, decode_in_8_bits, encode
from srgan.images.encode import check_writable, own_format
from tests.support.image_files import exif, file, picture, png_chunk, read, srgb_profile

FRAMES = [np.ascontiguousarray(np.roll(picture(), 8 * n, axis=1)) for n in range(4)]


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
    with pytest.raises(ImageError, match=r"^unsupported: a camera's raw file"):
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
    for kind in ("tiff", "webp", "gif", "png"):
        data = several(kind)
        assert len(images(read(data, max_pixels=4 * 40 * 56))) == 4
        with pytest.raises(ImageError, match=r"^too_large: all pages together declare more than"):
            read(data, max_pixels=4 * 40 * 56 - 1)


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_an_animated_gif_or_png_becomes_an_animated_webp_of_the_same_frames(kind: str) -> None:
    options = {"duration": [40, 90, 200, 1000], "loop": 3}
    photo = read(several(kind, **options))
    shown = [
        np.asarray(frame.convert("RGB"))
        for frame in ImageSequence.Iterator(Image.open(io.BytesIO(several(kind, **options))))
    ]
    assert photo.format == kind
    for page, frame in zip(images(photo), shown, strict=True):
        np.testing.assert_array_equal(page.rgb, frame)
    assert [page.duration_ms for page in images(photo)] == options["duration"]
    # A GIF tells how often an animation is played again.
    assert photo.num_loops == (4 if kind == "gif" else 3)
    assert own_format(photo) == "webp"
    copy = read(encode(photo, format="webp", jpeg_quality=95))
    assert [page.duration_ms for page in images(copy)] == options["duration"]
    assert copy.num_loops == photo.num_loops
    for page, frame in zip(images(copy), shown, strict=True):
        assert np.abs(page.rgb.astype(int) - frame).mean() < 6


def test_an_animated_png_keeps_its_profile_and_its_alpha() -> None:
    alpha = np.linspace(0, 255, 40 * 56).astype(np.uint8).reshape(40, 56)
    frames = [Image.fromarray(np.dstack([frame, alpha])) for frame in FRAMES]
    options = {"save_all": True, "append_images": frames[1:], "icc_profile": srgb_profile()}
    photo = read(file(frames[0], "png", **options))
    assert photo.icc_profile == srgb_profile()
    for page, frame in zip(images(photo), FRAMES, strict=True):
        assert page.alpha is not None
        np.testing.assert_array_equal(page.alpha, alpha)
        np.testing.assert_array_equal(page.pixels, frame)


def test_the_picture_for_programs_without_animation_is_not_a_frame_of_a_png() -> None:
    photo = read(several("png", default_image=True))
    assert [np.array_equal(*pair) for pair in zip_pixels(photo, FRAMES[1:])] == [True] * 3


def test_an_animation_of_one_frame_is_a_still() -> None:
    gif = file(Image.fromarray(FRAMES[0]).quantize(), "gif", duration=70)
    for data in (gif, with_one_frame(file(FRAMES[0], "png"))):
        photo = read(data)
        assert (photo.pages, photo.duration_ms, own_format(photo)) == ((), None, "png")


def with_one_frame(data: bytes) -> bytes:
    """A PNG that says that it is animated."""
    control = png_chunk(b"acTL", struct.pack(">II", 1, 0))
    control += png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 56, 40, 0, 0, 7, 100, 0, 0))
    return data[:33] + control + data[33:]


def test_a_gif_that_plays_once_does_not_become_endless() -> None:
    assert read(several("gif", duration=50)).num_loops == 1
    assert read(several("gif", duration=50, loop=0)).num_loops == 0


def test_the_comment_of_a_gif_is_kept() -> None:
    assert read(file(FRAMES[0], "gif", comment=b"hello")).comments == (b"hello",)
    assert read(several("gif", comment=b"hello")).comments == (b"hello",)


def test_transparent_pixels_of_a_gif_stay_transparent() -> None:
    pixels = np.zeros((6, 8), np.uint8)
    pixels[2:] = 1
    image = Image.fromarray(pixels, "P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    photo = read(file(image, "gif", transparency=0))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, np.where(pixels, 255, 0))
    assert photo.pixels[3, 3].tolist() == [0, 0, 255]


@pytest.mark.parametrize("kind", ["tiff", "webp", "gif", "png"])
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
    for kind in ("tiff", "webp", "gif", "png"):
        data = several(kind)
        with pytest.raises(ImageError, match=r"^(truncated|corrupt)"):
            read(data[: len(data) * 3 // 4])
