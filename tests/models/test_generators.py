from itertools import pairwise
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srgan.config import GeneratorConfig, Scale
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interpolation import Bicubic, Bilinear, Nearest
from srgan.models.srresnet import SharedPReLU, SRResNet
from srgan.resize.tensors import upsample
from tests.support.networks import random_generator

SCALES = get_args(Scale)
SMALL_SCALES: tuple[Scale, ...] = (2, 3, 4)


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def every_generator() -> list[Generator]:
    learned = [
        random_generator(GeneratorConfig(kind=kind, scale=scale, num_blocks=2, num_channels=6))
        for kind in ("srresnet", "bicubic_resnet", "bicubic_span")
        for scale in SCALES
    ]
    learned += [
        random_generator(GeneratorConfig.model_validate({"kind": kind, "scale": scale}))
        for kind in ("srcnn", "fsrcnn", "espcn")
        for scale in SMALL_SCALES
    ]
    learned += [
        random_generator(
            GeneratorConfig(kind="msrresnet", scale=scale, num_blocks=2, num_channels=6)
        )
        for scale in SMALL_SCALES
    ]
    learned.append(random_generator(GeneratorConfig(kind="rrdbnet", num_blocks=1, num_channels=6)))
    learned += [
        random_generator(GeneratorConfig(kind="srvgg", scale=scale, num_blocks=2, num_channels=6))
        for scale in SCALES
    ]
    return [*learned, Nearest(4), Bilinear(4), Bicubic(3), Bicubic(4)]


def repr_of(generator: Generator) -> str:
    return f"{type(generator).__name__}-x{generator.scale}"


GENERATORS = every_generator()
IDS = [repr_of(generator) for generator in GENERATORS]


@pytest.mark.parametrize(
    ("scale", "expected"),
    # 9×9 entry + PReLU, 16 blocks, bridge, sub-pixel stages, 9×9 exit, added up by hand:
    # 15,617 + 16 · 73,985 + 36,992 + stages + 15,555.
    [
        (2, 1_251_924 + 147_713),
        (3, 1_251_924 + 332_353),
        (4, 1_251_924 + 2 * 147_713),
        (8, 1_251_924 + 3 * 147_713),
    ],
)
def test_srresnet_has_the_papers_number_of_parameters(scale: Scale, expected: int) -> None:
    assert num_parameters(SRResNet(GeneratorConfig(scale=scale))) == expected


def test_bicubic_span_has_the_stated_number_of_parameters() -> None:
    config = GeneratorConfig(kind="bicubic_span", num_blocks=4, num_channels=48)
    assert num_parameters(build_generator(config)) == 301_584


def test_the_attention_of_span_has_no_parameters_and_damps_weak_features() -> None:
    """Worked out by hand with convolutions that pass one value on: O = SiLU(SiLU(x))."""
    net = build_generator(GeneratorConfig(kind="bicubic_span", num_blocks=1, num_channels=1))
    block = net.blocks[0]  # type: ignore[index]  # a ModuleList
    for convolution in (block.conv1, block.conv2, block.conv3):
        nn.init.dirac_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    features, first = block(torch.tensor([0.0, 0.1, 3.0]).view(1, 1, 1, 3))
    torch.testing.assert_close(first.flatten(), torch.tensor([0.0, 0.1, 3.0]))
    torch.testing.assert_close(
        features.flatten(), torch.tensor([0.0, 0.00085480, 2.49306]), rtol=1e-4, atol=1e-7
    )


def test_span_joins_its_entry_its_end_its_first_block_and_the_last_blocks_first_convolution() -> (
    None
):
    """Figure 2 of Wan et al. 2024, with the network's own convolutions."""
    net = build_generator(GeneratorConfig(kind="bicubic_span", num_blocks=3, num_channels=4))
    lr = torch.rand(1, 3, 7, 9)
    entry = net.entry(lr)  # type: ignore[operator]  # modules of `BicubicSPAN`
    features, of_blocks = entry, []
    for block in net.blocks:  # type: ignore[union-attr]  # as above
        features, first = block(features)
        of_blocks.append((features, first))
    joined = [entry, net.last(features), of_blocks[0][0], of_blocks[-1][1]]  # type: ignore[operator]
    torch.testing.assert_close(net.trunk(lr), net.join(torch.cat(joined, 1)))  # type: ignore[operator]


def test_srresnet_x4_has_1547350_parameters() -> None:
    assert num_parameters(build_generator(GeneratorConfig())) == 1_547_350


