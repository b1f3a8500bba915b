import math
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor

from srgan.config import ContentLossConfig
from srgan.losses import adversarial_loss, content_loss, discriminator_loss, pixel_loss


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
    loss = content_loss(ContentLossConfig(kind="mse"))(sr, hr)
    assert torch.equal(loss, pixel_loss("mse", sr, hr))
    assert gradient(loss, sr).all()


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
