import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.errors import ConfigError
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.inference.memory import MEMORY_BYTES
from srgan.inference.reach import LARGEST_EXACT_RADIUS, SHARE, Reach, draw_probe, reach_of
from srgan.models.base import UNKNOWN_RADIUS, Generator
from srgan.models.build import build_generator
from srgan.models.interpolation import Bicubic
from tests.support.networks import InWindows, random_generator
from tests.support.pixels import Pixels, noise_and_shapes, photo_of, to_pixels, whole_image


def rrdbnet(num_blocks: int, num_channels: int) -> Generator:
    return random_generator(
        GeneratorConfig(kind="rrdbnet", scale=4, num_blocks=num_blocks, num_channels=num_channels)
    )


DEEP = rrdbnet(5, 6)


@pytest.mark.parametrize("draw", [noise_and_shapes, photo_of])
def test_with_the_effective_radius_tiles_differ_by_a_level_in_one_value_of_2_000(
    draw: Callable[[int, int], Pixels],
) -> None:
    image = draw(200, 310)
    engine = Engine(copy.deepcopy(DEEP), tile=1, device="cpu")
    difference = np.abs(
        engine.upscale(image).astype(int) - to_pixels(whole_image(DEEP, image)).astype(int)
    )
    assert difference.max() <= 1
    assert (difference > 0).mean() <= SHARE


class _FarSighted(Generator):
    """Nearest of the mean over `seen` pixels on both sides; its stated radius is larger."""

    def __init__(self, seen: int, stated: int = 300) -> None:
        super().__init__()
        self.scale, self.config, self.trunk_radius, self.head_radius = 2, None, stated, 0
        side = 2 * seen + 1
        self.mean = nn.Conv2d(3, 3, (1, side), groups=3, padding=(0, seen), bias=False)
        nn.init.constant_(self.mean.weight, 1 / side)

    def trunk(self, lr: Tensor) -> Tensor:
        means: Tensor = self.mean(lr)
        return means

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return 2 * F.interpolate(features, scale_factor=2) - 1


@pytest.mark.parametrize("seen", [9, 30, 60, 101, 146])
def test_an_effective_radius_smaller_than_the_stated_one_is_found(seen: int) -> None:
    total = reach_of(_FarSighted(seen).eval()).total
    assert seen <= total <= 1.15 * (seen + 4) + 4


def test_the_context_is_measured_on_the_cpu_whatever_the_device() -> None:
    places: list[str] = []

    class Watched(_FarSighted):
        def trunk(self, lr: Tensor) -> Tensor:
            places.append(lr.device.type)
            return super().trunk(lr)

    engine = Engine(Watched(30), tile=144, device="meta")
    assert set(places) == {"cpu"}
    assert engine._reach == reach_of(_FarSighted(30).eval())
    assert next(engine._generator.parameters()).device.type == "meta"


def test_the_whole_radius_is_taken_if_cuts_are_felt_too_far() -> None:
    assert reach_of(_FarSighted(190).eval()).total == 300


def test_a_network_of_unknown_radius_that_sees_too_far_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sees further than 152 .* choose .* --context"):
        reach_of(_FarSighted(190, UNKNOWN_RADIUS).eval())


def test_the_context_can_be_given() -> None:
    far = _FarSighted(190).eval()
    assert reach_of(far, 60) == Reach(60, 0)
    assert reach_of(far, 1000).total == 300, "more than the radius changes nothing"
    assert reach_of(DEEP, 1) == Reach(0, 1)
    assert reach_of(_FarSighted(190, UNKNOWN_RADIUS).eval(), 60) == Reach(60, 0, step=96)


@pytest.mark.parametrize("shape", [(190, 430), (300, 160)])
def test_tiles_of_a_network_with_windows_begin_where_its_windows_do(shape: tuple[int, int]) -> None:
    assert reach_of(InWindows().eval()).step == 96
    image = photo_of(*shape)
    tiled = Engine(InWindows(), tile=150, device="cpu").upscale(image)
    np.testing.assert_array_equal(tiled, to_pixels(whole_image(InWindows(), image)))


@pytest.mark.parametrize("context", [None, 40])
def test_a_self_ensemble_of_a_network_with_windows_is_refused(context: int | None) -> None:
    with pytest.raises(ConfigError, match=r"self_ensemble: this network cuts .* leave out --self"):
        Engine(SelfEnsemble(InWindows()), context=context, device="cpu")


def test_tiles_of_a_network_without_windows_begin_anywhere() -> None:
    assert reach_of(_FarSighted(60, UNKNOWN_RADIUS).eval()).step == 1


def test_the_probe_is_the_same_on_every_machine() -> None:
    probe = draw_probe(8, 24)
    assert probe.shape == (1, 3, 8, 24)
    assert 0 <= float(probe.min()) < float(probe.max()) <= 1
    assert torch.equal(probe, draw_probe(8, 24))


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
