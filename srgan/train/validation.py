"""Figures and pictures on a fixed choice of held-out crops, during training, and their judge."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.config.networks import MIN_SIDE, FeatureNetwork
from srgan.data.dataset import Crops
from srgan.images import strip
from srgan.measure.metrics import psnr
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator
from srgan.models.weights import find_judges, read_weights
from srgan.resize.arrays import imresize
from srgan.storage import ObjectStore
from srgan.train import ranks
from srgan.train.content import feature_content

_NUM_CROPS = 32
_NUM_PICTURES = 3
_MAX_PSNR = 100.0  # a plain black crop comes out exact, and one infinity would spoil the mean

Image = NDArray[np.uint8]


class Validated(NamedTuple):
    """Figures of a validation, and its step."""

    step: int
    metrics: dict[str, float]


class Validation:
    """Mean figures of a generator next to bicubic's (border = scale), shared by all ranks.

    The same evenly spread crops every time; measured in float32 whatever the training uses.
    """

    def __init__(
        self,
        crops: Crops,
        scale: int,
        device: torch.device,
        judge: PerceptualDistance | None = None,
    ) -> None:
        self._crops = crops
        self._scale = scale
        self._device = device
        spread = np.linspace(0, len(crops) - 1, min(_NUM_CROPS, len(crops)))
        self._chosen = [int(index) for index in spread.round()]
        self._judge = judge
        self._bicubic: dict[str, float] | None = None

    def measure(self, generator: Generator) -> dict[str, float]:
        """``psnr`` in dB and the judge's distance, and the same for bicubic as ``bicubic_…``.

        Every rank must call it and gets the same figures.
        """
        ranks.share_buffers(generator)
        if self._bicubic is None:
            self._bicubic = {f"bicubic_{name}": value for name, value in self._mean(None).items()}
        return {**self._mean(generator), **self._bicubic}

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

    def _mean(self, generator: Generator | None) -> dict[str, float]:
        """Means over all ranks' shares; None stands for bicubic."""
        names = ["psnr", *([self._judge.name] if self._judge else [])]
        total = torch.zeros(len(names) + 1, dtype=torch.float64)
        for index in self._chosen[ranks.rank() :: ranks.num_ranks()]:
            hr = self._crops[index]
            lr = imresize(hr, scale=1 / self._scale)
            sr = self._generate(generator, lr) if generator else imresize(lr, scale=self._scale)
            figures = [min(_MAX_PSNR, psnr(hr, sr, border=self._scale))]
            if self._judge:
                figures.append(self._judge(hr, sr, border=self._scale))
            total += torch.tensor([*figures, 1.0], dtype=torch.float64)
        *sums, count = ranks.sum_over_ranks(total.to(self._device)).tolist()
        return {name: value / count for name, value in zip(names, sums, strict=True)}

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


def build_judge(
    store: ObjectStore,
    config: PretrainConfig | AdversarialConfig,
    *,
    crop_size: int,
    device: torch.device,
) -> PerceptualDistance | None:
    """Pick a mirrored network, preferring one that the stage is not trained on; None if there is
    none, or if crops leave it nothing to see.

    Every rank must call it, because rank 0 looks for all of them.
    """
    if crop_size - 2 * config.generator.scale < MIN_SIDE:
        return None
    found = ranks.from_rank_zero(_choose(store, config) if ranks.rank() == 0 else None)
    if found is None:
        return None
    network, sha256 = found
    return PerceptualDistance(network, read_weights(store, network, sha256), device=device)


def _choose(
    store: ObjectStore, config: PretrainConfig | AdversarialConfig
) -> tuple[FeatureNetwork, str] | None:
    content = feature_content(config)
    learned = content.network if content else None
    mirrored = sorted(find_judges(store).items(), key=lambda each: each[0] == learned)
    return mirrored[0] if mirrored else None
