"""TIFF files of any layout, and all channels of what was read."""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from srgan.images import Photo

Values = NDArray[Any]


def written(values: Values, photometric: str = "rgb", **options: Any) -> bytes:
    """A TIFF of tifffile with these pixels and nothing said about them."""
    target = io.BytesIO()
    tifffile.imwrite(target, values, photometric=photometric, metadata=None, **options)
    return target.getvalue()


def channels(photo: Photo) -> Values:
    """All values as floats, (H, W, channels)."""
    colours = photo.pixels if photo.pixels.ndim == 3 else photo.pixels[:, :, None]
    return (colours if photo.alpha is None else np.dstack([colours, photo.alpha])).astype(float)


def by_hand(
    pixels: bytes, width: int, height: int, tags: dict[int, int | tuple[int, ...]]
) -> bytes:
    """A TIFF with one strip; all numbers have 16 bits."""
    directory = _usual_tags(width, height, len(pixels)) | tags
    at = 8 + len(pixels) + len(pixels) % 2
    beyond, entries, rest = at + 2 + 12 * len(directory) + 4, b"", b""
    for tag, given in sorted(directory.items()):
        values = given if isinstance(given, tuple) else (given,)
        packed = b"".join(value.to_bytes(2, "little") for value in values)
        if len(packed) > 4:
            packed, rest = (beyond + len(rest)).to_bytes(4, "little"), rest + packed
        entries += tag.to_bytes(2, "little") + b"\x03\x00" + len(values).to_bytes(4, "little")
        entries += packed.ljust(4, b"\x00")
    head = b"II*\x00" + at.to_bytes(4, "little") + pixels + bytes(len(pixels) % 2)
    return head + len(directory).to_bytes(2, "little") + entries + bytes(4) + rest


def _usual_tags(width: int, height: int, size: int) -> dict[int, int | tuple[int, ...]]:
    return {256: width, 257: height, 259: 1, 273: 8, 277: 1, 278: height, 279: size}
