"""Read a photo's metadata: EXIF, ICC profile, dpi.

Damaged metadata is left out; it never makes a photo fail.
"""

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    ICCPROFILE,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    TiffImageFile,
)

from srgan.images import exif_block
from srgan.images.containers import Format
from srgan.images.exif_block import EXIF_PREFIX
from srgan.images.tiff_values import TiffDirectories

_CM_PER_INCH = 2.54
_CENTIMETRES = 3  # TIFF's number for this unit of resolution
# A TIFF's tags are its EXIF; these describe the photo, the others describe the file.
_DESCRIPTIVE = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.Copyright,
)

_LOCK = threading.Lock()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow, which warns about every odd TIFF tag.

    Holds a lock, because catch_warnings changes the filters of all threads.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def icc_profile(image: ImageFile) -> bytes | None:
    """Return the embedded profile, whatever the pixels; `icc.fitting` tells whether it fits."""
    if isinstance(image, TiffImageFile):
        profile = image.tag_v2.get(ICCPROFILE)  # `info` keeps that of an earlier page
    else:
        profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return profile
    return None


def dpi(image: ImageFile, exif: bytes | None, turn: int) -> tuple[float, float] | None:
    """Horizontal and vertical resolution of the upright photo.

    Taken from the EXIF block if the file itself has none, like the JPEGs of many cameras.
    """
    found = _named_dpi(image) or (exif_block.resolution(exif) if exif else None)
    return found if found is None or turn < 5 else (found[1], found[0])


def _named_dpi(image: ImageFile) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in _resolution(image))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0 else None


def _resolution(image: ImageFile) -> tuple[Any, Any]:
    if not isinstance(image, TiffImageFile):
        x, y = image.info["dpi"]
        return x, y
    tags = image.tag_v2
    unit = {2: 1.0, _CENTIMETRES: _CM_PER_INCH}[tags.get(RESOLUTION_UNIT, 2)]
    return float(tags[X_RESOLUTION]) * unit, float(tags[Y_RESOLUTION]) * unit


def exif(image: ImageFile, kind: Format) -> bytes | None:
    """Return the raw EXIF block with its prefix; for a TIFF, collect it from the tags."""
    if kind == "tiff":
        return _tiff_exif(image)
    if kind == "raw":
        return _raw_exif(image)
    block = image.info.get("exif")
    if not isinstance(block, bytes) or not block:
        return None
    return block if block.startswith(EXIF_PREFIX) else EXIF_PREFIX + block


def _raw_exif(image: ImageFile) -> bytes | None:
    """Collect the EXIF of a raw file from the tags of the TIFF that most of them are."""
    try:
        assert image.fp is not None
        image.fp.seek(0)
        return _tiff_exif(TiffDirectories(image.fp))
    except Exception:  # as in `_tiff_exif`
        return None


def _tiff_exif(image: ImageFile) -> bytes | None:
    kept = Image.Exif()
    try:
        tags = image.getexif()
        for tag in _DESCRIPTIVE:
            if tag in tags:
                kept[tag] = tags[tag]
        for directory in (IFD.Exif, IFD.GPSInfo):
            entries = tags.get_ifd(directory)
            if entries:
                kept[directory] = entries
        return kept.tobytes() if len(kept) else None
    # As in `decode`: Pillow's parser may raise anything on damaged tags; the photo is still fine.
    except Exception:
        return None


def as_tiff_tags(block: bytes) -> Image.Exif:
    """Parse an EXIF block to TIFF tags for writing; empty if it is damaged."""
    tags = Image.Exif()
    try:
        with without_warnings():
            tags.load(block)
            tags.tobytes()
    except Exception:  # as above
        return Image.Exif()
    return tags


def tiff_orientation(image: TiffImageFile) -> int:
    """Read the orientation 1 … 8 of the current page of a TIFF that is not loaded yet."""
    number = image.tag_v2.get(Base.Orientation, 1)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1
