"""Read 16-bit pixels of PNG and TIFF files, which Pillow opens as 8 bits or not at all."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images.pixels import Channels


@cache
def vips() -> Any:
    """Import `pyvips` at the first call: few photos need it, and it costs 60 ms."""
    import pyvips

    # We call loaders by name; this blocks what they might call in turn. Raw pixels are our own.
    pyvips.block_untrusted_set(True)
    pyvips.operation_block_set("VipsForeignLoadRaw", False)
    pyvips.cache_set_max(0)  # the cache would keep everything it has read, even spooled pixels
    return pyvips


Deep = NDArray[np.uint16]

_MOST = 65_535
_NUM_COLOURS = {"grey16": 1, "rgb16": 3, "cmyk": 4}
_UNSPECIFIED = 0  # kind of an extra sample in TIFF that is not alpha, as with 8 bits


def read_png(data: bytes) -> Channels:
    """Read the channels of a complete 16-bit PNG; a transparent colour becomes alpha."""
    return _channels(vips().Image.pngload_buffer, data)


def read_tiff(data: bytes, page: int, extra: int | None) -> Channels:
    """Read the channels of one TIFF page; `extra` is the kind of the sample after its colours."""
    pixels, alpha = _channels(vips().Image.tiffload_buffer, data, page=page)
    return pixels, None if extra == _UNSPECIFIED else alpha


def _channels(load: Callable[..., Any], data: bytes, **options: int) -> Channels:
    try:
        image = load(data, access="sequential", fail_on="warning", **options)
        num_colours = _NUM_COLOURS.get(image.interpretation, 0)
        if image.format != "ushort" or image.bands - num_colours not in (0, 1):
            raise ImageError(
                "unsupported",
                f"{image.bands} channels of kind {image.interpretation} ({image.format}) cannot "
                "be read; convert to gray or RGB with 8 or 16 bits",
            )
        if image.interpretation == "cmyk" and image.get_typeof("icc-profile-data"):
            image = _through_profile(image.copy_memory())
        values = np.frombuffer(image.write_to_memory(), np.uint16)
    except vips().Error as error:
        raise ImageError("corrupt", " ".join(str(error).split())) from error
    values = values.reshape(image.height, image.width, image.bands)
    if image.interpretation == "cmyk":
        return _without_ink(values), None
    colours = values[:, :, 0] if num_colours == 1 else values[:, :, :3]
    alpha = values[:, :, -1] if values.shape[2] in (2, 4) else None
    return np.ascontiguousarray(colours), None if alpha is None else np.ascontiguousarray(alpha)


def _through_profile(ink: Any) -> Any:
    """Convert CMYK to 16-bit sRGB; return it unchanged if its profile is damaged."""
    try:
        return ink.icc_transform("srgb", embedded=True, depth=16).copy_memory()
    except vips().Error:
        return ink


def _without_ink(cmyk: Deep) -> Deep:
    """Convert CMYK to RGB by the plain formula (1 − c)(1 − k), as for 8 bits."""
    result = np.empty((*cmyk.shape[:2], 3), np.uint16)
    for row, ink in zip(result, cmyk, strict=True):  # by row: a photo in 32 bits is large
        paper = _MOST - ink.astype(np.uint32)
        row[:] = (paper[:, :3] * paper[:, 3:] + _MOST // 2) // _MOST
    return result
