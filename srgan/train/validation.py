"""Figures and pictures on a fixed choice of held-out crops, during training."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.images import strip
from srgan.metrics import psnr
from srgan.models.base import Generator
from srgan.resize import imresize
from srgan.train import ranks

_NUM_CROPS = 32
_NUM_PICTURES = 3
_MAX_PSNR = 100.0  # a plain black crop comes out exact, and one infinity would be the mean

Image = NDArray[np.uint8]


class Validation:
    """Mean PSNR (Y, border = scale) of a generator next to bicubic's, shared by all ranks.

    The same evenly spread crops every time; measured in float32 whatever the training uses.
    """

    def __init__(self, crops: Crops, scale: int, device: torch.device) -> None:
        self._crops = crops
        self._scale = scale
        self._device = device
        spread = np.linspace(0, len(crops) - 1, min(_NUM_CROPS, len(crops)))
        self._chosen = [int(index) for index in spread.round()]
        self._bicubic_psnr: float | None = None

    def measure(self, generator: Generator) -> dict[str, float]:
        """``psnr`` and ``bicubic_psnr`` in dB; every rank must call it and gets the same."""
        ranks.share_buffers(generator)
        if self._bicubic_psnr is None:
            self._bicubic_psnr = self._mean(None)
        return {"psnr": self._mean(generator), "bicubic_psnr": self._bicubic_psnr}

    def pictures(self, generator: Generator) -> Iterator[tuple[str, bytes]]:
        """Name and PNG (bicubic | generated | original) of the first few crops."""
        for index in self._chosen[:_NUM_PICTURES]:
            hr = self._crops[index]
            lr = imresize(hr, scale=1 / self._scale)
            columns = [
                ("bicubic", imresize(lr, scale=self._scale)),
                ("generated", self._generate(generator, lr)),
                ("original", hr),
            ]
            yield f"validation-{index}", strip(columns)

    def _mean(self, generator: Generator | None) -> float:
        """Mean over all ranks' shares; None stands for bicubic."""
        scores = []
        for index in self._chosen[ranks.rank() :: ranks.num_ranks()]:
            hr = self._crops[index]
            lr = imresize(hr, scale=1 / self._scale)
            sr = self._generate(generator, lr) if generator else imresize(lr, scale=self._scale)
            scores.append(min(_MAX_PSNR, psnr(hr, sr, border=self._scale)))
        total = torch.tensor([sum(scores), len(scores)], dtype=torch.float64, device=self._device)
        scored, count = ranks.sum_over_ranks(total).tolist()
        return float(scored / count)

    @torch.inference_mode()
    def _generate(self, generator: Generator, lr: Image) -> Image:
        """LR uint8 (h, w, 3) → SR uint8 (s·h, s·w, 3)."""
        pixels = torch.from_numpy(lr).to(self._device).permute(2, 0, 1)[None]
        was_training = generator.training
        generator.eval()
        sr = generator(pixels.float().contiguous(memory_format=torch.channels_last) / 255)
        generator.train(was_training)
        levels = ((sr[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())
