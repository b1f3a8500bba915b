"""A photo in another size."""

from dataclasses import replace

from srgan.images.photo import Photo
from srgan.resize import resample


def resampled(photo: Photo, height: int, width: int, *, pages: tuple[Photo, ...]) -> Photo:
    """Antialiased bicubic of colours and alpha; dpi keep the size in print.

    From pixels that are rounded already, so that a value is at most one level off what the
    network's floats would have given.
    """
    old_height, old_width = photo.pixels.shape[:2]
    if (height, width) == (old_height, old_width):
        return replace(photo, pages=pages)
    dpi = photo.dpi
    return replace(
        photo,
        pixels=resample(photo.pixels, height, width),
        alpha=None if photo.alpha is None else resample(photo.alpha, height, width),
        dpi=dpi and (dpi[0] * width / old_width, dpi[1] * height / old_height),
        pages=pages,
    )
