"""MSRResNet, RRDBNet and SRVGG, whose public weights can be loaded, written out."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srgan.config import GeneratorConfig, Scale
from srgan.models.build import build_generator
from tests.support.networks import random_generator


def convolve(weights: dict[str, Tensor]) -> Callable[[Tensor, str], Tensor]:
    return lambda x, name: F.conv2d(
        x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
    )


@pytest.mark.parametrize(
    ("scale", "expected"),
    # entry, 16 blocks, both last convolutions, and one or two stages of 64·9·64·f² + 64·f²
    [(2, 1_222_147 + 147_712), (3, 1_222_147 + 332_352), (4, 1_222_147 + 2 * 147_712)],
)
def test_msrresnet_has_basicsrs_number_of_parameters(scale: Scale, expected: int) -> None:
    net = build_generator(GeneratorConfig(kind="msrresnet", scale=scale))
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


def test_msrresnet_x4_has_1517571_parameters() -> None:
    net = build_generator(GeneratorConfig(kind="msrresnet"))
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_517_571


def test_rrdbnet_has_16697987_parameters_and_reaches_349_pixels() -> None:
    with torch.device("meta"):
        net = build_generator(GeneratorConfig(kind="rrdbnet"))
    assert sum(parameter.numel() for parameter in net.parameters()) == 16_697_987
    assert net.radius == 349


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_msrresnet_is_basicsrs_written_out(scale: Scale) -> None:
    config = GeneratorConfig(kind="msrresnet", scale=scale, num_blocks=2, num_channels=4)
    net, lr = random_generator(config), torch.rand(1, 3, 7, 5)
    conv = convolve(net.state_dict())
    x = F.leaky_relu(conv(lr, "conv_first"), 0.1)
    for block in ("body.0", "body.1"):
        x = x + conv(conv(x, f"{block}.conv1").relu(), f"{block}.conv2")
    for stage, factor in {2: [("upconv1", 2)], 3: [("upconv1", 3)]}.get(
        scale, [("upconv1", 2), ("upconv2", 2)]
    ):
        x = F.leaky_relu(F.pixel_shuffle(conv(x, stage), factor), 0.1)
    x = conv(F.leaky_relu(conv(x, "conv_hr"), 0.1), "conv_last")
    x = x + F.interpolate(lr, scale_factor=scale, mode="bilinear")
    torch.testing.assert_close(net(lr), 2 * x - 1, rtol=1e-4, atol=1e-5)


def test_rrdbnet_is_esrgans_written_out() -> None:
    net = random_generator(GeneratorConfig(kind="rrdbnet", num_blocks=2, num_channels=4))
    lr = torch.rand(1, 3, 7, 5)
    conv = convolve(net.state_dict())

    def dense(x: Tensor, name: str) -> Tensor:
        made = [x]
        for index in (1, 2, 3, 4):
            made.append(F.leaky_relu(conv(torch.cat(made, 1), f"{name}.conv{index}"), 0.2))
        return 0.2 * conv(torch.cat(made, 1), f"{name}.conv5") + x

    start = x = conv(lr, "conv_first")
    for block in ("body.0", "body.1"):
        inner = x
        for part in ("rdb1", "rdb2", "rdb3"):
            inner = dense(inner, f"{block}.{part}")
        x = 0.2 * inner + x
    x = start + conv(x, "conv_body")
    for stage in ("conv_up1", "conv_up2"):
        x = F.leaky_relu(conv(x.repeat_interleave(2, 2).repeat_interleave(2, 3), stage), 0.2)
    x = conv(F.leaky_relu(conv(x, "conv_hr"), 0.2), "conv_last")
    torch.testing.assert_close(net(lr), 2 * x - 1, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_srvgg_is_real_esrgans_written_out(scale: Scale) -> None:
    config = GeneratorConfig(kind="srvgg", scale=scale, num_blocks=2, num_channels=4)
    net, lr = random_generator(config), torch.rand(1, 3, 7, 5)
    weights = net.state_dict()
    for slopes in ("body.1.weight", "body.3.weight", "body.5.weight"):
        weights[slopes].uniform_(-0.5, 0.5)
    conv = convolve(weights)
    x = lr
    for layer in (0, 2, 4):
        x = F.prelu(conv(x, f"body.{layer}"), weights[f"body.{layer + 1}.weight"])
    x = F.pixel_shuffle(conv(x, "body.6"), scale)
    x = x + lr.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    torch.testing.assert_close(net(lr), 2 * x - 1, rtol=1e-4, atol=1e-5)


def test_srvgg_has_621424_parameters_and_reaches_18_pixels() -> None:
    with torch.device("meta"):
        net = build_generator(GeneratorConfig(kind="srvgg"))
    assert sum(parameter.numel() for parameter in net.parameters()) == 621_424
    assert net.radius == 18


@pytest.mark.parametrize("kind", ["msrresnet", "rrdbnet", "srvgg"])
def test_every_weight_learns_at_once(kind: str) -> None:
    torch.manual_seed(0)
    config = GeneratorConfig.model_validate({"kind": kind, "num_blocks": 1, "num_channels": 8})
    net = build_generator(config)
    F.l1_loss(net(torch.rand(2, 3, 8, 8)), torch.rand(2, 3, 32, 32)).backward()  # type: ignore[no-untyped-call]
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []
