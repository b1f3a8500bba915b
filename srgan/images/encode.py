"""`Photo` → bytes of a file with everything that the format can carry."""

import io
from typing import Any

import numpy as np
from PIL import Image

from srgan.errors import ImageError
from srgan.images import metadata
from srgan.images.photo import Photo

# Sides in pixels, from the width of the size fields of the formats.
_LARGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}
_LARGEST_DPI = 65_535
_LARGEST_JPEG_EXIF = 65_533  # one APP1 segment
_OPAQUE_ONLY = ("jpeg", "bmp")
_EXTRAS: dict[str, tuple[str, ...]] = {
    "jpeg": ("icc_profile", "exif", "dpi"),
    "png": ("icc_profile", "exif", "dpi"),
    "tiff": ("icc_profile", "exif", "dpi"),
    "webp": ("icc_profile", "exif"),
    "bmp": ("dpi",),
}


def encode(photo: Photo, *, format: str, jpeg_quality: int) -> bytes:
    """Encode as ``jpeg``, ``png``, ``webp``, ``tiff`` or ``bmp``; JPEG and WebP at `jpeg_quality`.

    ICC profile, EXIF and dpi are kept where the format has a place for them (WebP: no dpi, BMP:
    dpi alone), grayscale stays one channel (WebP: has none). TIFF is not compressed: Pillow hands
    libtiff no EXIF directory. Raises `ImageError` with ``unsupported`` (alpha in JPEG or BMP,
    EXIF too long for JPEG, unknown format) or ``too_large`` (a side of more than 65,500 pixels
    in JPEG, 16,383 in WebP).
    """
    check_writable(photo, format, *photo.pixels.shape[:2])
    options: dict[str, Any] = {
        "icc_profile": photo.icc_profile,
        "exif": photo.exif,
        "dpi": _writable_dpi(photo),
    }
    if format == "tiff" and photo.exif:
        options["exif"] = metadata.as_tiff_tags(photo.exif)
    options = {name: options[name] for name in _EXTRAS[format] if options[name]}
    if format in ("jpeg", "webp"):
        options["quality"] = jpeg_quality
    target = io.BytesIO()
    _image(photo).save(target, format, **options)
    return target.getvalue()


def check_writable(photo: Photo, format: str, height: int, width: int) -> None:
    """Refuse what `format` cannot hold of `photo` at that size; `ImageError` as `encode`."""
    if format not in _EXTRAS:
        raise ImageError("unsupported", f"format {format!r}; expected one of {', '.join(_EXTRAS)}")
    limit = _LARGEST_SIDE.get(format)
    if limit and max(height, width) > limit:
        raise ImageError(
            "too_large", f"{width}×{height} pixels; {format} ends at {limit}, choose png or tiff"
        )
    if photo.alpha is not None and format in _OPAQUE_ONLY:
        raise ImageError("unsupported", f"{format} has no transparency; choose png or webp")
    if format == "jpeg" and len(photo.exif or b"") > _LARGEST_JPEG_EXIF:
        raise ImageError("unsupported", f"EXIF over {_LARGEST_JPEG_EXIF} bytes; choose png")


def _writable_dpi(photo: Photo) -> tuple[float, float] | None:
    """JPEG has 16 bits for it; what does not fit is left out rather than written wrong."""
    if photo.dpi is None or not all(1 <= value <= _LARGEST_DPI for value in photo.dpi):
        return None
    return photo.dpi


def _image(photo: Photo) -> Image.Image:
    if photo.alpha is None:
        return Image.fromarray(photo.pixels)
    return Image.fromarray(np.dstack([photo.pixels, photo.alpha]))
