"""Noise: its size, its dependence on the light, and its colour."""

import numpy as np
import pytest
import torch

from srgan.config import NoiseConfig
from srgan.degradation.chance import Chance
from srgan.degradation.noise import CameraNoise, Noise, draw_grain, draw_noise

SIDE = 64


def noise_on(level: float, noise: Noise) -> torch.Tensor:
    flat = torch.full((1, 3, SIDE, SIDE), level)
    grain = torch.from_numpy(draw_grain(noise, (SIDE, SIDE), Chance(1, 2, 3)))
    return CameraNoise()(flat, noise, grain) - flat


def test_gaussian_noise_has_its_deviation_whatever_the_light() -> None:
    for level in (60.0, 180.0):
        added = noise_on(level, Noise("gaussian", 5.0, gray=False))
        assert added.mean().abs() < 0.2
        assert added.std().item() == pytest.approx(5, rel=0.03)


def test_the_variance_of_poisson_noise_is_proportional_to_the_light() -> None:
    for level in (4.0, 25.0, 100.0, 200.0):
        added = noise_on(level, Noise("poisson", 0.5, gray=False))
        assert added.mean().abs() < 0.2
        assert added.var().item() == pytest.approx(0.25 * level, rel=0.05), level
    assert not noise_on(0.0, Noise("poisson", 3.0, gray=False)).any()


def test_counts_follow_the_poisson_distribution() -> None:
    noise = Noise("poisson", 1.0, gray=False)
    grain = torch.from_numpy(draw_grain(noise, (260, 260), Chance(1, 2, 3)))
    counts = CameraNoise()(torch.full((1, 3, 260, 260), 3.0), noise, grain).flatten()
    found = torch.bincount(counts.long()) / len(counts)
    expected = np.exp(-3) * np.cumprod([1, *(3 / np.arange(1, 8))])
    np.testing.assert_allclose(found[:8], expected, atol=0.004)


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
@pytest.mark.parametrize("gray", [False, True])
def test_gray_noise_is_the_same_in_all_channels(kind: str, gray: bool) -> None:
    level = 100.0
    added = noise_on(level, Noise(kind, 2.0, gray))[0]  # type: ignore[arg-type]
    together = np.corrcoef(added.flatten(1).numpy())[0, 1]
    assert together == pytest.approx(1.0 if gray else 0.0, abs=0.05)
    assert added.std().item() == pytest.approx(2.0 if kind == "gaussian" else 20.0, rel=0.05)


def test_kinds_of_noise_are_drawn_as_often_as_the_config_says() -> None:
    config = NoiseConfig(gaussian=0.3, gray=0.4)
    drawn = [draw_noise(config, Chance(0, 1, place)) for place in range(3000)]
    share = [np.mean([n.kind == "gaussian" for n in drawn]), np.mean([n.gray for n in drawn])]
    assert share == pytest.approx([0.3, 0.4], abs=0.03)
    for kind, (least, most) in {"gaussian": (1, 30), "poisson": (0.05, 3)}.items():
        strengths = [noise.strength for noise in drawn if noise.kind == kind]
        assert least <= min(strengths) < least + 0.1 * most
        assert 0.95 * most < max(strengths) <= most
