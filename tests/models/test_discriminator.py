import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srgan.config import DiscriminatorConfig
from srgan.models.build import build_discriminator

SMALL = DiscriminatorConfig(num_channels=2, dense_size=4)


def test_it_has_the_papers_layers_and_parameters_at_96_pixels() -> None:
    net = build_discriminator(DiscriminatorConfig(), 96)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [m.stride[0] for m in convolutions] == [1, 2, 1, 2, 1, 2, 1, 2]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 7
    convolution = 9 * (3 * 64 + 64**2 + 64 * 128 + 128**2 + 128 * 256 + 256**2 + 256 * 512 + 512**2)
    dense = 512 * 36 * 1024 + 1024 + 1024 + 1
    norm = 2 * (64 + 2 * 128 + 2 * 256 + 2 * 512)
    expected = convolution + 64 + norm + dense
    assert sum(p.numel() for p in net.parameters()) == expected == 23_563_649


@pytest.mark.parametrize("patch_size", [1, 7, 16, 33, 48, 96, 100])
def test_any_patch_size_gives_one_logit_per_patch(patch_size: int) -> None:
    net = build_discriminator(SMALL, patch_size)
    logits = net(torch.rand(3, 3, patch_size, patch_size))
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32


def test_it_is_the_network_of_figure_4_written_out() -> None:
    net = build_discriminator(SMALL, 20)
    weights = net.state_dict()
    images = torch.rand(4, 3, 20, 20)
    x, index = images, 0
    for number in range(8):
        bias = weights.get(f"features.{index}.bias")
        assert (bias is None) == (number > 0), "only the convolution without batch norm has a bias"
        x = F.conv2d(x, weights[f"features.{index}.weight"], bias, 1 + number % 2, 1)
        if number:
            index += 1
            mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), False, keepdim=True)
            weight, bias = (
                weights[f"features.{index}.{name}"].view(1, -1, 1, 1) for name in ("weight", "bias")
            )
            x = (x - mean) / (var + 1e-5).sqrt() * weight + bias
        x = torch.where(x > 0, x, 0.2 * x)
        index += 2
    assert x.shape[2:] == (2, 2)
    x = F.linear(x.flatten(1), weights["classifier.0.weight"], weights["classifier.0.bias"])
    x = torch.where(x > 0, x, 0.2 * x)
    x = F.linear(x, weights["classifier.2.weight"], weights["classifier.2.bias"])
    torch.testing.assert_close(net(images), x[:, 0], rtol=1e-4, atol=1e-5)


def gradients(net: nn.Module) -> list[torch.Tensor]:
    assert all(p.grad is not None for p in net.parameters())
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_two_calls_before_one_backward_keep_their_gradients() -> None:
    # As in the discriminator's step; in-place layers or reused buffers would break it.
    net = build_discriminator(SMALL, 16)
    real, fake = torch.rand(2, 2, 3, 16, 16)
    net(real).sum().backward()
    for_real = gradients(net)
    net.zero_grad()
    net(fake).sum().backward()
    for_fake = gradients(net)
    net.zero_grad()
    (net(real).sum() + net(fake).sum()).backward()
    # DDP would wait for ever for a missing gradient, so every parameter must have one.
    for both, one, other in zip(gradients(net), for_real, for_fake, strict=True):
        torch.testing.assert_close(both, one + other)


def test_the_gradient_reaches_the_images() -> None:
    net = build_discriminator(SMALL, 16)
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    net(images).sum().backward()
    assert images.grad is not None
    assert images.grad.any()


def test_patches_of_another_size_are_refused_with_both_sizes() -> None:
    net = build_discriminator(SMALL, 16)
    with pytest.raises(ValueError, match=r"\(N, 3, 16, 16\), got shape \(2, 3, 24, 24\)"):
        net(torch.rand(2, 3, 24, 24))


def test_8_bit_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"floats in \[−1, 1\], got torch.uint8"):
        build_discriminator(SMALL, 16)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))


def test_one_patch_too_small_for_batch_norm_is_refused_only_in_training() -> None:
    net = build_discriminator(SMALL, 16)
    with pytest.raises(ValueError, match="one patch of 16 pixels a side leaves batch norm"):
        net(torch.rand(1, 3, 16, 16))
    assert net.eval()(torch.rand(1, 3, 16, 16)).shape == (1,)
    assert build_discriminator(SMALL, 17)(torch.rand(1, 3, 17, 17)).shape == (1,)


def test_a_patch_size_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="patch_size must be positive, got 0"):
        build_discriminator(SMALL, 0)
