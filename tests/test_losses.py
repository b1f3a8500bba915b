import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from srgan.config import FeatureContentConfig, MseContentConfig
from srgan.losses import (
    adversarial_loss,
    content_loss,
    discriminator_loss,
    feature_loss,
    grid_loss,
    pixel_loss,
    total_variation,
)
from srgan.models.features import FeatureExtractor, load_extractor
from tests.support.perceptual_weights import drawn_state, drawn_weights


def images() -> tuple[Tensor, Tensor]:
    sr, hr = torch.rand(2, 2, 3, 4, 5, dtype=torch.float32) * 2 - 1
    return sr.requires_grad_(), hr


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of)[0]


def test_mse_and_its_gradient_are_those_of_equation_4() -> None:
    sr, hr = images()
    loss = pixel_loss("mse", sr, hr)
    difference = (sr - hr).detach()
    torch.testing.assert_close(loss.detach(), difference.square().sum() / difference.numel())
    torch.testing.assert_close(gradient(loss, sr), 2 * difference / difference.numel())


def test_l1_and_its_gradient_are_the_mean_absolute_difference() -> None:
    sr, hr = images()
    loss = pixel_loss("l1", sr, hr)
    difference = (sr - hr).detach()
    torch.testing.assert_close(loss.detach(), difference.abs().sum() / difference.numel())
    torch.testing.assert_close(gradient(loss, sr), difference.sign() / difference.numel())


def test_content_loss_mse_is_the_pixel_loss_and_reaches_the_generator() -> None:
    sr, hr = images()
    loss = content_loss(MseContentConfig())(sr, hr)
    assert torch.equal(loss, pixel_loss("mse", sr, hr))
    assert gradient(loss, sr).all()


def extractor(layer: str = "fire2") -> FeatureExtractor:
    return load_extractor(drawn_weights(), "squeezenet1_1", [layer])


def photos(side: int = 32) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    sr, hr = torch.rand(2, 1, 3, side, side, generator=random) * 2 - 1
    return sr.requires_grad_(), hr.requires_grad_()


def test_feature_loss_is_the_scaled_mean_square_of_equation_5() -> None:
    sr, hr = photos()
    loss = feature_loss(extractor(), 0.1, sr, hr)
    difference = extractor()(sr)[0] - extractor()(hr)[0]
    torch.testing.assert_close(loss, (0.1**2) * difference.square().sum() / difference.numel())


def test_the_gradient_of_the_feature_loss_is_that_of_a_hand_written_reference() -> None:
    sr, hr = photos()
    network = extractor("conv1")
    found = gradient(feature_loss(network, 0.5, sr, hr), sr)
    state = drawn_state("squeezenet1_1")
    weight, bias = state["features.0.weight"], state["features.0.bias"]
    std = network.backbone.std
    before = F.conv2d(((sr + 1) / 2 - network.backbone.mean) / std, weight, bias, stride=2).detach()
    target = F.relu(
        F.conv2d(((hr + 1) / 2 - network.backbone.mean) / std, weight, bias, stride=2)
    ).detach()
    slope = 2 * 0.5**2 * (before.relu() - target) / before.numel() * (before > 0)

    # A stride of 2 does not read the last row and column of 32, so their gradient is zero.
    back = F.conv_transpose2d(slope, weight, stride=2, output_padding=1)
    torch.testing.assert_close(found, back / (2 * std))


def test_the_gradient_of_the_feature_loss_agrees_with_finite_differences() -> None:
    sr, hr = photos()
    # ReLU has a kink and pooling has ties without a derivative. Steps in double precision are too
    # small to cross one.
    network = extractor().double()
    network.forward = lambda images: [network.backbone.features(images)]  # type: ignore[method-assign]
    sr, hr = sr.detach().double().requires_grad_(), hr.double()
    loss = feature_loss(network, 0.3, sr, hr)
    slopes = gradient(loss, sr).flatten()
    random = torch.Generator().manual_seed(1)
    for _ in range(5):
        direction = torch.randn(sr.shape, generator=random, dtype=torch.float64)
        step = 1e-7 * direction
        ahead, behind = (feature_loss(network, 0.3, sr + s, hr) for s in (step, -step))
        numeric = float((ahead - behind).detach()) / 2e-7
        assert float(slopes @ direction.flatten()) == pytest.approx(numeric, rel=1e-4)


def test_the_feature_loss_leaves_the_hr_side_without_a_graph() -> None:
    sr, hr = photos()
    loss = feature_loss(extractor(), 0.1, sr, hr)
    assert gradient(loss, sr).abs().sum() > 0
    loss = feature_loss(extractor(), 0.1, sr, hr)
    loss.backward()  # type: ignore[no-untyped-call]
    assert hr.grad is None


