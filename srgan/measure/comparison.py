"""Measure every contestant on the same images: PSNR and SSIM on luma, perceptual distances."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from srgan.errors import DataError, ImageError
from srgan.images.photo import luma
from srgan.measure.evaluation import BICUBIC, Figures, ImageFigures
from srgan.measure.guards import NOT_FINITE, Artifacts, measure_artifacts
from srgan.measure.metrics import psnr, ssim
from srgan.resize.arrays import imresize

Pixels = NDArray[np.uint8]
Upscale = Callable[[Pixels], Pixels]
"""LR uint8 (h, w, 3) → SR uint8 (s·h, s·w, 3)."""


class Originals(Protocol):
    """HR images to measure on: held-out crops of a dataset, or an evaluation set."""

    @property
    def names(self) -> Sequence[str]:
        """Photo of each image."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pixels:
        """uint8 (h, w, 3) RGB, or (h, w) of a grayscale photo."""


class Distance(Protocol):
    """A named figure of two uint8 images (H, W, 3), lower is better; see `config.networks`."""

    name: str
    min_side: int
    """Pixels a side, within the border, below which it cannot be measured."""

    @property
    def max_pixels(self) -> int | None:
        """Pixels of a whole photo above which it takes too much memory; None: of any size."""

    def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float: ...


def degrade(hr: Pixels, scale: int) -> Pixels:
    """Return the LR image of an HR crop by MATLAB's bicubic, as in training and in benchmarks."""
    return imresize(hr, scale=1 / scale)


def with_bicubic(contestants: Mapping[str, Upscale], scale: int) -> dict[str, Upscale]:
    """Return the contestants with bicubic first, the baseline that all of them have to beat."""
    return {BICUBIC: lambda lr: imresize(lr, scale=scale), **contestants}


def compare(
    crops: Originals,
    methods: Mapping[str, Upscale],
    *,
    scale: int,
    progress: Callable[[int, int], None],
    distances: Sequence[Distance] = (),
    lr_of: Callable[[int], Pixels | None] = lambda index: None,
) -> list[ImageFigures]:
    """Measure figures and artifacts of each method on each crop, without `scale` pixels of border.

    `methods` come from `with_bicubic`. An output of NaN or infinite values has NaN figures. A
    grayscale photo is upscaled as RGB and compared on the luma of the output, as in bulk upscaling.
    An image that is too small for a distance has none.

    `lr_of` gives the LR image of an index where it is not bicubic's: a damaged one, or a photo.
    Artifacts are measured against bicubic of the undamaged image all the same: noise has contrast
    that a good output has not.

    Flat crops (a black corner, an empty sky) are left out, because bicubic restores them exactly
    and one infinite PSNR would make every mean infinite. `progress(done, total)` is called after
    every crop. `DataError` if all crops are flat.
    """
    results = []
    for index in range(len(crops)):
        hr = crops[index]
        if not _is_flat(hr):
            plain, given = as_rgb(degrade(hr, scale)), lr_of(index)
            lr = plain if given is None else given
            outputs = {name: upscale_or_none(upscale, lr) for name, upscale in methods.items()}
            bicubic = outputs[BICUBIC] if given is None else methods[BICUBIC](plain)
            assert bicubic is not None  # its values are always finite
            found = ImageFigures(
                source=crops.names[index],
                crop=index,
                size=(hr.shape[0], hr.shape[1]),
                figures={name: _figures(hr, sr, scale, distances) for name, sr in outputs.items()},
                signs={name: _artifacts(hr, sr, bicubic, scale) for name, sr in outputs.items()},
            )
            results.append(found)
        progress(index + 1, len(crops))
    if not results:
        raise DataError(f"none of the {len(crops)} held-out crops shows anything to compare on")
    return results


def upscale_or_none(upscale: Upscale, lr: Pixels) -> Pixels | None:
    """Upscale an image; None if the output has NaN or infinite values."""
    try:
        return upscale(lr)
    except ImageError as error:
        if error.reason != "not_finite":
            raise
        return None


def as_rgb(image: Pixels) -> Pixels:
    """Return the image as (h, w, 3); gray is repeated three times."""
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def _artifacts(hr: Pixels, sr: Pixels | None, bicubic: Pixels, scale: int) -> Artifacts:
    return NOT_FINITE if sr is None else measure_artifacts(as_rgb(hr), sr, bicubic, scale=scale)


def _is_flat(hr: Pixels) -> bool:
    return bool((hr == hr[0, 0]).all())


def _figures(hr: Pixels, sr: Pixels | None, scale: int, distances: Sequence[Distance]) -> Figures:
    inside = min(hr.shape[:2]) - 2 * scale
    distances = [distance for distance in distances if distance.min_side <= inside]
    if sr is not None and hr.ndim == 2:
        sr = luma(sr)
    if sr is None:
        nothing = {distance.name: math.nan for distance in distances}
        return Figures(psnr=math.nan, ssim=math.nan, distances=nothing)
    return Figures(
        psnr=psnr(hr, sr, border=scale),
        ssim=ssim(hr, sr, border=scale),
        distances={distance.name: distance(hr, sr, border=scale) for distance in distances},
    )
