"""Encode a `Photo` as a file with all the metadata that the format can hold."""

import io
import os
import tempfile
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from srgan.errors import ImageError
from srgan.images.codecs import heif
from srgan.images.codecs.png import write_pixels
from srgan.images.codecs.tiff import whole, write_tiff
from srgan.images.metadata import jpeg, png
from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.metadata.losses import held
from srgan.images.photo import Photo

# Sides in pixels: as wide as fields of JPEG and WebP, as large as libraries read HEIC and AVIF.
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "heic": 16_384, "avif": 16_384}
_MOST_BMP_BYTES = 2**32 - 2**20
"""Offsets have 32 bits in BMP; one megabyte is left for what precedes the pixels."""
_OPAQUE_ONLY = ("jpeg", "bmp")
_AVIF_SPEED = 9
"""One less than the fastest; slower ones save up to a third of the bytes."""
_EMPTY_EXIF = b"II*\0\x08\0\0\0" + bytes(6) + b"place of the EXIF block of this photo"
_FORMATS = ("jpeg", "png", "webp", "tiff", "bmp", "heic", "avif")
_ANIMATIONS = ("gif", "png", "webp")
_LOSSLESS_EFFORT = 75
"""How hard a lossless WebP is compressed, 0 … 100."""
COMPRESSION = 3
"""Default level of deflate. Against Pillow's PNG of level 6: five times as fast, 7 % more bytes."""


def encode(
    photo: Photo,
    *,
    format: str,
    jpeg_quality: int,
    jpeg_subsampling: str = "4:4:4",
    compression: int = COMPRESSION,
) -> bytes:
    """Encode as ``jpeg``, ``png``, ``webp``, ``tiff``, ``bmp``, ``heic`` or ``avif``.

    Those that lose something have `jpeg_quality`. PNG and TIFF are deflated at a level of 0 (TIFF:
    not at all) … 9. A photo that came as a lossless WebP is written as one. 16 bits stay 16 in PNG
    and TIFF, become 10 or 12 in HEIC and AVIF, and are rounded to 8 in the others. Grayscale stays
    one channel, except in WebP, and in AVIF with 16 bits or alpha, where it becomes RGB. Metadata
    is that of `srgan.images.losses.held`. Raises `ImageError` as `check_writable` does.
    """
    check_writable(photo, format, *photo.pixels.shape[:2])
    photo = held(photo, format)
    if format == "tiff":
        target = io.BytesIO()
        write_tiff(target, photo, whole, compression)
        return target.getvalue()
    if format == "png":
        return png.with_metadata(write_pixels(photo, compression), photo)
    if format == "heic":
        return heif.write_heic(photo, jpeg_quality)
    if format == "avif":
        if photo.is_deep:
            return heif.write_deep_avif(photo, jpeg_quality, jpeg_subsampling)
        return _avif(photo, jpeg_quality, jpeg_subsampling)
    options: dict[str, Any] = {"dpi": photo.dpi, "icc_profile": photo.icc_profile}
    options = {name: value for name, value in options.items() if value}
    if format == "jpeg":
        options |= {"quality": jpeg_quality, "subsampling": jpeg_subsampling}
        options["extra"] = jpeg.segments(photo)
    elif format == "webp":
        options |= _webp(photo, jpeg_quality)
    with _file_in_memory() as file:
        _image(photo).save(file, format, **options)
        file.seek(0)
        return file.read()


def check_writable(photo: Photo, format: str, height: int, width: int) -> None:
    """Check that `format` can hold `photo` at the given size, before its pixels exist.

    `ImageError` with ``unsupported`` (alpha in JPEG or BMP, several images in a format other than
    `own_format`, unknown format) or ``too_large`` (a side of more than 65,500 pixels in JPEG,
    16,383 in WebP, 16,384 in HEIC and AVIF; more than 4 GiB in BMP).
    """
    if format not in _FORMATS:
        raise ImageError("unsupported", f"format {format!r}; expected one of {', '.join(_FORMATS)}")
    if not fits(format, height, width):
        limit = _LARGEST_SIDE[format]
        raise ImageError(
            "too_large",
            f"{width}×{height} pixels; {format} allows {limit} a side, choose png or tiff",
        )
    if photo.alpha is not None and format in _OPAQUE_ONLY:
        raise ImageError("unsupported", f"{format} has no transparency; choose png or webp")
    if photo.pages and format != own_format(photo):
        raise ImageError(
            "unsupported",
            f"{1 + len(photo.pages)} images in one {photo.format}; write them as "
            f"{own_format(photo)}",
        )
    size = height * width / photo.num_pixels * photo.num_bytes
    if format == "bmp" and size > _MOST_BMP_BYTES:
        raise ImageError("too_large", f"{size / 2**30:.1f} GiB; BMP allows 4, choose png")


def own_format(photo: Photo) -> str:
    """Return the photo's format, or the one in place of a format that cannot be written.

    Animations become WebP, other photos PNG.
    """
    if photo.pages and photo.format in _ANIMATIONS:
        return "webp"
    return photo.format if photo.format in _FORMATS else "png"


def fits(format: str, height: int, width: int) -> bool:
    """Return whether an image of this size is within the limits of a format."""
    return max(height, width) <= _LARGEST_SIDE.get(format, max(height, width))


def _file_in_memory() -> BinaryIO:
    """Return an empty file with a descriptor, to which Pillow writes JPEG without the GIL.

    Into a `BytesIO` it compresses with the GIL held, so that threads encode one after the other.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("image"), "w+b")
    return tempfile.TemporaryFile()


def _image(photo: Photo) -> Image.Image:
    photo = photo.in_8_bits()
    if photo.alpha is None:
        return Image.fromarray(photo.pixels)
    return Image.fromarray(np.dstack([photo.pixels, photo.alpha]))


def _avif(photo: Photo, quality: int, subsampling: str) -> bytes:
    """Encode 8 bits, with the EXIF as it is: Pillow would write it again without maker notes.

    So Pillow gets an empty one of the same length, in whose place the right one is put.
    """
    options: dict[str, Any] = {"quality": quality, "speed": _AVIF_SPEED, "xmp": photo.xmp or b""}
    options["icc_profile"] = photo.icc_profile or b""
    if photo.pixels.ndim == 3:
        options["subsampling"] = subsampling
    block = (photo.exif or b"").removeprefix(EXIF_PREFIX)
    empty = _EMPTY_EXIF.ljust(len(block), b"~")[: len(block)]
    target = io.BytesIO()
    with heif.refused("AVIF"):
        _image(photo).save(target, "avif", exif=empty, **options)
    data = target.getvalue()
    assert not block or data.count(empty) == 1
    return data.replace(empty, block) if block else data


def _webp(photo: Photo, quality: int) -> dict[str, Any]:
    """Options with which Pillow writes a WebP and its frames; here it keeps EXIF's prefix."""
    options: dict[str, Any] = {
        "quality": quality,
        "exif": photo.exif or b"",
        "xmp": photo.xmp or b"",
    }
    if photo.is_lossless:
        # Colours below transparent pixels stay too.
        options |= {"lossless": True, "exact": True, "quality": _LOSSLESS_EFFORT}
    if photo.pages:
        options |= {
            "save_all": True,
            "append_images": [_image(frame) for frame in photo.pages],
            "duration": [frame.duration_ms or 0 for frame in (photo, *photo.pages)],
            "loop": photo.num_loops,
            "exif": options["exif"].removeprefix(EXIF_PREFIX),
        }
    return options
