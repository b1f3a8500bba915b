"""Write TIFF files with 8 or 16 bits and any number of pages; Pillow supports only some of them.

Pixels are not compressed, like those that Pillow writes if there is an EXIF directory.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
    RESOLUTION_UNIT,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    X_RESOLUTION,
    Y_RESOLUTION,
    ImageFileDirectory_v2,
)
from PIL.TiffTags import TAGS_V2_GROUPS

from srgan.images import metadata
from srgan.images.photo import Photo, Samples

_HEADER, _LINK = b"II*\x00", bytes(4)
_ENTRY_BYTES = 12
_RAW, _CHUNKY, _INCH, _ALPHA, _GRAY, _RGB = 1, 1, 2, 2, 1, 2
# Tags of an EXIF block that describe the pixel layout or resolution of the file it came from.
_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 317, 318, 319}
_STRUCTURE |= {320, 322, 323, 324, 325, 330, 332, 338, 339, 347, 513, 514, 529, 530, 531, 532}
_STRUCTURE |= {RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION}


Rows = Callable[[Photo], Iterable[Samples]]
"""Yields values (h, W, channels) of a page from the top down, some rows at a time."""


def tiff_parts(photo: Photo, dpi: tuple[float, float] | None, rows: Rows) -> Iterator[Any]:
    """Yield the file of a photo and its pages piece by piece; `dpi` belongs to the first page.

    Little-endian, each directory before its pixels. A directory depends only on the size of the
    pixels, so `rows` are read once, from first to last.
    """
    yield _HEADER + len(_HEADER + _LINK).to_bytes(4, "little")
    at = len(_HEADER + _LINK)
    pages = (photo, *photo.pages)
    for page in pages:
        tags = _tags(page, dpi if page is photo else page.dpi)
        directory = bytearray(tags.tobytes(at))
        end = at + len(directory) + page.num_bytes
        fill = end % 2  # directories begin at even offsets
        link = 2 + _ENTRY_BYTES * len(tags)
        if page is not pages[-1]:
            directory[link : link + 4] = (end + fill).to_bytes(4, "little")
        yield directory
        for values in rows(page):
            yield np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data
        yield bytes(fill)
        at = end + fill


def whole(page: Photo) -> list[Samples]:
    """Return all rows as one piece."""
    values = page.pixels if page.pixels.ndim == 3 else page.pixels[:, :, None]
    return [values if page.alpha is None else np.dstack([values, page.alpha])]


def _tags(page: Photo, dpi: tuple[float, float] | None) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2(prefix=b"II")
    exif = metadata.as_tiff_tags(page.exif or b"")
    for tag in exif:
        if tag not in _STRUCTURE:
            tags[tag] = exif.get_ifd(tag) if tag in TAGS_V2_GROUPS else exif[tag]
    height, width = page.pixels.shape[:2]
    is_gray = page.pixels.ndim == 2
    num_channels = (1 if is_gray else 3) + (page.alpha is not None)
    tags[IMAGEWIDTH], tags[IMAGELENGTH] = width, height
    tags[BITSPERSAMPLE] = (8 * page.pixels.itemsize,) * num_channels
    tags[COMPRESSION], tags[PLANAR_CONFIGURATION] = _RAW, _CHUNKY
    tags[PHOTOMETRIC_INTERPRETATION] = _GRAY if is_gray else _RGB
    tags[SAMPLESPERPIXEL], tags[ROWSPERSTRIP] = num_channels, height
    tags[STRIPOFFSETS], tags[STRIPBYTECOUNTS] = 0, page.num_bytes  # relative to the directory
    if page.alpha is not None:
        tags[EXTRASAMPLES] = _ALPHA
    if page.icc_profile:
        tags[ICCPROFILE] = page.icc_profile
    if dpi:
        tags[RESOLUTION_UNIT] = _INCH
        tags[X_RESOLUTION], tags[Y_RESOLUTION] = dpi
    return tags
