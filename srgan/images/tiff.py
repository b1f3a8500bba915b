"""TIFF files of 8 or 16 bits and of any number of pages, which Pillow writes in part only.

Pixels are not compressed, as Pillow writes them when there is an EXIF directory.
"""

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

MOST_BYTES = 2**32 - 2**20
"""Offsets have 32 bits; a megabyte is for directories."""

_HEADER = b"II*\x00"
_ENTRY_BYTES = 12
_RAW, _CHUNKY, _INCH, _ALPHA, _GRAY, _RGB = 1, 1, 2, 2, 1, 2
# What an EXIF block may say about the arrangement of another file's pixels.
_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 317, 318, 319}
_STRUCTURE |= {320, 322, 323, 324, 325, 330, 332, 338, 339, 347, 513, 514, 529, 530, 531, 532}


def write_tiff(photo: Photo, dpi: tuple[float, float] | None) -> bytes:
    """Encode a photo and its pages; `dpi` are those of the first, if they can be written."""
    parts: list[Any] = [_HEADER, b""]
    size = len(_HEADER) + 4
    link = 1  # the part that has to say where the next directory begins
    for page in (photo, *photo.pages):
        values = _values(page)
        tags = _tags(page, values, dpi if page is photo else page.dpi)
        parts[link] = size.to_bytes(4, "little")
        directory = tags.tobytes(size)
        end = 2 + _ENTRY_BYTES * len(tags)
        parts += [directory[:end], b"", directory[end + 4 :], values.data]
        link = len(parts) - 3
        size += len(directory) + values.nbytes
        if size % 2:  # directories begin at even places
            parts.append(b"\x00")
            size += 1
    parts[link] = bytes(4)
    return b"".join(parts)


def _values(page: Photo) -> Samples:
    """Little-endian (H, W, channels)."""
    values = page.pixels if page.pixels.ndim == 3 else page.pixels[:, :, None]
    if page.alpha is not None:
        values = np.dstack([values, page.alpha])
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def _tags(page: Photo, values: Samples, dpi: tuple[float, float] | None) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2(prefix=b"II")
    exif = metadata.as_tiff_tags(page.exif or b"")
    for tag in exif:
        if tag not in _STRUCTURE:
            tags[tag] = exif.get_ifd(tag) if tag in TAGS_V2_GROUPS else exif[tag]
    height, width, num_channels = values.shape
    tags[IMAGEWIDTH], tags[IMAGELENGTH] = width, height
    tags[BITSPERSAMPLE] = (8 * values.itemsize,) * num_channels
    tags[COMPRESSION], tags[PLANAR_CONFIGURATION] = _RAW, _CHUNKY
    tags[PHOTOMETRIC_INTERPRETATION] = _GRAY if num_channels < 3 else _RGB
    tags[SAMPLESPERPIXEL], tags[ROWSPERSTRIP] = num_channels, height
    tags[STRIPOFFSETS], tags[STRIPBYTECOUNTS] = 0, values.nbytes  # counted from the directory
    if page.alpha is not None:
        tags[EXTRASAMPLES] = _ALPHA
    if page.icc_profile:
        tags[ICCPROFILE] = page.icc_profile
    if dpi:
        tags[RESOLUTION_UNIT] = _INCH
        tags[X_RESOLUTION], tags[Y_RESOLUTION] = dpi
    return tags