def test_content_loss_on_features_is_the_one_of_its_layer_and_scale() -> None:
    config = FeatureContentConfig(
        network="squeezenet1_1", layer="fire2", feature_scale=0.25, weights="00000000"
    )
    sr, hr = photos()
    expected = feature_loss(extractor(), 0.25, sr, hr)
    assert torch.equal(content_loss(config, extractor())(sr, hr), expected)
    with pytest.raises(ValueError, match=r"'fire2'.*'fire3'"):
        content_loss(config, extractor("fire3"))
    with pytest.raises(ValueError, match="got None"):
        content_loss(config)


def test_content_loss_on_features_can_add_pixels() -> None:
    sr, hr = photos()
    config = FeatureContentConfig(
        network="squeezenet1_1",
        layer="fire5",
        feature_scale=0.1,
        weights="0" * 64,
        pixel_weight=0.5,
    )
    found = content_loss(config, extractor("fire5"))(sr, hr)
    expected = feature_loss(extractor("fire5"), 0.1, sr, hr) + 0.5 * pixel_loss("mse", sr, hr)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, sr), gradient(expected, sr))


def drawn_grid(height: float, *, switches_every: int = 1000) -> Tensor:
    """A pattern of period 4 in (1, 3, 64, 64); its sign changes every so many pixels."""
    pattern = torch.tensor([1.0, -1.0, 1.0, -1.0]).repeat(16)
    sign = 1 - 2 * (torch.arange(64) // switches_every % 2)
    return (height * pattern * sign).expand(1, 3, 64, 64)


def test_grid_loss_is_the_mean_square_of_a_grid_wherever_it_is() -> None:
    hr = torch.rand(1, 3, 64, 64) - 0.5
    for switches_every in (1000, 32):
        loss = float(grid_loss(hr + drawn_grid(0.02, switches_every=switches_every), hr, 4))
        # A window across the place where the sign changes sees less of it.
        assert loss == pytest.approx(0.02**2, rel=0.35 if switches_every == 32 else 1e-3)


def test_what_does_not_repeat_with_the_scale_is_hardly_a_grid() -> None:
    hr = torch.rand(1, 3, 64, 64) - 0.5
    assert float(grid_loss(hr + 0.3, hr, 4)) == pytest.approx(0, abs=1e-10)
    slope = torch.linspace(0, 0.3, 64).expand(1, 3, 64, 64)
    assert float(grid_loss(hr + slope, hr, 4)) < 1e-4
    noise = 0.02 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert float(grid_loss(hr + noise, hr, 4)) < 0.02**2 / 32


def test_the_grid_loss_sees_a_patch_smaller_than_its_window() -> None:
    hr = torch.zeros(1, 3, 8, 8)
    grid = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 3, 8, 8)
    assert float(grid_loss(grid, hr, 2)) == pytest.approx(1)


def test_total_variation_is_the_sum_of_an_images_gradient_lengths() -> None:
    ramp = 3.0 * torch.arange(5)[:, None] + 4.0 * torch.arange(6)
    # 4 × 5 positions of 3 channels, each with a gradient of length 5, in every image of the batch.
    assert total_variation(ramp.expand(2, 3, 5, 6)).item() == pytest.approx(3 * 4 * 5 * 5)
    flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
    assert torch.isfinite(gradient(total_variation(flat), flat)).all()


def test_the_papers_weight_of_total_variation_is_a_thousandth_beside_the_mse() -> None:
    random = torch.Generator().manual_seed(0)
    # As at the start of a training: SR is faint noise, HR has the contrast of a photo.
    sr = (0.05 * torch.randn(2, 3, 96, 96, generator=random)).requires_grad_()
    hr = F.interpolate(0.5 * torch.randn(2, 3, 12, 12, generator=random), scale_factor=8.0)
    hr = hr.clamp(-1, 1)
    pixels = gradient(pixel_loss("mse", sr, hr), sr)
    variation = gradient(2e-8 * total_variation(sr), sr)
    share = float(variation.norm() / pixels.norm())
    # As a mean over all values it would be 3 × 95 × 95 times smaller: nothing.
    assert 3e-4 < share < 3e-3


