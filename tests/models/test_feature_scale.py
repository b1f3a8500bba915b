"""The factor on features that makes their loss as large as the pixels'."""

import pytest
import torch

from srgan.config.networks import FEATURE_LAYERS
from srgan.losses import feature_loss, pixel_loss
from srgan.models.feature_scale import drawn_pairs, measure_scales
from srgan.models.features import load_extractor
from tests.support.perceptual_weights import drawn_weights


def once() -> list[torch.Tensor]:
    return [next(iter(drawn_pairs()))]


def test_with_the_measured_scale_the_feature_loss_is_as_large_as_the_mse() -> None:
    (pair,) = once()
    extractor = load_extractor(drawn_weights(), "squeezenet1_1", ["fire5"])
    (scale,) = measure_scales(extractor, [pair]).values()
    hr, sr = pair[:1], pair[1:]
    of_features = feature_loss(extractor, scale, sr, hr)
    assert float(of_features) == pytest.approx(float(pixel_loss("mse", sr, hr)), rel=1e-3)


def test_every_layer_has_a_scale_and_features_twice_as_large_have_half_of_it() -> None:
    pairs = once()
    layers = FEATURE_LAYERS["squeezenet1_1"]
    scales = measure_scales(load_extractor(drawn_weights(), "squeezenet1_1", layers), pairs)
    assert tuple(scales) == layers
    doubled = load_extractor(drawn_weights(), "squeezenet1_1", ["conv1"])
    for parameter in doubled.parameters():
        parameter.mul_(2)
    assert measure_scales(doubled, pairs)["conv1"] == pytest.approx(scales["conv1"] / 2, rel=1e-3)


def test_drawn_images_are_the_same_at_every_call_and_lose_what_photos_lose() -> None:
    pairs = list(drawn_pairs())
    assert torch.equal(pairs[0], once()[0])
    lost = torch.stack([(pair[0] - pair[1]).square().mean() for pair in pairs]).mean()
    # Photographs of BSDS500 lose 0.021 on [−1, 1].
    assert 0.015 < float(lost) < 0.03
