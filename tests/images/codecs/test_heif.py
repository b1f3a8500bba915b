"""HEIC and AVIF against pictures drawn here; pillow-heif and Pillow write the files."""

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.errors import ImageError
from srgan.images import Photo, decode_in_8_bits, encode
from srgan.images.boxes import Declared
from srgan.images.photo import luma
from tests.support.image_files import LIMIT, exif, file, picture, read, reason, srgb_profile

KINDS = ("heic", "avif")
LEVEL = 257
"""Levels of 16 bits for one of 8."""


def heic(pixels: NDArray[Any], mode: str = "RGB", **options: Any) -> bytes:
    """A HEIC as good as lossy ones get; further `frames` are further images."""
    frames = options.pop("frames", [])
    size = (pixels.shape[1], pixels.shape[0])
    image = pillow_heif.from_bytes(mode=mode, size=size, data=pixels.tobytes())
    for frame in frames:
        image.add_frombytes("RGB", (frame.shape[1], frame.shape[0]), frame.tobytes())
    target = io.BytesIO()
    image.save(target, **{"quality": 100, "chroma": 444, **options})
    return target.getvalue()


def avif(pixels: NDArray[Any], **options: Any) -> bytes:
    return file(pixels, "avif", **{"quality": 100, "subsampling": "4:4:4", "speed": 9, **options})


def small(kind: str, **options: Any) -> bytes:
    return heic(picture(), **options) if kind == "heic" else avif(picture(), **options)


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    return float(np.abs(one.astype(int) - other).max())


def assert_alike(
    one: NDArray[Any], other: NDArray[Any], level: int, *, has_half_colours: bool
) -> None:
    """Equal within four levels; with colours at half resolution, only their luma is."""
    if has_half_colours:
        one, other = luma(one), luma(other)
    assert difference(one, other) <= 4 * level


