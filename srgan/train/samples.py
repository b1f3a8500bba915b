"""A picture of what a degradation makes of photos, to look at before days of training."""

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.images.strip import stack, strip
from srgan.resize.tensors import Degradation
from srgan.train.step import Stage

_ROWS = 4
_SAMPLES = 4
_SIDE = 192
"""Largest side shown, in HR pixels."""


def degraded_samples(stage: Stage, crops: Crops) -> bytes | None:
    """PNG with an HR crop and several LR images of it in each row; None for plain bicubic.

    The first column of LR is bicubic's, the others are as drawn at the first steps. LR pixels are
    repeated to the size of HR. The middle of evenly spread crops is shown.
    """
    degradation = stage.degradation
    if isinstance(degradation, Degradation):
        return None
    scale = stage.config.generator.scale
    side = min(_SIDE, crops.size - 2 * degradation.margin) // scale * scale
    spread = np.linspace(0, len(crops) - 1, min(_ROWS, len(crops))).round()
    chosen = [int(index) for index in spread]
    windows = torch.stack([_middle(crops[i], side + 2 * degradation.margin) for i in chosen])
    windows = windows.to(stage.device)
    plain = Degradation(scale).to(stage.device)
    edge = degradation.margin - plain.margin
    bicubic, hr = plain(
        windows[:, :, edge : windows.shape[2] - edge, edge : windows.shape[3] - edge]
    )
    degraded = [degradation(windows, step=step, first=0)[0] for step in range(_SAMPLES)]
    columns = {
        "original": _pixels((hr + 1) / 2),
        "bicubic": _pixels(bicubic, scale),
        **{f"LR {number}": _pixels(lr, scale) for number, lr in enumerate(degraded, start=1)},
    }
    return stack(
        [strip([(name, images[row]) for name, images in columns.items()]) for row in range(len(hr))]
    )


def _middle(crop: NDArray[np.uint8], side: int) -> torch.Tensor:
    """Cut uint8 (P, P, 3) to (3, side, side)."""
    first = (len(crop) - side) // 2
    return torch.from_numpy(crop[first : first + side, first : first + side]).permute(2, 0, 1)


def _pixels(images: torch.Tensor, times: int = 1) -> NDArray[np.uint8]:
    """Float [0, 1] (N, 3, H, W) → uint8 (N, times · H, times · W, 3)."""
    levels = (images * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return np.asarray(levels.repeat(times, axis=1).repeat(times, axis=2))
