"""The sub-pixel shuffle, which keeps the channels innermost on every device."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelShuffle(nn.PixelShuffle):
    """`nn.PixelShuffle` by `pixel_shuffle`."""

    def forward(self, features: Tensor) -> Tensor:
        return pixel_shuffle(features, self.upscale_factor)


def pixel_shuffle(features: Tensor, factor: int) -> Tensor:
    """(N, C·f², h, w) → (N, C, f·h, f·w), as torch does; channels-last stays channels-last.

    torch 2.13 keeps the format on the CPU alone. On a GPU its result has the channels outermost,
    so that the next convolution has to copy all of it, and all that follows is slower.
    """
    if features.device.type != "cpu" and features.is_contiguous(memory_format=torch.channels_last):
        return shuffle_innermost(features, factor)
    return F.pixel_shuffle(features, factor)


def shuffle_innermost(features: Tensor, factor: int) -> Tensor:
    """The same in one copy for channels-last features on any device; the result is so too."""
    N, C, H, W = features.shape
    pixels = features.permute(0, 2, 3, 1).reshape(N, H, W, C // factor**2, factor, factor)
    rows = pixels.permute(0, 1, 4, 2, 5, 3).reshape(N, factor * H, factor * W, -1)
    return rows.permute(0, 3, 1, 2)
