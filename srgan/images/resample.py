"""Change the size of a photo."""

from dataclasses import replace

from srgan.errors import ImageError
from srgan.images.photo import Photo, Samples
from srgan.images.spool import Plane, SpooledPhoto
from srgan.resize.arrays import imresize, resample, resample_blocks


def shrink(photo: Photo, scale: int) -> Photo:
    """Shrink by MATLAB's bicubic to 1 / `scale`: colours, alpha and dpi; other metadata stays.

    Sides that are not multiples of `scale` first lose up to scale − 1 pixels at the right and the
    bottom, as in the benchmarks. `ImageError` for photos smaller than one LR pixel.
    """
    height, width = photo.pixels.shape[:2]
    if min(height, width) < scale:
        raise ImageError("too_small", f"{width}×{height} pixels are less than one at 1/{scale}")
    return replace(
        photo,
        pixels=_shrunk(photo.pixels, scale),
        alpha=None if photo.alpha is None else _shrunk(photo.alpha, scale),
        dpi=photo.dpi and (photo.dpi[0] / scale, photo.dpi[1] / scale),
        described=photo.described and (height - height % scale, width - width % scale),
    )


def _shrunk(image: Samples, scale: int) -> Samples:
    height, width = (side - side % scale for side in image.shape[:2])
    return imresize(image[:height, :width], scale=1 / scale)


def resampled(photo: Photo, height: int, width: int, *, pages: tuple[Photo, ...]) -> Photo:
    """Resize colours and alpha by antialiased bicubic; dpi keep the size in print.

    Starts from pixels that are already rounded, so a value differs by at most one level from what
    the network's floats would have given. Pixels on disk stay on disk.
    """
    old_height, old_width = photo.pixels.shape[:2]
    if (height, width) == (old_height, old_width):
        return replace(photo, pages=pages)
    dpi = photo.dpi and (photo.dpi[0] * width / old_width, photo.dpi[1] * height / old_height)
    if isinstance(photo, SpooledPhoto):
        opacity = photo.opacity and _on_disk(photo.opacity, height, width)
        colours = _on_disk(photo.colours, height, width)
        return SpooledPhoto.of(photo, colours, opacity, dpi=dpi, pages=pages)
    return replace(
        photo,
        pixels=resample(photo.pixels, height, width),
        alpha=None if photo.alpha is None else resample(photo.alpha, height, width),
        dpi=dpi,
        pages=pages,
    )


def _on_disk(plane: Plane, height: int, width: int) -> Plane:
    result = Plane(plane.folder, (height, width, *plane.shape[2:]), plane.dtype)
    for rows, values in resample_blocks(plane.values, height, width):
        result.write(rows, slice(0, width), values)
    return result
