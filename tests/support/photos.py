"""Photos drawn from a seed."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from srgan.resize.arrays import imresize

DrawPhoto = Callable[..., NDArray[np.uint8]]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """RGB pixels that have nothing to do with their neighbours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def image(seed: int) -> NDArray[np.uint8]:
    """A smooth photo of 40×48 RGB pixels."""
    rough = np.random.default_rng(seed).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    return imresize(rough, scale=4)


def dead_leaves(seed: int, height: int = 160, width: int = 200) -> bytes:
    """A PNG of random overlapping discs: edges at every scale, as in photographs."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(400):
        x, y = random.integers(0, width), random.integers(0, height)
        radius = 3 + 40 * random.random() ** 3
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
