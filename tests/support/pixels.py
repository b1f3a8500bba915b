"""Drawn pixels, and the plain network on the whole of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgan.models.base import Generator

Pixels = NDArray[np.uint8]


def photo_of(height: int, width: int, seed: int = 0) -> Pixels:
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def whole_image(generator: Generator, image: Pixels) -> Tensor:
    """Floats (1, 3, s·H, s·W) of the plain network on the whole image at once."""
    lr = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        sr: Tensor = generator(lr.contiguous(memory_format=torch.channels_last))
    return sr


def to_pixels(sr: Tensor) -> Pixels:
    pixels: Pixels = ((sr[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    return pixels


def noise_and_shapes(height: int, width: int) -> Pixels:
    """A drawn photo: a sky, sharp edges and some grain, as the levels of real ones lie."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([90 + 100 * rows / height, 60 + 80 * columns / width, 120 + rows * 0], -1)
    image[(rows - height / 2) ** 2 + (columns - width / 3) ** 2 < (height / 4) ** 2] = (220, 60, 30)
    image[(rows // 5 + columns // 7) % 9 == 0] *= 0.4
    image += np.random.default_rng(0).normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8)
