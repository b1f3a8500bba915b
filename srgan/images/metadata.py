"""What a file says about its photo besides the pixels: EXIF, ICC profile, dpi, bit depth.

Metadata never costs a photo: what is damaged is left out.
"""

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    ICCPROFILE,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    TiffImageFile,
)

from srgan.images.containers import Format

EXIF_PREFIX = b"Exif\x00\x00"
_SHORT = 3  # EXIF's number for an unsigned 16-bit entry
_CM_PER_INCH = 2.54
_CENTIMETRES = 3  # TIFF's number for them as its unit of resolution
_PNG_DEPTH = 24  # position of the bit depth: signature, chunk length and name, width, height
# A TIFF's own tags are its EXIF; these describe the photo, the others the file.
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
    """For work on TIFF tags, about every oddity of which Pillow warns.

    Under a lock, because catch_warnings changes the filters of all threads.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def bit_depth(image: ImageFile, kind: Format, data: bytes) -> int:
    """Bits per channel in the file; of a palette's colours if it has one."""
    if image.mode in ("P", "PA"):
        return 8
    if kind == "png":
        return data[_PNG_DEPTH]
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITSPERSAMPLE, (1,))))
    return 1 if image.mode == "1" else 8


def icc_profile(image: ImageFile) -> bytes | None:
    """The embedded profile, unless the pixels had to leave its colour space (CMYK)."""
    if isinstance(image, TiffImageFile):
        profile = image.tag_v2.get(ICCPROFILE)  # `info` keeps that of an earlier page
    else:
        profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile and image.mode != "CMYK":
        return profile
    return None


def dpi(image: ImageFile, turn: int) -> tuple[float, float] | None:
    """Horizontal and vertical resolution of the upright photo."""
    try:
        x, y = (float(value) for value in _resolution(image))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    if not (math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0):
        return None
    return (y, x) if turn >= 5 else (x, y)


def _resolution(image: ImageFile) -> tuple[Any, Any]:
    if not isinstance(image, TiffImageFile):
        x, y = image.info["dpi"]
        return x, y
    tags = image.tag_v2
    unit = {2: 1.0, _CENTIMETRES: _CM_PER_INCH}[tags.get(RESOLUTION_UNIT, 2)]
    return float(tags[X_RESOLUTION]) * unit, float(tags[Y_RESOLUTION]) * unit


def exif(image: ImageFile, kind: Format) -> bytes | None:
    """The raw EXIF block with its prefix; a TIFF's is collected from its tags."""
    if kind == "tiff":
        return _tiff_exif(image)
    block = image.info.get("exif")
    if not isinstance(block, bytes) or not block:
        return None
    return block if block.startswith(EXIF_PREFIX) else EXIF_PREFIX + block


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
    # As in `decode`: Pillow's parser raises anything on damaged tags, and the photo is fine.
    except Exception:
        return None


def as_tiff_tags(block: bytes) -> Image.Exif:
    """An EXIF block as the tags of a TIFF to be written; without any if it is damaged."""
    tags = Image.Exif()
    try:
        with without_warnings():
            tags.load(block)
            tags.tobytes()
    except Exception:  # as above
        return Image.Exif()
    return tags


def orientation(block: bytes) -> int:
    """1 … 8 as EXIF counts; 1 (upright) if there is none or the block is damaged."""
    for value in _orientations(block):
        number = int.from_bytes(block[value], _byte_order(block))
        if 1 <= number <= 8:
            return number
    return 1


def tiff_orientation(image: TiffImageFile) -> int:
    """The same of the current page of a TIFF that is not yet loaded."""
    number = image.tag_v2.get(Base.Orientation, 1)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def reset_orientation(block: bytes) -> bytes:
    """The same EXIF block with orientation 1, every other byte as it was.

    A block written anew would lose maker notes, whose offsets only the camera's maker knows.
    """
    result = bytearray(block)
    for value in _orientations(block):
        result[value] = (1).to_bytes(2, _byte_order(block))
    return bytes(result)


def _byte_order(block: bytes) -> Literal["little", "big"]:
    return "little" if block[len(EXIF_PREFIX) :].startswith(b"II") else "big"


def _orientations(block: bytes) -> Iterator[slice]:
    """Where the values of orientation entries of the first directory lie within the block."""
    start, order = len(EXIF_PREFIX), _byte_order(block)
    if block[start : start + 4] not in (b"II*\x00", b"MM\x00*"):
        return
    directory = start + int.from_bytes(block[start + 4 : start + 8], order)
    num_entries = int.from_bytes(block[directory : directory + 2], order)
    for entry in range(directory + 2, directory + 2 + 12 * num_entries, 12):
        if entry + 12 > len(block):
            return
        tag = int.from_bytes(block[entry : entry + 2], order)
        kind = int.from_bytes(block[entry + 2 : entry + 4], order)
        if tag == Base.Orientation and kind == _SHORT:
            yield slice(entry + 8, entry + 10)
