"""What a photo's result will be, decided before the network runs."""

from srgan.images import Photo
from srgan.images.encode import check_writable, fits
from srgan.upscale.names import Oversize
from srgan.upscale.sizing import Sizing


def target_format(photo: Photo, wanted: str, oversize: Oversize, sizing: Sizing) -> str:
    """Format of the result of `photo`: `wanted`, or what `oversize` says if that has no room.

    `ImageError` where that format cannot hold the result, or the result's size is out of bounds.
    """
    height, width = sizing.shape(*photo.pixels.shape[:2])
    for page in photo.pages:
        sizing.shape(*page.pixels.shape[:2])
    if oversize != "refuse" and not fits(wanted, height, width):
        wanted = oversize
    check_writable(photo, wanted, height, width)
    return wanted
