"""Every contestant on the same held-out crops: PSNR and SSIM on luma, perceptual distances."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.errors import DataError
from srgan.evaluate.report import Figures, ImageFigures
from srgan.metrics import psnr, ssim
from srgan.resize import imresize

Pixels = NDArray[np.uint8]
Upscale = Callable[[Pixels], Pixels]
"""LR uint8 (h, w, 3) → SR uint8 (s·h, s·w, 3)."""

BICUBIC = "bicubic"


class Distance(Protocol):
    """A named distance of two uint8 images (H, W, 3); `evaluate.perceptual` has them."""

    name: str

    def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float: ...


def degrade(hr: Pixels, scale: int) -> Pixels:
    """The LR image of an HR crop, as in training and in the benchmarks: MATLAB's bicubic."""
    return imresize(hr, scale=1 / scale)


def with_bicubic(contestants: Mapping[str, Upscale], scale: int) -> dict[str, Upscale]:
    """The contestants after the baseline that all of them have to beat."""
    return {BICUBIC: lambda lr: imresize(lr, scale=scale), **contestants}


def compare(
    crops: Crops,
    methods: Mapping[str, Upscale],
    *,
    scale: int,
    progress: Callable[[int, int], None],
    distances: Sequence[Distance] = (),
) -> list[ImageFigures]:
    """Figures of each method on each crop; a border of `scale` pixels is left out.

    Flat crops (a black corner, an empty sky) are left out: bicubic gives them back exactly, and
    one infinite PSNR would make every mean infinite. `progress(done, total)` is called after
    every crop. `DataError` when there is nothing to compare on.
    """
    results = []
    for index in range(len(crops)):
        hr = crops[index]
        if not _is_flat(hr):
            lr = degrade(hr, scale)
            figures = {
                name: _figures(hr, upscale(lr), scale, distances)
                for name, upscale in methods.items()
            }
            results.append(ImageFigures(source=crops.names[index], crop=index, figures=figures))
        progress(index + 1, len(crops))
    if not results:
        raise DataError(f"none of the {len(crops)} held-out crops shows anything to compare on")
    return results


def _is_flat(hr: Pixels) -> bool:
    return bool((hr == hr[0, 0]).all())


def _figures(hr: Pixels, sr: Pixels, scale: int, distances: Sequence[Distance]) -> Figures:
    return Figures(
        psnr=psnr(hr, sr, border=scale),
        ssim=ssim(hr, sr, border=scale),
        distances={distance.name: distance(hr, sr, border=scale) for distance in distances},
    )
