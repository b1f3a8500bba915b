"""A photo in another size."""

from dataclasses import replace

from srgan.images.photo import Photo
from srgan.images.spool import Plane, SpooledPhoto


def resampled(photo: Photo, height: int, width: int, *, pages: tuple[Photo, ...]) -> Photo:
    """Antialiased bicubic of colours and alpha; dpi keep the size in print.

    From pixels that are rounded already, so that a value is at most one level off what the
    network's floats would have given. What lies on the disk stays there.
    """
    # torch takes seconds, which a flow and a job's driver need not pay: they only ask for sizes.
    from srgan.resize import resample

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
    from srgan.resize import resample_blocks

    result = Plane(plane.folder, (height, width, *plane.shape[2:]), plane.dtype)
    for rows, values in resample_blocks(plane.values, height, width):
        result.write(rows, slice(0, width), values)
    return result
