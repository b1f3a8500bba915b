"""Read the pixels of Pillow's images, turn pixels upright, fill hidden colours."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srgan.errors import ImageError
from srgan.images.codecs import icc
from srgan.images.photo import Photo, Raster, Samples


def read(image: Image.Image, bit_depth: int) -> Raster:
    """Read a loaded image of Pillow with 8 bits or fewer: RGB or gray, with alpha if it has any."""
    mode = image.mode
    if mode == "CMYK":
        profile = image.info.get("icc_profile")
        colours = icc.from_ink(np.asarray(image), profile if isinstance(profile, bytes) else None)
        return Raster(colours, None, bit_depth, was_ink=True)
    _scale_transparent_colour(image, bit_depth)
    if mode in ("1", "L") and "transparency" not in image.info:
        return Raster(np.array(image.convert("L")), None, bit_depth)
    if mode in ("1", "L", "LA"):
        both = np.array(image.convert("LA"))
        return Raster(both[:, :, 0].copy(), both[:, :, 1].copy(), bit_depth)
    if mode not in ("P", "PA", "RGB", "RGBA"):
        raise ImageError(
            "unsupported", f"pixels of kind {mode} cannot be read; convert to 8 or 16 bits"
        )
    bit_depth = 8 if mode in ("P", "PA") else bit_depth
    if not image.has_transparency_data:
        return Raster(np.array(image.convert("RGB")), None, bit_depth)
    both = np.array(image.convert("RGBA"))
    return Raster(both[:, :, :3].copy(), both[:, :, 3].copy(), bit_depth)


def _scale_transparent_colour(image: Image.Image, bit_depth: int) -> None:
    """Convert a PNG's transparent gray from the file's bit depth to the 8 bits of the pixels."""
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and bit_depth < 8:
        image.info["transparency"] = colour * 255 // (2**bit_depth - 1)
    elif not isinstance(colour, int | bytes | tuple):
        # Pillow puts a text chunk of this name into the same dictionary.
        image.info.pop("transparency", None)


def upright(array: Samples, orientation: int) -> Samples:
    """Apply an EXIF orientation 1 … 8 to (H, W) or (H, W, 3)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return np.ascontiguousarray(array)


def converted(values: Samples, table: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Look values (H, W, …) up in a table; by rows, because indices take four times as much."""
    result = np.empty(values.shape, np.uint16)
    for row, looked_up in zip(result, values, strict=True):
        row[:] = table[looked_up]
    return result


def divided(colours: Samples, alpha: Samples) -> Samples:
    """Undo the multiplication of colours (H, W, C) by alpha (H, W); 0 where nothing can be seen."""
    most = np.iinfo(colours.dtype).max
    result = np.empty(colours.shape, colours.dtype)
    for row, multiplied, opacity in zip(result, colours, alpha, strict=True):
        divisor = opacity.astype(np.uint32)[:, None]
        quotient = (multiplied * np.uint32(most) + divisor // 2) // np.maximum(divisor, 1)
        row[:] = np.where(divisor > 0, np.minimum(quotient, most), 0)
    return result


Floats = NDArray[np.float32]
_BAND = 64
"""Rows of cells that are enlarged at a time."""


def bled(photo: Photo) -> Samples:
    """Fill transparent pixels with nearby visible colours to avoid fringes; RGB (H, W, 3).

    Editors leave black there, or anything else. After enlarging, alpha and colours no longer change
    at the same pixel, so the edges of a cut-out would show these hidden colours.
    """
    rgb, alpha = photo.rgb, photo.alpha
    if alpha is None:
        return rgb
    visible = alpha > 0
    if visible.all() or not visible.any():
        return rgb
    masked = np.where(visible[:, :, None], rgb, rgb.dtype.type(0))
    means = _filled(_halved(masked), _halved(visible[:, :, None]))
    result = rgb.copy()
    # In bands, because the whole image in floats would take four times its memory, twice.
    for top in range(0, len(rgb), 2 * _BAND):
        rows = slice(top, top + 2 * _BAND)
        cells = means[top // 2 : top // 2 + _BAND]
        around = np.rint(_doubled(cells, visible[rows].shape)).astype(rgb.dtype)
        np.copyto(result[rows], around, where=~visible[rows, :, None])
    return result


def _filled(sums: Floats, counts: Floats) -> Floats:
    """Means of cells; an empty one takes that of the smallest 2ⁿ × 2ⁿ block that is not empty."""
    means: Floats = np.divide(sums, np.maximum(counts, 1), dtype=np.float32)
    empty = counts == 0
    if empty.any():
        coarse = _filled(_halved(sums), _halved(counts))
        np.copyto(means, _doubled(coarse, counts.shape), where=empty)
    return means


def _halved(values: Samples) -> Floats:
    """Sum (H, W, C) over blocks of 2×2."""
    height, width, _ = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    rows: Floats = np.add(even[::2], even[1::2], dtype=np.float32)
    return rows[:, ::2] + rows[:, 1::2]


def _doubled(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Repeat each cell to 2×2 and cut to `shape`."""
    return values.repeat(2, axis=0)[: shape[0]].repeat(2, axis=1)[:, : shape[1]]
