"""Small generators with weights that matter, for the tests of everything that runs them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.models.base import UNKNOWN_RADIUS, Generator
from srgan.models.build import build_generator

MSRRESNET = GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4)


def random_generator(config: GeneratorConfig, seed: int = 0) -> Generator:
    """A generator in eval mode as if trained: every weight and statistic away from its start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = build_generator(config)
        with torch.no_grad():
            for module in generator.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    module.weight.normal_(std=0.7 / module.weight[0].numel() ** 0.5)
                    if module.bias is not None:
                        module.bias.normal_(std=0.05)
                if isinstance(module, nn.BatchNorm2d):
                    assert module.running_mean is not None
                    assert module.running_var is not None
                    module.running_mean.normal_(std=0.1)
                    module.running_var.uniform_(0.5, 1.5)
    return generator.eval()


class Recorder(Generator):
    """Runs another generator and keeps the size and the floats of each tile."""

    def __init__(self, inner: Generator) -> None:
        super().__init__()
        self.inner, self.scale, self.config = inner, inner.scale, None
        self.trunk_radius, self.head_radius = inner.trunk_radius, inner.head_radius
        self.windows: list[tuple[int, ...]] = []
        self.results: list[Tensor] = []

    def trunk(self, lr: Tensor) -> Tensor:
        self.windows.append(tuple(lr.shape[2:]))
        return self.inner.trunk(lr)

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        self.results.append(self.inner.head(features, lr))
        return self.results[-1]


class InWindows(Generator):
    """Nearest of means over windows of 8 pixels, as attention in windows sees a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.config = 2, None
        self.trunk_radius, self.head_radius = UNKNOWN_RADIUS, 0
        self.weight = nn.Parameter(torch.ones(1))

    def trunk(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[2:]
        padded = F.pad(lr, (0, -width % 8, 0, -height % 8), mode="replicate")
        return F.interpolate(F.avg_pool2d(padded, 8), scale_factor=8)[..., :height, :width]

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return 2 * F.interpolate(features, scale_factor=2) - 1


class Bomb:
    """Fails the test that unpickles it, which would run code of its file."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("the file was unpickled",))
