import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.inference.memory import MEMORY_BYTES
from srgan.inference.tiles import LARGEST_EXACT_RADIUS, Reach, reach_of
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interpolation import Bicubic
from tests.support.networks import random_generator
from tests.support.pixels import Pixels, noise_and_shapes, photo_of, to_pixels, whole_image


def rrdbnet(num_blocks: int, num_channels: int) -> Generator:
    return random_generator(
        GeneratorConfig(kind="rrdbnet", scale=4, num_blocks=num_blocks, num_channels=num_channels)
    )


DEEP = rrdbnet(5, 6)


@pytest.mark.parametrize("draw", [noise_and_shapes, photo_of])
def test_with_the_effective_radius_tiles_differ_by_a_level_in_one_value_of_10_000(
    draw: Callable[[int, int], Pixels],
) -> None:
    image = draw(200, 310)
    engine = Engine(copy.deepcopy(DEEP), tile=1, device="cpu")
    difference = np.abs(
        engine.upscale(image).astype(int) - to_pixels(whole_image(DEEP, image)).astype(int)
    )
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-4


class _FarSighted(Generator):
    """Nearest of the mean over `seen` pixels on both sides; its stated radius is 120."""

    def __init__(self, seen: int) -> None:
        super().__init__()
        self.scale, self.config, self.trunk_radius, self.head_radius = 2, None, 120, 0
        side = 2 * seen + 1
        self.mean = nn.Conv2d(3, 3, (1, side), groups=3, padding=(0, seen), bias=False)
        nn.init.constant_(self.mean.weight, 1 / side)

    def trunk(self, lr: Tensor) -> Tensor:
        means: Tensor = self.mean(lr)
        return means

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return 2 * F.interpolate(features, scale_factor=2) - 1


@pytest.mark.parametrize("seen", [9, 30, 60])
def test_an_effective_radius_smaller_than_the_stated_one_is_found(seen: int) -> None:
    total = reach_of(_FarSighted(seen).eval()).total
    assert seen <= total <= seen + 16


def test_the_whole_radius_is_taken_if_cuts_are_felt_too_far() -> None:
    assert reach_of(_FarSighted(115).eval()).total == 120


def test_networks_with_a_small_radius_keep_it() -> None:
    for generator in (build_generator(GeneratorConfig()).eval(), Bicubic(4)):
        assert generator.radius <= LARGEST_EXACT_RADIUS
        assert reach_of(generator) == Reach(generator.trunk_radius, generator.head_radius)


def test_all_the_reach_of_a_network_without_a_trunk_is_in_its_head() -> None:
    reach = reach_of(SelfEnsemble(copy.deepcopy(DEEP)))
    assert reach.trunk == 0
    assert 0 < reach.head < DEEP.radius


@pytest.mark.slow(group="images")
def test_rrdbnet_runs_in_fp32_within_the_default_budget() -> None:
    config = GeneratorConfig(kind="rrdbnet", scale=4, num_blocks=23)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = build_generator(config)
    assert generator.radius == 349
    engine = Engine(generator, memory_bytes=MEMORY_BYTES, device="cpu")
    assert engine._reach.total < 100
