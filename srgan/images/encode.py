"""Encode a `Photo` as a file with all the metadata that the format can hold."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from srgan.errors import ImageError
from srgan.images import heif
from srgan.images.exif_block import EXIF_PREFIX, with_resolution
from srgan.images.photo import Photo
from srgan.images.png import write_deep_png
from srgan.images.tiff import tiff_parts, whole

# Sides in pixels: as wide as fields of JPEG and WebP, as large as libraries read HEIC and AVIF.
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383, "heic": 16_384, "avif": 16_384}
_MOST_RAW_BYTES = 2**32 - 2**20
"""Offsets have 32 bits in TIFF and BMP; one megabyte is left for what precedes the pixels."""
_LARGEST_DPI = 65_535
_LARGEST_JPEG_EXIF = 65_533  # one APP1 segment
_PROFILE_SPACE = slice(16, 20)
"""Place of the colour space in an ICC profile."""
_AVIF_SPEED = 9
"""One less than the fastest; slower ones save up to a third of the bytes."""
_EMPTY_EXIF = b"II*\0\x08\0\0\0" + bytes(6) + b"place of the EXIF block of this photo"
_OPAQUE_ONLY = ("jpeg", "bmp")
_FORMATS = ("jpeg", "png", "webp", "tiff", "bmp", "heic", "avif")
_ANIMATIONS = ("gif", "png", "webp")
_EXTRAS: dict[str, tuple[str, ...]] = {
    "jpeg": ("icc_profile", "exif", "dpi"),
    "png": ("icc_profile", "exif", "dpi"),
    "webp": ("icc_profile", "exif"),
    "avif": ("icc_profile", "exif"),
    "bmp": ("dpi",),
}


def encode(
    photo: Photo, *, format: str, jpeg_quality: int, jpeg_subsampling: str = "4:4:4"
) -> bytes:
    """Encode as ``jpeg``, ``png``, ``webp``, ``tiff``, ``bmp``, ``heic`` or ``avif``.

    Those that lose something have `jpeg_quality`. 16 bits stay 16 in PNG and TIFF, become 10 or 12
    in HEIC and AVIF, and are rounded to 8 in the others. ICC profile, EXIF and dpi are kept if the
    format has a place for them (WebP, HEIC and AVIF: no dpi, BMP: only dpi). Grayscale stays one
    channel, except in WebP and in AVIF with 16 bits or alpha, where it becomes RGB and loses its
    gray profile. The resolution in EXIF is set to `photo.dpi`. Raises `ImageError` as
    `check_writable` does.
    """
    check_writable(photo, format, *photo.pixels.shape[:2])
    dpi = writable_dpi(photo)
    if photo.exif and photo.dpi:
        photo = replace(photo, exif=with_resolution(photo.exif, photo.dpi))
    if format == "tiff":
        return b"".join(tiff_parts(photo, dpi, whole))
    if format == "png" and photo.is_deep:
        return write_deep_png(photo, dpi)
    if format == "heic":
        return heif.write_heic(photo, jpeg_quality, jpeg_subsampling)
    becomes_rgb = format == "webp" or (
        format == "avif" and (photo.is_deep or photo.alpha is not None)
    )
    if becomes_rgb and (photo.icc_profile or b"")[_PROFILE_SPACE] == b"GRAY":
        photo = replace(photo, icc_profile=None)  # it does not fit
    if format == "avif" and photo.is_deep:
        return heif.write_deep_avif(photo, jpeg_quality, jpeg_subsampling)
    options: dict[str, Any] = {"icc_profile": photo.icc_profile, "exif": photo.exif, "dpi": dpi}
    options = {name: options[name] for name in _EXTRAS[format] if options[name]}
    if format in ("jpeg", "webp", "avif"):
        options["quality"] = jpeg_quality
    if format == "jpeg" or (format == "avif" and photo.pixels.ndim == 3):
        options["subsampling"] = jpeg_subsampling
    if format == "avif":
        options["speed"] = _AVIF_SPEED
    if photo.pages:
        options |= _animation(photo)
    target = io.BytesIO()
    if format == "avif" and photo.exif:
        return _avif_with_exif(photo, photo.exif, options)
    _image(photo).save(target, format, **options)
    return target.getvalue()


def check_writable(photo: Photo, format: str, height: int, width: int) -> None:
    """Check that `format` can hold `photo` at the given size, before its pixels exist.

    `ImageError` with ``unsupported`` (alpha in JPEG or BMP, EXIF too long for JPEG, several images
    in a format other than `own_format`, unknown format) or ``too_large`` (a side of more than
    65,500 pixels in JPEG, 16,383 in WebP, 16,384 in HEIC and AVIF; more than 4 GiB in TIFF or BMP).
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
    if format == "jpeg" and len(photo.exif or b"") > _LARGEST_JPEG_EXIF:
        raise ImageError("unsupported", f"EXIF of more than {_LARGEST_JPEG_EXIF} bytes; choose png")
    if photo.pages and format != own_format(photo):
        raise ImageError(
            "unsupported",
            f"{1 + len(photo.pages)} images in one {photo.format}; write them as "
            f"{own_format(photo)}",
        )
    if format in ("tiff", "bmp"):
        _check_raw_bytes(photo, format, height, width)


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


def _check_raw_bytes(photo: Photo, format: str, height: int, width: int) -> None:
    growth = height * width / photo.num_pixels
    size = growth * sum(page.num_bytes for page in (photo, *photo.pages))
    if size > _MOST_RAW_BYTES:
        raise ImageError(
            "too_large", f"{size / 2**30:.1f} GiB; {format.upper()} allows 4, choose png"
        )


def writable_dpi(photo: Photo) -> tuple[float, float] | None:
    """Return the dpi, or None if it does not fit into JPEG's 16 bits and would be written wrong."""
    if photo.dpi is None or not all(1 <= value <= _LARGEST_DPI for value in photo.dpi):
        return None
    return photo.dpi


def _image(photo: Photo) -> Image.Image:
    photo = photo.in_8_bits()
    if photo.alpha is None:
        return Image.fromarray(photo.pixels)
    return Image.fromarray(np.dstack([photo.pixels, photo.alpha]))


def _avif_with_exif(photo: Photo, exif: bytes, options: dict[str, Any]) -> bytes:
    """Encode with the EXIF as it is: Pillow would write its directories again without maker notes.

    So Pillow gets an empty one of the same length, in whose place the right one is put.
    """
    block = exif.removeprefix(EXIF_PREFIX)
    empty = _EMPTY_EXIF.ljust(len(block), b"~")[: len(block)]
    target = io.BytesIO()
    _image(photo).save(target, "avif", **options | {"exif": empty})
    data = target.getvalue()
    assert data.count(empty) == 1
    return data.replace(empty, block)


def _animation(photo: Photo) -> dict[str, Any]:
    """Options with which Pillow writes the frames of a WebP; here it keeps EXIF's prefix."""
    frames = (photo, *photo.pages)
    return {
        "save_all": True,
        "append_images": [_image(frame) for frame in photo.pages],
        "duration": [frame.duration_ms or 0 for frame in frames],
        "loop": photo.num_loops,
        "exif": (photo.exif or b"").removeprefix(EXIF_PREFIX),
    }
