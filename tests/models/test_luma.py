"""SRCNN, FSRCNN and ESPCN against their papers, written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srgan.config import GeneratorConfig, Scale
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interpolation import Bicubic
from srgan.resize.tensors import upsample
from tests.support.networks import random_generator

KINDS = ["srcnn", "fsrcnn", "espcn"]


def net_of(kind: str, scale: Scale = 4) -> Generator:
    return random_generator(GeneratorConfig.model_validate({"kind": kind, "scale": scale}))


def luma_of(rgb: Tensor) -> Tensor:
    return rgb[:, 0:1] * 0.299 + rgb[:, 1:2] * 0.587 + rgb[:, 2:3] * 0.114


@pytest.mark.parametrize(
    ("kind", "scale", "num_weights", "num_other"),
    [
        # 81·64 + 64·32 + 25·32; a bias per map
        ("srcnn", 2, 8_032, 64 + 32 + 1),
        ("srcnn", 4, 8_032, 64 + 32 + 1),
        # 25·56 + 56·12 + 4·9·12·12 + 12·56 + 81·56; a bias and, except in the last, a slope per map
        ("fsrcnn", 2, 12_464, 2 * (56 + 12 + 4 * 12 + 56) + 1),
        ("fsrcnn", 4, 12_464, 2 * (56 + 12 + 4 * 12 + 56) + 1),
        # 25·64 + 9·64·32 + 9·32·s²
        ("espcn", 2, 20_032 + 288 * 4, 64 + 32 + 4),
        ("espcn", 3, 20_032 + 288 * 9, 64 + 32 + 9),
        ("espcn", 4, 20_032 + 288 * 16, 64 + 32 + 16),
    ],
)
def test_the_number_of_weights_is_the_papers(
    kind: str, scale: Scale, num_weights: int, num_other: int
) -> None:
    net = build_generator(GeneratorConfig.model_validate({"kind": kind, "scale": scale}))
    sizes = [(parameter.ndim, parameter.numel()) for parameter in net.parameters()]
    assert sum(size for ndim, size in sizes if ndim == 4) == num_weights
    assert sum(size for ndim, size in sizes if ndim != 4) == num_other


def written_out(kind: str, luma: Tensor, weights: dict[str, Tensor], scale: int) -> Tensor:
    """Compute the network of the paper from its layers."""

    def conv(x: Tensor, name: str) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    if kind == "srcnn":
        x = conv(upsample(luma, scale), "extraction").relu()
        return conv(conv(x, "mapping").relu(), "reconstruction")
    if kind == "espcn":
        x = conv(conv(luma, "layers.0").tanh(), "layers.2").tanh()
        return F.pixel_shuffle(conv(x, "exit"), scale)
    x = luma
    for layer in range(0, 14, 2):
        x = F.prelu(conv(x, f"layers.{layer}"), weights[f"layers.{layer + 1}.weight"])
    # Each LR pixel paints 9×9 HR pixels around its square; where they overlap, they add up.
    weight, reach = weights["deconvolution.weight"], (9 - scale + 1) // 2
    canvas = torch.zeros(1, 1, x.shape[2] * scale + 16, x.shape[3] * scale + 16)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            top, left = row * scale - reach + 8, column * scale - reach + 8
            patch = torch.einsum("c,cij->ij", x[0, :, row, column], weight[:, 0])
            canvas[0, 0, top : top + 9, left : left + 9] += patch
    return canvas[:, :, 8:-8, 8:-8] + weights["deconvolution.bias"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_luma_goes_through_the_network_of_the_paper(kind: str, scale: Scale) -> None:
    net, lr = net_of(kind, scale), torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        expected = written_out(kind, luma_of(lr), net.state_dict(), scale)
        luma = luma_of((net(lr) + 1) / 2)
    torch.testing.assert_close(luma, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_those_of_bicubic(kind: str) -> None:
    net, lr = net_of(kind), torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        sr, bicubic = (net(lr) + 1) / 2, (Bicubic(4)(lr) + 1) / 2
    for channel in (0, 2):  # Cr and Cb up to a factor
        torch.testing.assert_close(
            sr[:, channel : channel + 1] - luma_of(sr),
            bicubic[:, channel : channel + 1] - luma_of(bicubic),
            rtol=0,
            atol=1e-5,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_gray_image_stays_gray(kind: str) -> None:
    with torch.no_grad():
        sr = net_of(kind)(torch.rand(1, 1, 5, 6).expand(1, 3, 5, 6))
    assert float((sr - sr.mean(1, keepdim=True)).abs().max()) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns_within_two_steps(kind: str) -> None:
    torch.manual_seed(0)
    net = build_generator(GeneratorConfig.model_validate({"kind": kind}))
    lr, hr = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 32, 32)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(net(lr), hr).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_fsrcnn_has_one_slope_per_map() -> None:
    slopes = [m.num_parameters for m in net_of("fsrcnn").modules() if isinstance(m, nn.PReLU)]
    assert slopes == [56, 12, 12, 12, 12, 12, 56]
