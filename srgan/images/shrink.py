"""The LR side of a photo as the published benchmarks have it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images.photo import Photo
from srgan.resize import imresize


def shrink(photo: Photo, scale: int) -> Photo:
    """MATLAB's bicubic by 1 / `scale`; colours, alpha and dpi shrink, other metadata stays.

    Sides that `scale` does not divide lose up to scale − 1 pixels at the right and the bottom
    first, as the benchmarks' do. `ImageError` for photos smaller than one LR pixel.
    """
    height, width = photo.pixels.shape[:2]
    if min(height, width) < scale:
        raise ImageError("too_small", f"{width}×{height} pixels are less than one at 1/{scale}")
    return replace(
        photo,
        pixels=_shrink(photo.pixels, scale),
        alpha=None if photo.alpha is None else _shrink(photo.alpha, scale),
        dpi=photo.dpi and (photo.dpi[0] / scale, photo.dpi[1] / scale),
    )


def _shrink(image: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    height, width = (side - side % scale for side in image.shape[:2])
    return imresize(image[:height, :width], scale=1 / scale)
