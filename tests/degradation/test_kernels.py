"""Blur kernels: sum, width and shape, and how often each is drawn."""

import math
from collections import Counter

import pytest
import torch

from srgan.config import KernelConfig
from srgan.degradation.chance import Chance
from srgan.degradation.kernels import Kernel, draw_kernel, kernel_weights

SHAPES = tuple(KernelConfig().shapes)


def deviations(weights: torch.Tensor) -> tuple[float, float]:
    """Deviations in pixels along x and y."""
    offset = torch.arange(len(weights)) - len(weights) // 2
    across, along = weights.sum(dim=0), weights.sum(dim=1)
    return float((across * offset**2).sum().sqrt()), float((along * offset**2).sum().sqrt())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [7, 21])
def test_every_kernel_sums_to_one_and_has_its_side(shape: str, side: int) -> None:
    config = KernelConfig(sides=(side, side), shapes={shape: 1.0})
    for place in range(20):
        weights = kernel_weights(draw_kernel(config, Chance(0, 0, place)))
        assert weights.shape == (side, side)
        assert weights.sum().item() == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(weights, weights.flip(0, 1))  # nothing is shifted


def test_a_gaussian_has_its_deviation_along_each_axis() -> None:
    round_ = kernel_weights(Kernel("isotropic", 21, (2.0, 2.0)))
    assert deviations(round_) == pytest.approx((2, 2), rel=0.01)
    upright = kernel_weights(Kernel("anisotropic", 21, (2.5, 1.0)))
    assert deviations(upright) == pytest.approx((2.5, 1), rel=0.02)
    turned = kernel_weights(Kernel("anisotropic", 21, (2.5, 1.0), angle=math.pi / 2))
    assert deviations(turned) == pytest.approx((1, 2.5), rel=0.02)


def test_exponents_change_the_shape_as_the_paper_says() -> None:
    gaussian = kernel_weights(Kernel("isotropic", 21, (2.0, 2.0)))
    torch.testing.assert_close(
        kernel_weights(Kernel("generalised_isotropic", 21, (2.0, 2.0), beta=1.0)), gaussian
    )
    pointed, flat = (
        kernel_weights(Kernel("generalised_isotropic", 21, (2.0, 2.0), beta=beta))
        for beta in (0.5, 4.0)
    )
    plateau = kernel_weights(Kernel("plateau_isotropic", 21, (2.0, 2.0), beta=2.0))
    # How much of the peak is left one pixel away: least for a point, nearly all on a plateau.
    falls = [float(weights[10, 11] / weights[10, 10]) for weights in (pointed, gaussian, flat)]
    assert falls == sorted(falls)
    assert falls[2] > 0.99
    assert plateau[10, 11] / plateau[10, 10] == pytest.approx(1 / (1 + 0.25**2))


def test_a_sinc_filter_lets_low_frequencies_through_and_stops_high_ones() -> None:
    weights = kernel_weights(Kernel("sinc", 21, cutoff=math.pi / 2))
    assert weights.min() < 0
    offset = torch.arange(21) - 10
    passed = [
        float((weights.sum(dim=0) * torch.cos(frequency * offset)).sum())
        for frequency in (math.pi / 5, math.pi * 4 / 5)
    ]
    assert passed[0] == pytest.approx(1, abs=0.1)
    assert passed[1] == pytest.approx(0, abs=0.1)


def test_shapes_are_drawn_as_often_as_the_config_says_and_sides_are_odd() -> None:
    config = KernelConfig()
    drawn = [draw_kernel(config, Chance(1, 2, place)) for place in range(4000)]
    found = Counter(kernel.shape for kernel in drawn)
    for shape, probability in config.shapes.items():
        assert found[shape] / len(drawn) == pytest.approx(probability, abs=0.025), shape
    assert set(found) == set(config.shapes)
    assert {kernel.side for kernel in drawn} == set(range(7, 22, 2))
    for kernel in drawn:
        assert (kernel.sigma[0] == kernel.sigma[1]) == ("anisotropic" not in kernel.shape), kernel


def test_the_order_in_which_shapes_are_written_does_not_change_what_is_drawn() -> None:
    given = {"isotropic": 0.5, "plateau_isotropic": 0.3, "sinc": 0.2}
    one, other = (
        KernelConfig.model_validate({"shapes": dict(order)})
        for order in (given.items(), reversed(given.items()))
    )
    for place in range(20):
        assert draw_kernel(one, Chance(0, 0, place)) == draw_kernel(other, Chance(0, 0, place))


def test_only_a_long_sinc_filter_cuts_below_a_third_of_all_frequencies() -> None:
    drawn = [
        draw_kernel(KernelConfig(shapes={"sinc": 1.0}), Chance(4, 0, at)) for at in range(4000)
    ]
    for sides, least in ((range(7, 13, 2), 3), (range(13, 22, 2), 5)):
        for side in sides:
            cutoffs = [kernel.cutoff for kernel in drawn if kernel.side == side]
            assert math.pi / least <= min(cutoffs) < math.pi / least + 0.1, side
            assert math.pi - 0.1 < max(cutoffs) <= math.pi, side


def betas_of(config: KernelConfig) -> list[float]:
    return [draw_kernel(config, Chance(3, 0, place)).beta for place in range(1000)]


def test_exponents_lie_below_and_above_one_equally_often() -> None:
    betas = betas_of(KernelConfig(shapes={"generalised_isotropic": 1.0}))
    assert 0.5 <= min(betas) < 0.6
    assert 3.8 < max(betas) <= 4
    assert sum(beta < 1 for beta in betas) / len(betas) == pytest.approx(0.5, abs=0.05)


def test_half_of_all_plateaus_of_the_published_range_have_the_exponent_one() -> None:
    betas = betas_of(KernelConfig(shapes={"plateau_anisotropic": 1.0}))
    assert sum(beta == 1 for beta in betas) / len(betas) == pytest.approx(0.5, abs=0.05)
    above = [beta for beta in betas if beta != 1]
    assert 1 < min(above) < 1.05
    assert 1.95 < max(above) <= 2
    assert sum(beta < 1.5 for beta in above) / len(above) == pytest.approx(0.5, abs=0.06)


def test_a_range_of_exponents_without_one_is_drawn_evenly() -> None:
    betas = betas_of(KernelConfig(shapes={"plateau_isotropic": 1.0}, plateau_beta=(1.5, 2.5)))
    assert min(betas) >= 1.5
    assert sum(beta < 2 for beta in betas) / len(betas) == pytest.approx(0.5, abs=0.05)
