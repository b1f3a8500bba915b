"""Every contestant on the same held-out crops: PSNR and SSIM on the luma channel."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from srgan.errors import DataError
from srgan.evaluate.report import Figures, ImageFigures
from srgan.metrics import psnr, ssim
from srgan.resize import imresize

Pixels = NDArray[np.uint8]
Upscale = Callable[[Pixels], Pixels]
"""LR uint8 (h, w, 3) → SR uint8 (s·h, s·w, 3)."""

BICUBIC = "bicubic"


class HeldOut(Protocol):
    """The eval side of a dataset: HR crops, uint8 (P, P, 3), and where they come from."""

    names: Sequence[str]
    photo_of: Sequence[int]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pixels: ...


def degrade(hr: Pixels, scale: int) -> Pixels:
    """The LR image of an HR crop, as in training and in the benchmarks: MATLAB's bicubic."""
    return imresize(hr, scale=1 / scale)


def with_bicubic(contestants: Mapping[str, Upscale], scale: int) -> dict[str, Upscale]:
    """The contestants after the baseline that all of them have to beat."""
    return {BICUBIC: lambda lr: imresize(lr, scale=scale), **contestants}


def compare(
    crops: HeldOut,
    methods: Mapping[str, Upscale],
    *,
    scale: int,
    progress: Callable[[int, int], None],
) -> list[ImageFigures]:
    """Figures of each method on each crop; a border of `scale` pixels is left out.

    `progress(done, total)` is called after every crop. No crops at all is a `DataError`.
    """
    if not len(crops):
        raise DataError("the dataset has no held-out crops; nothing can be compared")
    results = []
    for index in range(len(crops)):
        hr = crops[index]
        lr = degrade(hr, scale)
        figures = {name: _figures(hr, upscale(lr), scale) for name, upscale in methods.items()}
        results.append(ImageFigures(source=crops.names[index], crop=index, figures=figures))
        progress(index + 1, len(crops))
    return results


def _figures(hr: Pixels, sr: Pixels, scale: int) -> Figures:
    return Figures(psnr=psnr(hr, sr, border=scale), ssim=ssim(hr, sr, border=scale))
