"""Size and format of a result, decided before the network runs."""

import re

from srgan.bulk.names import Oversize
from srgan.config.upscale import SIZE_PATTERN
from srgan.errors import ConfigError, ImageError
from srgan.images import Photo
from srgan.images.encode import check_writable, fits, own_format
from srgan.images.resample import resampled

_MOST_GROWTH = 2
"""Largest result as a multiple of the model's; beyond it, bicubic adds pixels but no details."""


class Sizing:
    """Sizes of results of one model, and the resampling of its output to them."""

    def __init__(
        self, model_scale: int, *, scale: float | None = None, size: str | None = None
    ) -> None:
        """Results have the model's scale unless `scale` or `size` is given; else `ConfigError`."""
        if size is not None and not re.fullmatch(SIZE_PATTERN, size):
            raise ConfigError(
                f"invalid size {size!r}: expected 4096x (width), x2160 (height) or 4096x2160 "
                "(the largest that fits into it)"
            )
        if size is not None and scale is not None:
            raise ConfigError(f"scale {scale:g} and size {size} exclude each other; drop one")
        self.model_scale = model_scale
        self._most = _MOST_GROWTH * model_scale
        if scale is not None and not 1 <= scale <= self._most:
            raise ConfigError(
                f"scale {scale:g}: a model of scale {model_scale} is used from 1 to {self._most}"
            )
        self._size = size
        self._box = [int(side or 0) for side in size.split("x")] if size else []
        self._scale = model_scale if scale is None else scale

    @property
    def growth(self) -> float:
        """Most pixels that a result has per pixel of the network's output; at least 1."""
        largest = self._most if self._box else self._scale
        return max(1.0, largest / self.model_scale) ** 2

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result of a photo; sides keep their proportion.

        `ImageError` with ``target_size`` for a photo that would shrink, or grow to more than
        twice the model's result.
        """
        if not self._box:
            return _scaled(height, width, self._scale)
        sides = zip(self._box, (width, height), strict=True)
        factor = min(wanted / side for wanted, side in sides if wanted)
        if not 1 <= factor <= self._most:
            raise ImageError(
                "target_size",
                f"{width}×{height} pixels would become {factor:.3g} times as large for "
                f"{self._size}; from 1 to {self._most} times is possible with this model",
            )
        return _scaled(height, width, factor)

    def num_pixels(self, photo: Photo) -> int:
        """Pixels of the results of all pages; `ImageError` like `shape`."""
        sizes = [self.shape(*page.pixels.shape[:2]) for page in (photo, *photo.pages)]
        return sum(height * width for height, width in sizes)

    def fitted(self, result: Photo, original: Photo) -> Photo:
        """Resample the model's `result` of `original` to its `shape`, with all its pages."""
        height, width = self.shape(*original.pixels.shape[:2])
        pages = zip(result.pages, original.pages, strict=True)
        fitted = tuple(self.fitted(page, before) for page, before in pages)
        return resampled(result, height, width, pages=fitted)


def target_format(photo: Photo, wanted: str, oversize: Oversize, sizing: Sizing) -> str:
    """Format of the result of `photo`: `wanted`, or `oversize` if the result is too large for it.

    The photo's own format gives way to `own_format` if it cannot be written. `ImageError` if the
    format cannot hold the result, or if the result's size is out of bounds.
    """
    height, width = sizing.shape(*photo.pixels.shape[:2])
    for page in photo.pages:
        sizing.shape(*page.pixels.shape[:2])
    if wanted == photo.format:
        wanted = own_format(photo)
    if oversize != "refuse" and not fits(wanted, height, width):
        wanted = oversize
    check_writable(photo, wanted, height, width)
    return wanted


def _scaled(height: int, width: int, factor: float) -> tuple[int, int]:
    return max(1, round(height * factor)), max(1, round(width * factor))
