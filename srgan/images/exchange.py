"""Images of Pillow and arrays of NumPy as a `Photo`, and back."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srgan.errors import ImageError
from srgan.images.codecs import pixels
from srgan.images.photo import Photo

_FILES_LACK = {"La": "LA", "RGBX": "RGB", "RGBa": "RGBA", "YCbCr": "RGB"}
"""Modes that images have in memory only, and the one that holds the same."""

Picture = TypeVar("Picture", Image.Image, NDArray[Any])


def as_photo(image: "Image.Image | NDArray[Any]") -> Photo:
    """Split an image into colours and alpha.

    `ImageError` (``unsupported``) for pixels of another kind, `TypeError` for what is not an image.
    """
    if isinstance(image, Image.Image):
        if not image.mode.startswith("I;16"):
            mode = _FILES_LACK.get(image.mode)
            # A copy, because its `info` is changed.
            raster = pixels.read(image.convert(mode) if mode else image.copy(), 8)
            return Photo(raster.colours, raster.alpha)
        image = np.asarray(image)
    elif not isinstance(image, np.ndarray):
        raise TypeError(f"expected an image of Pillow or a NumPy array, got {type(image).__name__}")
    return _photo_of(image)


def _photo_of(values: NDArray[Any]) -> Photo:
    """Split an array into colours and alpha, in the byte order of this machine."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        raise ImageError(
            "unsupported",
            f"an array of {values.dtype}; convert it to uint8 (0 to 255) or uint16 (0 to 65535)",
        )
    num_channels = values.shape[2] if values.ndim == 3 else 1
    if values.ndim not in (2, 3) or num_channels not in (1, 2, 3, 4) or not values.size:
        raise ImageError(
            "unsupported",
            f"an array of shape {values.shape}; expected (H, W), or (H, W, C) with C of 1 to 4",
        )
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 2:
        return Photo(np.ascontiguousarray(values))
    colours = values[..., :3] if num_channels > 2 else values[..., 0]
    alpha = None if num_channels % 2 else np.ascontiguousarray(values[..., -1])
    return Photo(np.ascontiguousarray(colours), alpha)


def _stacked(photo: Photo) -> NDArray[Any]:
    """Pixels in memory, with alpha as the last channel: (H, W), or (H, W, 2) to (H, W, 4)."""
    if photo.alpha is None:
        return np.array(photo.pixels, subok=False)
    return np.dstack([photo.pixels, photo.alpha])


def like(image: Picture, result: Photo) -> Picture:
    """Return `result` in the type of the `image` that it was made from.

    An array keeps its number of dimensions. An image of Pillow keeps its `info`, with dpi scaled.
    """
    if isinstance(image, Image.Image):
        return _with_info(image, Image.fromarray(_stacked(result)))
    return _stacked(result).reshape(*result.pixels.shape[:2], *image.shape[2:])


def _with_info(image: Image.Image, enlarged: Image.Image) -> Image.Image:
    info = {name: value for name, value in image.info.items() if name != "transparency"}
    if image.mode == "CMYK":
        info.pop("icc_profile", None)  # the pixels are sRGB now
    if dpi := info.get("dpi"):
        info["dpi"] = tuple(each * enlarged.width / image.width for each in dpi)
    enlarged.info = info
    return enlarged
