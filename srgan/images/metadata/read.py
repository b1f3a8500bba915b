"""Read a photo's metadata: EXIF, ICC profile, dpi, and what only some formats have.

Damaged metadata is left out; it never makes a photo fail.
"""

import io
import math
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    ICCPROFILE,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    TiffImageFile,
)

from srgan.images.containers import Format
from srgan.images.metadata import exif_block, geotiff, jpeg, photoshop, png, webp, xmp
from srgan.images.metadata.directories import (
    Directory,
    bytes_of,
    has_maker_note,
    read_page,
    write_block,
)
from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.photo import Samples, to_8_bits

_CM_PER_INCH = 2.54
_CENTIMETRES = 3  # TIFF's number for this unit of resolution
# A TIFF's tags are its EXIF, except for those that describe its pixels, or have their own place.
_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280}
_STRUCTURE |= {281, 284, 288, 289, 290, 291, 292, 293, 297, 300, 301, 317, 318, 319, 320, 321, 322}
_STRUCTURE |= {323, 324, 325, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 343, 347, 512, 513}
_STRUCTURE |= {514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532}
_STRUCTURE |= {RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION, 286, 287}
XMP, IPTC, _PHOTOSHOP = 700, 33723, 34377
_ELSEWHERE = {XMP, IPTC, _PHOTOSHOP, ICCPROFILE, *geotiff.TAGS}
_LOST_TAGS = {330: "TIFF SubIFDs", 37724: "Photoshop layers", 50844: "GeoTIFF tags"}
# Written by ImageJ, Zeiss, MetaMorph and Micro-Manager.
_LOST_TAGS |= dict.fromkeys(
    (50838, 50839, 34412, 33628, 33629, 33630, 33631, 51123), "microscope metadata"
)
"""Offsets into the file, or sizes and coordinates of a kind that nothing here knows."""
_SIZED = re.compile(rb'^ImageJ=|^Aperio|^\s*\{.*"shape":|^shape=|<OME\b|\bsizeX\b', re.I | re.S)
"""Begins or marks descriptions with which programs of science state sizes and scales."""
_BMP_PROFILE = slice(70, 74)
"""Where the newest kind of BMP says, backwards, that a profile is embedded."""
_THUMBNAIL_SIDE = 160
"""Longer side that cameras give a thumbnail."""

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


def exif(image: ImageFile, data: bytes) -> bytes | None:
    """Return the raw EXIF block with its prefix; for a TIFF, make it of the page's tags."""
    if isinstance(image, TiffImageFile):
        tags = without_structure(read_page(data, image.tag_v2._offset or 0))
        return write_block(tags) if tags else None
    block = image.info.get("exif")
    if not isinstance(block, bytes) or not block:
        return None
    return block if block.startswith(EXIF_PREFIX) else EXIF_PREFIX + block


def without_structure(tags: Directory) -> Directory:
    """Leave out what describes the pixels of a TIFF's page, or has its own place in a `Photo`."""
    left_out = {*_STRUCTURE, *_ELSEWHERE, *_LOST_TAGS}
    if _describes_size(tags):
        left_out.add(Base.ImageDescription)
    return {number: tag for number, tag in tags.items() if number not in left_out}


def _describes_size(tags: Directory) -> bool:
    """Tell whether the description of a TIFF's page states the size of its picture."""
    if Base.ImageDescription not in tags:
        return False
    text, *sides = (
        tag.values if tag and isinstance(tag.values, bytes) else b""
        for tag in map(tags.get, (Base.ImageDescription, Base.ImageWidth, Base.ImageLength))
    )
    width, height = (b"%d" % int.from_bytes(side, "little") for side in sides)
    both = rb"(?<!\d)(%b\D{1,9}%b|%b\D{1,9}%b)(?!\d)" % (width, height, height, width)
    return bool(_SIZED.search(text) or re.search(both, text))