@pytest.mark.parametrize(
    ("scale", "expected"), [(2, 339_084), (3, 345_579), (4, 354_672), (8, 417_024)]
)
def test_bicubic_resnet_has_the_stated_number_of_parameters(scale: Scale, expected: int) -> None:
    config = GeneratorConfig(kind="bicubic_resnet", scale=scale, num_blocks=8, num_channels=48)
    entry, blocks = 3 * 48 * 9 + 48, 8 * 2 * (48 * 48 * 9 + 48)
    exit_ = 48 * 9 * 3 * scale**2 + 3 * scale**2
    assert num_parameters(build_generator(config)) == entry + blocks + exit_ == expected


def test_convolutions_before_batch_norm_carry_no_bias() -> None:
    modules = list(SRResNet(GeneratorConfig(num_blocks=2)).modules())
    before = [one for one, after in pairwise(modules) if isinstance(after, nn.BatchNorm2d)]
    assert len(before) == 5
    assert all(isinstance(conv, nn.Conv2d) and conv.bias is None for conv in before)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_srresnet_is_the_network_of_figure_4_written_out(scale: Scale) -> None:
    net = random_generator(GeneratorConfig(scale=scale, num_blocks=2, num_channels=4))
    weights = net.state_dict()
    lr = torch.rand(1, 3, 7, 5)

    def conv(x: torch.Tensor, name: str) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var = (
            weights[f"{name}.running_{part}"].view(1, -1, 1, 1) for part in ("mean", "var")
        )
        weight, bias = (weights[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))
        result: torch.Tensor = (x - mean) / (var + 1e-5).sqrt() * weight + bias
        return result

    def prelu(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.where(x > 0, x, weights[f"{name}.weight"] * x)

    start = x = prelu(conv(lr, "entry.0"), "entry.1")
    for block in ("blocks.0.body", "blocks.1.body"):
        inner = prelu(norm(conv(x, f"{block}.0"), f"{block}.1"), f"{block}.2")
        x = x + norm(conv(inner, f"{block}.3"), f"{block}.4")
    x = start + norm(conv(x, "bridge.0"), "bridge.1")
    for stage, factor in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[scale]):
        x = F.pixel_shuffle(conv(x, f"upsampling.{stage}.0"), factor)
        x = prelu(x, f"upsampling.{stage}.2")
    torch.testing.assert_close(net(lr), conv(x, "exit"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("generator", GENERATORS, ids=IDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 3)])
def test_output_is_scale_times_as_large(generator: Generator, size: tuple[int, int]) -> None:
    sr = generator(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, size[0] * generator.scale, size[1] * generator.scale)
    assert sr.dtype == torch.float32
    assert sr.isfinite().all()


def reach_of(generator: Generator, *, head_alone: bool) -> int:
    """Largest distance in LR pixels between an input value and an output that depends on it."""
    middle = generator.radius + 2
    side = 2 * middle + 1
    lr = torch.rand(1, 3, side, side)
    features = generator.trunk(lr).detach()
    # in double, so that no true dependence falls below the precision
    generator.double()
    lr, features = (x.double().requires_grad_() for x in (lr, features))
    sr = generator.head(features, lr) if head_alone else generator(lr)
    s = generator.scale
    centre = sr[..., middle * s : (middle + 1) * s, middle * s : (middle + 1) * s]
    inputs = (features, lr) if head_alone else (lr,)
    weighted = (centre * torch.rand_like(centre)).sum()
    gradients = torch.autograd.grad(weighted, inputs, allow_unused=True)
    generator.float()
    touched = torch.cat([g.abs().amax((0, 1)).nonzero() for g in gradients if g is not None])
    return int((touched - middle).abs().max())


@pytest.mark.parametrize("generator", GENERATORS, ids=IDS)
def test_nothing_beyond_the_stated_radius_reaches_the_output(generator: Generator) -> None:
    # One more than needed if bicubic reaches further than the convolution of the head.
    convolution = {
        "BicubicResNet": 1,
        "BicubicSPAN": 1,
        "ESPCN": 1,
        "FSRCNN": 2 if generator.scale == 2 else 1,
    }
    slack = generator.head_radius - convolution.get(type(generator).__name__, generator.head_radius)
    assert reach_of(generator, head_alone=False) == generator.radius - slack


@pytest.mark.parametrize("generator", GENERATORS, ids=IDS)
def test_the_stated_head_radius_is_the_exact_reach_of_the_head(generator: Generator) -> None:
    assert reach_of(generator, head_alone=True) == generator.head_radius


def test_srresnet_of_the_paper_reaches_40_pixels() -> None:
    assert SRResNet(GeneratorConfig()).radius == 40


