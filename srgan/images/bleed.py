"""Colours for what nobody sees, so that it cannot show."""

import numpy as np
from numpy.typing import NDArray

from srgan.images.photo import Photo, Samples

Floats = NDArray[np.float32]
_BAND = 64
"""Rows of cells that are enlarged at once."""


def bled(photo: Photo) -> Samples:
    """RGB (H, W, 3) in which visible colours reach on into what is fully transparent.

    Editors leave black there, or anything. Enlarged, alpha and colours no longer change at the
    same pixel: without this the edges of a cut-out would have fringes of a colour it never had.
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
    # By bands: as floats the whole image would take four times its bytes, and twice.
    for top in range(0, len(rgb), 2 * _BAND):
        rows = slice(top, top + 2 * _BAND)
        cells = means[top // 2 : top // 2 + _BAND]
        around = np.rint(_doubled(cells, visible[rows].shape)).astype(rgb.dtype)
        np.copyto(result[rows], around, where=~visible[rows, :, None])
    return result


def _filled(sums: Floats, counts: Floats) -> Floats:
    """Means of cells; an empty one takes that of the smallest block of 2ⁿ × 2ⁿ that is not."""
    means: Floats = np.divide(sums, np.maximum(counts, 1), dtype=np.float32)
    empty = counts == 0
    if empty.any():
        coarse = _filled(_halved(sums), _halved(counts))
        np.copyto(means, _doubled(coarse, counts.shape), where=empty)
    return means


def _halved(values: Samples) -> Floats:
    """Sums over blocks of 2×2 of (H, W, C)."""
    height, width, _ = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    rows: Floats = np.add(even[::2], even[1::2], dtype=np.float32)
    return rows[:, ::2] + rows[:, 1::2]


def _doubled(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Each cell as 2×2 of them, cut to `shape`."""
    return values.repeat(2, axis=0)[: shape[0]].repeat(2, axis=1)[:, : shape[1]]
