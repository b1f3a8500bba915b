"""Write TIFF files with 8 or 16 bits and any number of pages; Pillow supports only some of them."""

import zlib
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    ICCPROFILE,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    RESOLUTION_UNIT,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    X_RESOLUTION,
    Y_RESOLUTION,
)

from srgan.images.metadata import geotiff
from srgan.images.metadata.directories import (
    BYTE,
    DOUBLE,
    LONG,
    LONG8,
    RATIONAL,
    SHORT,
    Directory,
    Tag,
    numbers,
    plain,
    read_block,
    text,
    write,
)
from srgan.images.metadata.read import IPTC, XMP, without_structure
from srgan.images.photo import Photo, Samples

_RAW, _DEFLATE, _CHUNKY, _INCH, _ALPHA, _GRAY, _RGB = 1, 8, 1, 2, 2, 1, 2
_DIFFERENCES = 2
"""Each value is stored as the difference from that of the pixel before."""
_STRIP_BYTES = 2**18
_MOST_CLASSIC_BYTES = 2**32 - 2**24
"""Offsets have 32 bits unless the file is a BigTIFF; 16 MB are left for what is not pixels."""

Rows = Callable[[Photo, slice], Samples]
"""Reads some rows of a page as (h, W, channels), alpha last."""


def write_tiff(file: BinaryIO, photo: Photo, rows: Rows, compression: int) -> None:
    """Write a photo and its pages into an empty file, each directory before its pixels.

    Pixels are deflated at a level of 1 … 9, or plain (0). Little-endian. Rows are read once, from
    first to last. Beyond 4 GiB of pixels the file is a BigTIFF.
    """
    pages = (photo, *photo.pages)
    is_big = sum(map(_largest_bytes, pages)) > _MOST_CLASSIC_BYTES
    head = b"II+\x00\x08\x00\x00\x00" if is_big else b"II*\x00"
    word = 8 if is_big else 4
    file.write(head + (len(head) + word).to_bytes(word, "little"))
    for page in pages:
        directory_at = file.tell()
        height = max(1, _STRIP_BYTES // page.pixels[0].nbytes)
        tags = _tags(page, height, compression, is_big=is_big)
        file.write(write(tags, directory_at, is_big=is_big))  # of the same length as below
        places: list[int] = []
        sizes: list[int] = []
        for first in range(0, len(page.pixels), height):
            values = rows(page, slice(first, min(first + height, len(page.pixels))))
            strip = _packed(values, compression)
            places.append(file.tell())
            sizes.append(len(strip))
            file.write(strip)
        file.write(bytes(file.tell() % 2))  # directories begin at even offsets
        end = file.tell()
        tags[STRIPOFFSETS] = numbers(tags[STRIPOFFSETS].kind, places)
        tags[STRIPBYTECOUNTS] = numbers(LONG, sizes)
        file.seek(directory_at)
        link = 0 if page is pages[-1] else end
        file.write(write(tags, directory_at, is_big=is_big, link=link))
        file.seek(end)


def whole(page: Photo, rows: slice) -> Samples:
    """Read rows of a page in memory."""
    values = page.pixels[rows] if page.pixels.ndim == 3 else page.pixels[rows, :, None]
    return values if page.alpha is None else np.dstack([values, page.alpha[rows]])


def _largest_bytes(page: Photo) -> int:
    """Bytes of a page whose pixels cannot be made smaller."""
    extras = (page.icc_profile, page.exif, page.xmp, page.iptc)
    return page.num_bytes + sum(len(extra) for extra in extras if extra)


def _packed(values: Samples, compression: int) -> bytes:
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    if not compression:
        return values.tobytes()
    differences = values.copy()
    differences[:, 1:] -= values[:, :-1]
    return zlib.compress(differences.data, compression)


def _tags(page: Photo, strip_height: int, compression: int, *, is_big: bool) -> Directory:
    """Make all tags; those of the strips hold zeros."""
    tags = without_structure(read_block(page.exif or b""))
    height, width = page.pixels.shape[:2]
    is_gray = page.pixels.ndim == 2
    num_channels = (1 if is_gray else 3) + (page.alpha is not None)
    strips = [0] * -(-height // strip_height)
    tags[IMAGEWIDTH], tags[IMAGELENGTH] = numbers(LONG, [width]), numbers(LONG, [height])
    tags[BITSPERSAMPLE] = numbers(SHORT, [8 * page.pixels.itemsize] * num_channels)
    tags[COMPRESSION] = numbers(SHORT, [_DEFLATE if compression else _RAW])
    if compression:
        tags[PREDICTOR] = numbers(SHORT, [_DIFFERENCES])
    tags[PLANAR_CONFIGURATION] = numbers(SHORT, [_CHUNKY])
    tags[PHOTOMETRIC_INTERPRETATION] = numbers(SHORT, [_GRAY if is_gray else _RGB])
    tags[SAMPLESPERPIXEL] = numbers(SHORT, [num_channels])
    tags[ROWSPERSTRIP] = numbers(LONG, [strip_height])
    tags[STRIPOFFSETS] = numbers(LONG8 if is_big else LONG, strips)
    tags[STRIPBYTECOUNTS] = numbers(LONG, strips)
    if page.alpha is not None:
        tags[EXTRASAMPLES] = numbers(SHORT, [_ALPHA])
    if page.dpi:
        tags[RESOLUTION_UNIT] = numbers(SHORT, [_INCH])
        for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), page.dpi, strict=True):
            tags[tag] = numbers(RATIONAL, [value])
    if page.icc_profile:
        tags[ICCPROFILE] = plain(page.icc_profile)
    if page.xmp:
        tags[XMP] = Tag(BYTE, len(page.xmp), page.xmp)
    if page.iptc:
        tags[IPTC] = plain(page.iptc)
    return tags | {tag: _geo_tag(tag, value) for tag, value in page.geo}


def _geo_tag(tag: int, value: str | tuple[float, ...]) -> Tag:
    if isinstance(value, str):
        return text(value)
    return numbers(SHORT if tag == geotiff.KEYS else DOUBLE, value)