def photo_of(kind: str, depth: int, *, gray: bool, alpha: bool) -> Photo:
    pixels: NDArray[Any] = picture()
    if depth > 8:
        pixels = pixels.astype(np.uint16) * LEVEL
    opacity = np.ascontiguousarray(pixels[:, :, 1]) if alpha else None
    colours = np.ascontiguousarray(pixels[:, :, 0]) if gray else pixels
    return Photo(colours, opacity, format=kind, bit_depth=depth)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_colours_gray_and_alpha_of_every_depth_come_back(kind: str, depth: int) -> None:
    for gray in (False, True):
        for alpha in (False, True):
            photo = photo_of(kind, depth, gray=gray, alpha=alpha)
            copy = read(encode(photo, format=kind, jpeg_quality=100))
            assert (copy.format, copy.bit_depth) == (kind, depth)
            becomes_rgb = kind == "avif" and gray and (alpha or depth > 8)
            expected = photo.rgb if becomes_rgb else photo.pixels
            level = 1 if depth == 8 else LEVEL
            assert_alike(copy.pixels, expected, level, has_half_colours=kind == "heic" and not gray)
            assert (copy.alpha is None) == (photo.alpha is None)
            if copy.alpha is not None and photo.alpha is not None:
                assert difference(copy.alpha, photo.alpha) <= (1 if depth == 8 else LEVEL / 2)
            rounded = decode_in_8_bits(
                encode(photo, format=kind, jpeg_quality=100), max_pixels=LIMIT
            )
            assert np.array_equal(rounded.pixels, copy.in_8_bits().pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_white_is_white_in_every_depth(kind: str) -> None:
    for depth in (10, 12):
        white = Photo(np.full((16, 16, 3), 65_535, np.uint16), format=kind, bit_depth=depth)
        copy = read(encode(white, format=kind, jpeg_quality=100))
        assert copy.pixels.min() == copy.pixels.max() == 65_535


@pytest.mark.parametrize("kind", KINDS)
def test_a_turned_file_is_turned_once_and_its_exif_says_upright(kind: str) -> None:
    photo = read(small(kind, exif=exif(6)))
    assert photo.exif is not None
    assert difference(photo.pixels, np.ascontiguousarray(np.rot90(picture(), -1))) <= 4
    assert exif(6)[:8] == photo.exif[:8]
    copy = read(encode(photo, format=kind, jpeg_quality=100))
    assert_alike(copy.pixels, photo.pixels, 1, has_half_colours=kind == "heic")


def test_the_orientation_of_an_exif_alone_says_nothing() -> None:
    data = small("heic", exif=exif(1))
    place = data.index(exif(1)[6:])
    turned = data[:place] + exif(6)[6:] + data[place + len(exif(6)) - 6 :]
    photo = read(turned)
    assert photo.pixels.shape == picture().shape
    assert photo.exif == exif(1)


@pytest.mark.parametrize("kind", KINDS)
def test_profile_and_exif_are_kept_to_the_byte(kind: str) -> None:
    photo = Photo(picture(), format=kind, exif=exif(1), icc_profile=srgb_profile())
    copy = read(encode(photo, format=kind, jpeg_quality=90))
    assert copy.exif == exif(1)
    assert copy.icc_profile == srgb_profile()


def test_a_grid_of_tiles_is_one_photo() -> None:
    pixels = picture(150, 200)
    data = heic(pixels, tile_size=64)
    assert data.count(b"grid") == 1
    assert difference(read(data).pixels, pixels) <= 6


def test_of_several_images_the_primary_one_is_read() -> None:
    data = heic(picture(30, 20), frames=[picture()], primary_index=1)
    assert difference(read(data).pixels, picture()) <= 4


@pytest.mark.parametrize(
    ("kind", "aux", "expected"),
    [
        (b"hvc1", b"", ("further images",)),
        (b"Exif", b"", ()),
        (b"tmap", b"", ("gain map",)),
        (b"hvc1", b"urn:com:apple:photo:2020:aux:hdrgainmap\0", ("gain map",)),
        (b"hvc1", b"urn:mpeg:hevc:2015:auxid:2\0", ("depth map",)),
        (b"hvc1", b"urn:mpeg:hevc:2015:auxid:1\0", ()),
        (b"hvc1", b"urn:else\0", ("auxiliary images",)),
    ],
)
def test_what_comes_besides_the_primary_image_is_named(
    kind: bytes, aux: bytes, expected: tuple[str, ...]
) -> None:
    found = Declared(kinds={1: b"hvc1", 2: kind}, primary=1, own={2: [1]})
    if aux:
        found.properties, found.attached = [(b"auxC", bytes(4) + aux)], {2: b"auxl"}
    assert found.lost == expected


def test_further_images_are_named_and_thumbnails_are_not() -> None:
    assert read(heic(picture())).lost == read(heic(picture(150, 200), tile_size=64)).lost == ()
    assert read(heic(picture(), frames=[picture(30, 20)])).lost == ("further images",)


def test_multiplied_alpha_is_divided() -> None:
    alpha = np.full((40, 56), 128, np.uint8)
    halved = np.dstack([(picture() / 2).astype(np.uint8), alpha])
    photo = read(avif(halved, alpha_premultiplied=True))
    # Pillow gets the plain colours and multiplies them.
    assert photo.alpha is not None
    assert difference(photo.pixels, halved[:, :, :3]) <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_too_early_is_truncated_wherever_it_ends(kind: str) -> None:
    data = small(kind)
    ends = [20, 100, len(data) // 3, len(data) // 2, len(data) - 1]
    assert [reason(data[:end]) for end in ends] == ["truncated"] * len(ends)


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_phones_after_the_image_do_not_matter(kind: str) -> None:
    data = small(kind)
    assert np.array_equal(read(data + b"\xff\xff\xff\xffSEFT").pixels, read(data).pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_above_the_limit_is_refused_by_its_declaration(kind: str) -> None:
    data = bytearray(small(kind))
    assert reason(bytes(data), max_pixels=40 * 56 - 1) == "too_large"
    size = data.index(b"ispe") + 8
    data[size : size + 8] = struct.pack(">II", 60_000, 60_000)
    assert reason(bytes(data)) == "too_large"


def test_a_grid_that_is_larger_than_its_file_says_is_refused() -> None:
    data = heic(picture(150, 200), tile_size=64)
    grid = bytes([0, 0, 2, 3]) + struct.pack(">HH", 200, 150)
    assert data.count(grid) == 1
    assert reason(data.replace(grid, grid[:4] + struct.pack(">HH", 60_000, 60_000))) == "too_large"


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_larger_than_declared_are_refused(kind: str) -> None:
    data = bytearray(small(kind))
    size = data.index(b"ispe") + 8
    data[size : size + 8] = struct.pack(">II", 16, 16)
    assert reason(bytes(data)) == "corrupt"


def test_an_image_sequence_is_refused() -> None:
    frames = {"save_all": True, "append_images": [Image.new("RGB", (56, 40))], "duration": 100}
    assert reason(avif(picture(), **frames)) == "unsupported"


def test_hdr_is_refused_and_colours_other_than_srgb_get_a_profile() -> None:
    codes = {"matrix_coefficients": 6, "full_range_flag": 1}
    p3 = heic(picture(), color_primaries=12, transfer_characteristics=13, **codes)
    assert (read(p3).icc_profile or b"")[16:20] == b"RGB "
    assert read(small("heic")).icc_profile is None
    hdr = heic(picture(), color_primaries=9, transfer_characteristics=16, **codes)
    with pytest.raises(ImageError, match=r"^unsupported: HDR"):
        read(hdr)


def test_a_heif_without_a_known_codec_and_a_video_are_told_apart() -> None:
    other = b"\0\0\0\x18ftypmif1\0\0\0\0mif1j2ki" + bytes(30)
    assert reason(other) == "unsupported"
    assert reason(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(30)) == "not_an_image"
    heif = small("heic")
    assert difference(read(heif[:8] + b"mif1" + heif[12:]).pixels, picture()) <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_give_a_photo_or_an_image_error(kind: str) -> None:
    data, random = small(kind), np.random.default_rng(3)
    for number in range(300):
        spoiled = bytearray(data)
        for _ in range(3):
            place = int(random.integers(len(data) if number % 2 else 400))
            spoiled[place] = int(random.integers(256))
        with suppress(ImageError):
            assert read(bytes(spoiled)).num_pixels <= LIMIT


def test_what_does_not_fit_into_the_memory_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Memory allocation error: Unspecified: Allocating 9 bytes failed")

    data = small("heic")
    monkeypatch.setattr(pillow_heif, "HeifFile", fail)
    assert reason(data) == "too_large"


def test_what_the_encoder_does_not_accept_is_an_image_error() -> None:
    with pytest.raises(ImageError, match=r"^unsupported: HEIC: .*; choose png or tiff"):
        encode(Photo(np.zeros((16, 16_384, 3), np.uint8)), format="heic", jpeg_quality=90)