@pytest.mark.parametrize("kind", ["bicubic_resnet", "bicubic_span"])
@pytest.mark.parametrize("scale", SCALES)
def test_an_untrained_residual_over_bicubic_is_bicubic(kind: str, scale: Scale) -> None:
    net = build_generator(
        GeneratorConfig.model_validate({"kind": kind, "scale": scale, "num_blocks": 2})
    )
    lr = torch.rand(2, 3, 9, 4)
    assert torch.equal(net(lr), Bicubic(scale)(lr))
    assert torch.equal(net(lr), 2 * upsample(lr, scale) - 1)


@pytest.mark.parametrize("kind", ["bicubic_resnet", "bicubic_span"])
def test_every_weight_of_a_residual_over_bicubic_learns_after_its_first_step(kind: str) -> None:
    torch.manual_seed(0)
    net = build_generator(
        GeneratorConfig.model_validate({"kind": kind, "num_blocks": 2, "num_channels": 8})
    )
    lr, hr = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 32, 32)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        F.l1_loss(net(lr), hr).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("net", [net for net in GENERATORS if net.scale == 4], ids=repr_of)
def test_autocast_still_returns_float32(net: Generator) -> None:
    lr = torch.rand(1, 3, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sr = net(lr)
    assert sr.dtype == torch.float32
    torch.testing.assert_close(sr, net(lr), rtol=0, atol=0.06)


def test_bicubic_keeps_its_precision_under_autocast() -> None:
    lr = torch.rand(1, 3, 6, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sr = Bicubic(4)(lr)
    assert torch.equal(sr, Bicubic(4)(lr))


def test_interpolation_keeps_a_flat_image_flat() -> None:
    lr = torch.full((1, 3, 3, 4), 0.25)
    for generator in (Nearest(4), Bilinear(3), Bicubic(2)):
        sr = generator(lr)
        torch.testing.assert_close(sr, torch.full_like(sr, -0.5))


def test_nearest_repeats_each_pixel() -> None:
    lr = torch.rand(1, 3, 2, 3)
    expected = lr.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) * 2 - 1
    assert torch.equal(Nearest(2)(lr), expected)


@pytest.mark.parametrize("scale", SCALES)
def test_bilinear_is_the_usual_one(scale: Scale) -> None:
    lr = torch.rand(2, 3, 4, 5)
    expected = F.interpolate(lr, scale_factor=scale, mode="bilinear") * 2 - 1
    torch.testing.assert_close(Bilinear(scale)(lr), expected)


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        (torch.rand(3, 8, 8), r"\(3, 8, 8\)"),
        (torch.rand(1, 4, 8, 8), r"\(1, 4, 8, 8\)"),
        (torch.rand(1, 3, 0, 8), r"\(1, 3, 0, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "torch.uint8"),
        (torch.full((1, 3, 8, 8), 255.0), r"in \[0, 1\], got values from 255 to 255; divide"),
        (torch.full((1, 3, 8, 8), -1.0), r"in \[0, 1\], got values from -1 to -1"),
        (torch.full((1, 3, 8, 8), torch.nan), r"in \[0, 1\], got values from nan to nan"),
    ],
)
def test_a_tensor_that_is_not_an_lr_image_is_refused_by_shape_type_or_range(
    lr: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Bicubic(4).eval()(lr)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_an_lr_image_of_another_type_than_the_weights_is_refused(dtype: torch.dtype) -> None:
    generator = GENERATORS[0]
    lr = torch.rand(1, 3, 8, 8, dtype=dtype)
    with pytest.raises(ValueError, match=f"expected LR images as torch.float32, got {dtype}"):
        generator(lr)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert generator(lr.bfloat16()).isfinite().all()


def passes(
    layer: nn.Module, features: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Output, gradient of the input and gradient of the slope."""
    features = features.clone(memory_format=torch.preserve_format).requires_grad_()
    activated = layer(features)
    activated.backward(gradient)
    assert features.grad is not None
    assert layer.weight.grad is not None
    return activated.detach(), features.grad, layer.weight.grad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_the_shared_prelu_is_bit_identical_to_torchs(
    layout: torch.memory_format, dtype: torch.dtype, autocast: bool
) -> None:
    random = torch.Generator().manual_seed(0)
    features, gradient = (
        torch.randn(3, 8, 9, 10, generator=random).to(dtype).to(memory_format=layout)
        for _ in range(2)
    )
    features[0, 0, 0] = 0  # torch uses the slope here
    ours, torchs = SharedPReLU(), nn.PReLU()
    if not autocast:
        ours, torchs = ours.to(dtype), torchs.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found, expected = (passes(layer, features, gradient) for layer in (ours, torchs))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
