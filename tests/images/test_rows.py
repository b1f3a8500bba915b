"""Photos on disk become the same files that `encode` makes of the photos in memory."""

import errno
import io
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images import Photo, decode, encode
from srgan.images.codecs import tiff
from srgan.images.rows import encode_into
from srgan.images.spool import Plane, SpooledPhoto
from srgan.inference.engine import Engine
from srgan.models.interpolation import Nearest
from tests.support.image_files import exif, laden, srgb_profile

FORMATS = ("png", "jpeg", "tiff", "webp", "bmp")
EXTRAS: dict[str, Any] = {"icc_profile": srgb_profile(), "exif": exif(1), "dpi": (300, 200)}


def smooth(height: int, width: int, *channels: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    waves = [
        127 + 90 * np.sin(rows / 9 + 2 * c) * np.cos(columns / (7 + c))
        for c in range(channels[0] if channels else 1)
    ]
    image = np.stack(waves, -1).astype(np.uint8)
    return np.ascontiguousarray(image if channels else image[..., 0])


def on_disk(photo: Photo, folder: Path) -> SpooledPhoto:
    """Write the pixels of a photo to planes, in pieces of different shapes."""
    planes = []
    for values in (photo.pixels, photo.alpha):
        if values is None:
            planes.append(None)
            continue
        plane = Plane(folder, values.shape, values.dtype)
        height, width = values.shape[:2]
        for rows in (slice(0, height // 3), slice(height // 3, height)):
            for columns in (slice(0, width // 2), slice(width // 2, width)):
                plane.write(rows, columns, values[rows, columns])
        planes.append(plane)
    colours, opacity = planes
    assert colours is not None
    return SpooledPhoto.of(photo, colours, opacity)


def by_rows(photo: Photo, folder: Path, kind: str) -> bytes:
    file = io.BytesIO()
    encode_into(file, on_disk(photo, folder), format=kind, jpeg_quality=92)
    return file.getvalue()


PHOTOS = {
    "colour": Photo(smooth(61, 83, 3), **EXTRAS),
    "gray": Photo(smooth(61, 83), **EXTRAS),
    "colour and alpha": Photo(smooth(61, 83, 3), smooth(61, 83)[::-1].copy(), **EXTRAS),
    "gray and alpha": Photo(smooth(61, 83), smooth(61, 83)[::-1].copy(), **EXTRAS),
    "nothing but pixels": Photo(smooth(40, 33, 3)),
    "alpha and nothing else": Photo(smooth(40, 33, 3), smooth(40, 33)),
    "one pixel": Photo(smooth(1, 1, 3), **EXTRAS),
}


@pytest.mark.parametrize(
    ("photo", "kind"),
    [
        pytest.param(photo, kind, id=f"{name}, {kind}")
        for name, photo in PHOTOS.items()
        for kind in (FORMATS if photo.alpha is None else ("png", "tiff", "webp"))
    ],
)
def test_written_by_rows_a_photo_has_the_pixels_and_metadata_of_one_encoded_in_memory(
    photo: Photo, kind: str, tmp_path: Path
) -> None:
    expected = decode(encode(photo, format=kind, jpeg_quality=92), max_pixels=10**6)
    found = decode(by_rows(photo, tmp_path, kind), max_pixels=10**6)
    for name in ("format", "bit_depth", "icc_profile", "exif", "dpi"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.pixels.shape == expected.pixels.shape
    # Two builds of the same lossy encoder round differently.
    most = 3 if kind in ("jpeg", "webp") else 0
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= most
    assert (found.alpha is None) == (expected.alpha is None)
    if found.alpha is not None and expected.alpha is not None:
        np.testing.assert_array_equal(found.alpha, expected.alpha)


@pytest.mark.parametrize("kind", ["tiff", "bmp"])
def test_uncompressed_files_are_the_same_in_every_byte_of_pixels(kind: str, tmp_path: Path) -> None:
    photo = PHOTOS["colour"]
    expected = encode(photo, format=kind, jpeg_quality=92)
    rows = by_rows(photo, tmp_path, kind)
    assert rows[-photo.pixels.nbytes // 2 :] == expected[-photo.pixels.nbytes // 2 :]


def deep(photo: Photo) -> Photo:
    """Add detail between the levels of 8 bits."""
    low = np.random.default_rng(1).integers(0, 256, photo.pixels.shape, dtype=np.uint16)
    alpha = photo.alpha
    return replace(
        photo,
        pixels=photo.pixels.astype(np.uint16) * 256 + low,
        alpha=None if alpha is None else alpha.astype(np.uint16) * 257 - (alpha > 0),
    )


@pytest.mark.parametrize(
    ("photo", "kind"),
    [
        pytest.param(photo, kind, id=f"{name}, {kind}")
        for name, photo in PHOTOS.items()
        for kind in (FORMATS if photo.alpha is None else ("png", "tiff", "webp"))
    ],
)
def test_16_bits_by_rows_become_what_they_become_in_memory(
    photo: Photo, kind: str, tmp_path: Path
) -> None:
    photo = deep(photo)
    expected = decode(encode(photo, format=kind, jpeg_quality=92), max_pixels=10**6)
    found = decode(by_rows(photo, tmp_path, kind), max_pixels=10**6)
    assert found.bit_depth == (16 if kind in ("png", "tiff") else 8)
    most = 3 if kind in ("jpeg", "webp") else 0
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= most
    if photo.alpha is not None:
        np.testing.assert_array_equal(found.alpha, expected.alpha)
    for name in ("icc_profile", "exif", "dpi"):
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("kind", ["tiff", "webp"])
def test_pages_by_rows_are_those_encoded_in_memory(kind: str, tmp_path: Path) -> None:
    pages = [PHOTOS["colour"], replace(PHOTOS["colour"], dpi=(50, 60), icc_profile=None)]
    if kind == "tiff":
        pages += [PHOTOS["gray and alpha"], deep(PHOTOS["gray"])]
    pages = [replace(page, format=kind, duration_ms=40) for page in pages]
    photo = replace(pages[0], pages=tuple(pages[1:]))
    spooled = replace(
        on_disk(photo, tmp_path), pages=tuple(on_disk(page, tmp_path) for page in pages[1:])
    )
    file = io.BytesIO()
    encode_into(file, spooled, format=kind, jpeg_quality=92)
    assert file.getvalue() == encode(photo, format=kind, jpeg_quality=92)


@pytest.mark.parametrize(("subsampling", "factors"), [("4:4:4", 0x11), ("4:2:0", 0x22)])
def test_subsampling_is_the_same_by_rows(subsampling: str, factors: int, tmp_path: Path) -> None:
    for photo in (PHOTOS["colour"], on_disk(PHOTOS["colour"], tmp_path)):
        file = io.BytesIO()
        encode_into(file, photo, format="jpeg", jpeg_quality=92, jpeg_subsampling=subsampling)
        data = file.getvalue()
        assert data[data.index(b"\xff\xc0") + 11] == factors


def test_a_photo_in_memory_and_one_on_disk_are_written_alike(tmp_path: Path) -> None:
    photo = PHOTOS["gray"]
    for each in (photo, on_disk(photo, tmp_path)):
        file = io.BytesIO()
        encode_into(file, each, format="png", jpeg_quality=90)
        decoded = decode(file.getvalue(), max_pixels=10**6)
        np.testing.assert_array_equal(decoded.pixels, photo.pixels)


@pytest.mark.parametrize(
    ("photo", "kind", "reason"),
    [
        (PHOTOS["gray and alpha"], "jpeg", "unsupported"),
        (PHOTOS["gray"], "gif", "unsupported"),
        (Photo(np.zeros((1, 16_384), np.uint8)), "webp", "too_large"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_a_byte_is_written(
    photo: Photo, kind: str, reason: str, tmp_path: Path
) -> None:
    file = io.BytesIO()
    with pytest.raises(ImageError) as caught:
        encode_into(file, on_disk(photo, tmp_path), format=kind, jpeg_quality=90)
    assert (caught.value.reason, file.getvalue()) == (reason, b"")


def test_a_bmp_of_more_than_4_gib_is_refused(tmp_path: Path) -> None:
    shape = (40_000, 40_000, 3)
    huge = SpooledPhoto.of(
        Photo(smooth(1, 1, 3)), Plane(tmp_path, shape, np.uint8), None
    )  # sparse: takes no space on the disk
    with pytest.raises(ImageError, match=r"too_large: 4\.5 GiB; .* choose png"):
        encode_into(io.BytesIO(), huge, format="bmp", jpeg_quality=90)


@pytest.mark.parametrize("compression", [0, 6])
def test_a_tiff_beyond_the_limit_of_32_bits_is_a_bigtiff(
    compression: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "_MOST_CLASSIC_BYTES", 1000)
    photo = replace(PHOTOS["colour and alpha"], format="tiff", pages=(deep(PHOTOS["gray"]),))
    spooled = replace(on_disk(photo, tmp_path), pages=(on_disk(photo.pages[0], tmp_path),))
    file = io.BytesIO()
    encode_into(file, spooled, format="tiff", jpeg_quality=90, compression=compression)
    data = file.getvalue()
    assert data[:4] == b"II+\x00"
    assert data == encode(photo, format="tiff", jpeg_quality=90, compression=compression)
    copy = decode(data, max_pixels=10**6)
    np.testing.assert_array_equal(copy.pixels, photo.pixels)
    np.testing.assert_array_equal(copy.pages[0].pixels, photo.pages[0].pixels)
    assert copy.icc_profile == photo.icc_profile
    assert b"abc\x00" in (copy.exif or b"")
    image = pyvips.Image.tiffload_buffer(data)
    np.testing.assert_array_equal(image.numpy()[..., :3], photo.pixels)


@pytest.mark.parametrize("is_spooled", [False, True])
def test_compression_changes_the_size_of_png_and_tiff_and_no_pixel(
    is_spooled: bool, tmp_path: Path
) -> None:
    photo = Photo(smooth(200, 200, 3))
    for kind in ("png", "tiff"):
        sizes = []
        for compression in (0, 1, 9):
            file = io.BytesIO()
            each = on_disk(photo, tmp_path) if is_spooled else photo
            encode_into(file, each, format=kind, jpeg_quality=90, compression=compression)
            data = file.getvalue()
            np.testing.assert_array_equal(decode(data, max_pixels=10**6).pixels, photo.pixels)
            sizes.append(len(data))
        assert sizes[0] > photo.num_bytes > sizes[1] > sizes[2]


@pytest.mark.parametrize("pages", [0, 2])
def test_lossless_webp_stays_lossless_in_memory_and_by_rows(pages: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (3, 40, 50, 3), np.uint8)
    frames = [Photo(each, format="webp", is_lossless=True, duration_ms=50) for each in noise]
    photo = replace(frames[0], pages=tuple(frames[1 : 1 + pages]))
    spooled = replace(
        on_disk(photo, tmp_path), pages=tuple(on_disk(page, tmp_path) for page in photo.pages)
    )
    for each in (photo, spooled):
        file = io.BytesIO()
        encode_into(file, each, format="webp", jpeg_quality=50)
        copy = decode(file.getvalue(), max_pixels=10**6)
        assert copy.is_lossless
        for one, other in zip((copy, *copy.pages), (photo, *photo.pages), strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_by_rows_a_photo_keeps_what_one_in_memory_keeps(kind: str, tmp_path: Path) -> None:
    photo = Engine(Nearest(2)).upscale_photo(decode(laden(kind), max_pixels=10**6))
    expected = decode(encode(photo, format=kind, jpeg_quality=92), max_pixels=10**6)
    found = decode(by_rows(photo, tmp_path, kind), max_pixels=10**6)
    for field in fields(Photo):
        if field.name not in ("pixels", "alpha"):
            assert getattr(found, field.name) == getattr(expected, field.name), field.name


class FullDisk(io.BytesIO):
    """A disk with room for `room_bytes`."""

    def __init__(self, room_bytes: int) -> None:
        super().__init__()
        self.room_bytes = room_bytes

    def write(self, data: Any, /) -> int:
        if self.tell() + memoryview(data).nbytes > self.room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("room_bytes", [0, 2_000])
def test_a_full_disk_is_named_as_the_reason(kind: str, room_bytes: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    photo = on_disk(replace(PHOTOS["colour"], pixels=noise), tmp_path)
    with pytest.raises(ImageError, match=r"no_space: .*No space left on device"):
        encode_into(FullDisk(room_bytes), photo, format=kind, jpeg_quality=90)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "no_space"),
        (errno.EDQUOT, "no_space"),
        (errno.EMFILE, "system"),
        (None, "system"),
    ],
)
def test_only_a_full_disk_is_called_so(code: int | None, reason: str) -> None:
    class Refusing(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(code, "it said") if code else OSError("encoder error -2")

    photo = Photo(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match=rf"^{reason}: the result could not be written") as caught:
        encode_into(Refusing(), photo, format="png", jpeg_quality=90)
    assert caught.value.reason == reason