def test_content_loss_on_features_can_add_the_total_variation() -> None:
    sr, hr = photos()
    config = FeatureContentConfig(
        network="squeezenet1_1",
        layer="fire5",
        feature_scale=0.1,
        weights="0" * 64,
        total_variation_weight=0.5,
    )
    found = content_loss(config, extractor("fire5"))(sr, hr)
    expected = feature_loss(extractor("fire5"), 0.1, sr, hr) + 0.5 * total_variation(sr)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"sr as floats in \[−1, 1\], got torch.uint8"),
        (torch.zeros(2, 4, 4, 4), r"\(N, 3, H, W\).* got \(2, 4, 4, 4\)"),
        (torch.zeros(4, 4), r"got \(4, 4\)"),
        (torch.zeros(0, 3, 4, 4), r"got \(0, 3, 4, 4\)"),
        (torch.full((2, 3, 4, 4), 200.0), r"hr in \[−1, 1\], got values from 200 to 200"),
    ],
)
def test_a_tensor_that_is_not_a_batch_of_images_is_refused(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pixel_loss("mse", images, images)


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no pixel loss 'huber'; there are: mse, l1"):
        pixel_loss("huber", *images())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "logits", [torch.zeros(3, dtype=torch.int64), torch.zeros(2, 2), torch.zeros(0)]
)
def test_a_tensor_that_is_not_logits_is_refused(logits: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected logits \(N,\) as floats, got torch"):
        adversarial_loss(logits)
    with pytest.raises(ValueError, match=r"expected logits \(N,\) as floats, got torch"):
        discriminator_loss(torch.zeros(1), logits)


@pytest.mark.parametrize("kind", ["mse", "l1"])
def test_images_of_different_shapes_are_refused_not_broadcast(kind: Literal["mse", "l1"]) -> None:
    with pytest.raises(ValueError, match=r"sr \(2, 3, 4, 4\) and hr \(1, 3, 4, 4\)"):
        pixel_loss(kind, torch.rand(2, 3, 4, 4), torch.rand(1, 3, 4, 4))


@pytest.mark.parametrize("kind", ["mse", "l1"])
def test_pixel_losses_of_bf16_are_computed_in_float32(kind: Literal["mse", "l1"]) -> None:
    sr, hr = (image.detach().bfloat16() for image in images())
    assert torch.equal(pixel_loss(kind, sr, hr), pixel_loss(kind, sr.float(), hr.float()))


def test_adversarial_loss_and_its_gradient_are_those_of_equation_6() -> None:
    logits = torch.tensor([-3.0, -0.5, 0.0, 2.0, 7.0], requires_grad=True)
    loss = adversarial_loss(logits)
    x = logits.tolist()
    expected = sum(-math.log(1 / (1 + math.exp(-v))) for v in x) / 5
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    slopes = torch.tensor([-1 / (1 + math.exp(v)) / 5 for v in x])
    torch.testing.assert_close(gradient(loss, logits), slopes)


def test_discriminator_loss_and_its_gradients_are_those_of_equation_2() -> None:
    real = torch.tensor([-2.0, 0.5, 4.0], requires_grad=True)
    fake = torch.tensor([-1.0, 3.0], requires_grad=True)
    loss = discriminator_loss(real, fake)

    def probability(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    expected = -sum(math.log(probability(x)) for x in real.tolist()) / 3
    expected -= sum(math.log(1 - probability(x)) for x in fake.tolist()) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    of_real, of_fake = torch.autograd.grad(loss, (real, fake))
    slopes = [(probability(x) - 1) / 3 for x in real.tolist()]
    torch.testing.assert_close(of_real, torch.tensor(slopes))
    slopes = [probability(x) / 2 for x in fake.tolist()]
    torch.testing.assert_close(of_fake, torch.tensor(slopes))


def test_an_undecided_discriminator_costs_two_ln_2() -> None:
    zeros = torch.zeros(4)
    assert discriminator_loss(zeros, zeros).item() == pytest.approx(2 * math.log(2))


LOSSES: list[tuple[Callable[[Tensor], Tensor], float, float]] = [
    # loss, its value at +1e4, its value at −1e4
    (adversarial_loss, 0, 1e4),
    (lambda logits: discriminator_loss(logits, torch.full((1,), -1e4)), 0, 1e4),
    (lambda logits: discriminator_loss(torch.full((1,), 1e4), logits), 1e4, 0),
]


@pytest.mark.parametrize(("loss", "at_plus", "at_minus"), LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_ten_thousand_give_finite_losses_and_gradients(
    loss: Callable[[Tensor], Tensor], at_plus: float, at_minus: float, dtype: torch.dtype
) -> None:
    for logit, expected in ((1e4, at_plus), (-1e4, at_minus)):
        logits = torch.tensor([logit], dtype=dtype, requires_grad=True)
        value = loss(logits)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(expected, rel=4e-3)  # 1e4 is rounded in bf16
        slope = gradient(value, logits)
        assert slope.abs().item() == pytest.approx(1 if expected else 0)
