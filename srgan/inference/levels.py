"""Convert between pixels and the tensors that networks compute with."""

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from srgan.errors import ImageError
from srgan.images.photo import Samples as Pixels


def to_lr(window: Pixels, device: torch.device) -> Tensor:
    """uint8 or uint16 (h, w, 3) → float (1, 3, h, w) in [0, 1], channels-last."""
    values = torch.from_numpy(window.copy()).to(device)
    return (values.float() / np.iinfo(window.dtype).max).permute(2, 0, 1).unsqueeze(0)


def compact(view: Tensor) -> Tensor:
    """Copy a view into contiguous channels-last memory."""
    return view.contiguous(memory_format=torch.channels_last)


def to_pixels(sr: Tensor, dtype: DTypeLike) -> Pixels:
    """Float (3, H, W), nominally [−1, 1] → (H, W, 3) of uint8 or uint16, rounded.

    `ImageError` (``not_finite``) for NaN and infinity, which would become black pixels.
    """
    if not torch.isfinite(sr).all():
        raise ImageError("not_finite", "the network gave values that are not finite")
    levels = to_levels(sr) if dtype == np.uint8 else _to_deep_levels(sr)
    pixels: Pixels = levels.permute(1, 2, 0).cpu().numpy()
    return pixels


def to_levels(sr: Tensor) -> Tensor:
    """Float, nominally [−1, 1] → uint8, rounded."""
    return ((sr + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _to_deep_levels(sr: Tensor) -> Tensor:
    return ((sr + 1) * 32767.5).round().clamp(0, 65_535).to(torch.uint16)
