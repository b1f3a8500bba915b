"""Perceptual distance: its definition, its order of images, and inputs that it refuses."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.measure.perceptual import PerceptualDistance
from srgan.models.features import load_extractor
from tests.support.perceptual_weights import drawn_weights

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
LAYERS = ["conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"]


@cache
def squeezenet() -> PerceptualDistance:
    return PerceptualDistance("squeezenet1_1", drawn_weights(), device=CPU)


def noisy(image: Pixels, levels: int) -> Pixels:
    noise = np.random.default_rng(0).integers(-levels, levels + 1, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def test_the_distance_is_the_summed_difference_of_unit_features(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr, sr = draw_photo(1, 40, 48), draw_photo(2, 40, 48)
    extractor = load_extractor(drawn_weights(), "squeezenet1_1", LAYERS)
    expected = 0.0
    of = [
        [
            layer[0].numpy()
            for layer in extractor(torch.tensor(image / 127.5 - 1).permute(2, 0, 1)[None])
        ]
        for image in (hr, sr)
    ]
    for one, other in zip(*of, strict=True):
        one, other = (f / (np.linalg.norm(f, axis=0) + 1e-10) for f in (one, other))  # noqa: PLW2901
        expected += ((one - other) ** 2).sum(axis=0).mean()
    assert squeezenet()(hr, sr, border=0) == pytest.approx(expected, rel=1e-4)


def test_identical_images_have_distance_zero_and_noise_adds_to_it(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr = draw_photo(1, 64, 64)
    distances = [squeezenet()(hr, noisy(hr, levels), border=4) for levels in (0, 4, 40)]
    assert distances[0] == 0
    assert distances[0] < distances[1] < distances[2]


def test_the_distance_is_the_same_in_both_directions(draw_photo: Callable[..., Pixels]) -> None:
    one, other = draw_photo(1, 40, 40), draw_photo(2, 40, 40)
    there, back = squeezenet()(one, other, border=0), squeezenet()(other, one, border=0)
    assert there == pytest.approx(back, rel=1e-5)


def test_the_border_does_not_count(draw_photo: Callable[..., Pixels]) -> None:
    hr = draw_photo(1, 40, 40)
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert squeezenet()(hr, sr, border=4) == 0
    assert squeezenet()(hr, sr, border=3) > 0


def test_gray_images_are_measured_as_rgb_of_three_equal_channels(
    draw_photo: Callable[..., Pixels],
) -> None:
    one, other = draw_photo(1, 40, 40)[:, :, 0], draw_photo(2, 40, 40)[:, :, 0]
    as_rgb = [np.repeat(image[:, :, None], 3, axis=2) for image in (one, other)]
    assert squeezenet()(one, other, border=0) == squeezenet()(*as_rgb, border=0)


def test_the_distance_is_named_by_its_network() -> None:
    assert squeezenet().name == "squeezenet_distance"
    vgg = PerceptualDistance("vgg19", drawn_weights("vgg19"), device=CPU)
    assert vgg.name == "vgg19_distance"


@pytest.mark.parametrize(
    ("shape", "border", "message"),
    [
        ((40, 44, 3), 0, r"\(40, 40, 3\).*\(40, 44, 3\)"),
        ((40, 40), 0, r"\(40, 40, 3\).*\(40, 40\)"),
        ((40, 40, 3), 9, "24 pixels a side"),
    ],
)
def test_images_that_cannot_be_compared_are_named(
    shape: tuple[int, ...], border: int, message: str
) -> None:
    hr = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        squeezenet()(hr, np.zeros(shape, np.uint8), border=border)