def carried(
    image: ImageFile, kind: Format, data: bytes, block: bytes | None, turn: int, pixels: Samples
) -> dict[str, Any]:
    """Read all fields of `Photo` that only some formats have, and EXIF from its `block`.

    `pixels` (H, W, 3) or (H, W) are upright; `turn` is the orientation 1 … 8 that was applied.
    What describes the stored pixels is turned like them.
    """
    found: dict[str, Any] = {"described": pixels.shape[:2], "lost": ()}
    try:
        if isinstance(image, TiffImageFile):
            found |= _carried_by_tiff(image, data, turn)
        elif image.tell() == 0:  # the others have it once, not for every frame
            found |= _carried_once(image, kind, data)
    # Pillow's parser may raise anything on damaged tags; the photo is still fine.
    except Exception:
        found["lost"] = ("damaged metadata",)
    if block is not None and kind != "tiff":
        block = exif_block.reset_orientation(block)
        if turn != 1:
            block = exif_block.turned(block, turn, *pixels.shape[:2])
            drawn = exif_block.with_thumbnail(block, lambda: _thumbnail(pixels))
            if len(block) <= jpeg.LARGEST_SEGMENT < len(drawn):
                drawn = exif_block.without_thumbnail(block)
                found["lost"] = (*found["lost"], "EXIF thumbnail")
            block = drawn
    if found.get("xmp"):
        packet = xmp.upright(found["xmp"])
        found["xmp"] = packet if turn == 1 else xmp.without_thumbnails(packet)
    return found | {"exif": block}


def _carried_once(image: ImageFile, kind: Format, data: bytes) -> dict[str, Any]:
    if kind == "jpeg":
        found = jpeg.read(data)
        return {
            "xmp": xmp.of_one_image(found.xmp) if found.xmp and found.has_more else found.xmp,
            "xmp_extension": found.xmp_extension,
            "iptc": found.iptc,
            "comments": found.comments,
            "lost": found.lost,
        }
    if kind == "png":
        return png.read(data)._asdict()
    if kind == "bmp":
        return {"lost": ("ICC profile",) if data[_BMP_PROFILE] == b"DEBM" else ()}
    if kind == "gif":
        comment, packet = image.info.get("comment"), image.info.get("xmp")
        return {"comments": (comment,) if comment else (), "xmp": packet}
    if kind == "raw":
        return {"iptc": image.info.get("iptc"), "lost": image.info["lost"]}
    if kind in ("heic", "avif"):
        return {"xmp": image.info.get("xmp"), "lost": image.info["lost"]}
    return webp.read(data)._asdict() if kind == "webp" else {}


def _carried_by_tiff(image: TiffImageFile, data: bytes, turn: int) -> dict[str, Any]:
    tags = image.tag_v2
    page = read_page(data, tags._offset or 0)
    xmp_packet, iptc, resources_block = (
        bytes_of(page.get(tag), data) for tag in (XMP, IPTC, _PHOTOSHOP)
    )
    lost = [name for tag, name in _LOST_TAGS.items() if tag in tags]
    geo = geotiff.read(tags)
    if geo and turn != 1:
        geo = ()
        lost.append("GeoTIFF tags")
    resources = photoshop.read(resources_block or b"")
    if _describes_size(page):
        lost.append("image description")
    if has_maker_note(data, tags._offset or 0):
        lost.append("EXIF maker note")
    return {
        "xmp": xmp_packet,
        "iptc": iptc or resources.iptc,
        "geo": geo,
        "lost": (*lost, *resources.lost),
    }


def _thumbnail(pixels: Samples) -> bytes:
    image = Image.fromarray(to_8_bits(pixels))
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    target = io.BytesIO()
    image.save(target, "jpeg")
    return target.getvalue()


def tiff_orientation(image: TiffImageFile) -> int:
    """Read the orientation 1 … 8 of the current page of a TIFF that is not loaded yet."""
    number = image.tag_v2.get(Base.Orientation, 1)
    return number if isinstance(number, int) and 1 <= number <= 8 else 1
