"""The sub-pixel shuffle: the values of torch's, and the memory format that it keeps."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.inference.folding import folded
from srgan.models.base import Generator
from srgan.models.shuffle import pixel_shuffle, shuffle_innermost
from tests.support.networks import random_generator


def is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("shuffle", [pixel_shuffle, shuffle_innermost])
def test_values_gradients_and_format_are_those_of_torch_on_a_cpu(shuffle, factor: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 5 * factor**2, 6, 7).to(memory_format=torch.channels_last)
    weight = torch.randn(2, 5, 6 * factor, 7 * factor)
    found, expected = [], []
    for results, compute in ((found, shuffle), (expected, F.pixel_shuffle)):
        leaf = features.clone(memory_format=torch.preserve_format).requires_grad_()
        result = compute(leaf, factor)
        (weight * result).sum().backward()
        assert is_channels_last(result)
        results += [result.detach(), leaf.grad]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.fixture
def pretended_gpu() -> Iterator[None]:
    """Tensors without values, on a GPU that need not be there."""
    with FakeTensorMode():
        yield


def test_torch_itself_loses_the_format_on_a_gpu(pretended_gpu: None) -> None:
    features = torch.empty(2, 16, 6, 7, device="cuda", memory_format=torch.channels_last)
    assert not is_channels_last(F.pixel_shuffle(features, 2)), "then ours is not needed any more"
    assert is_channels_last(pixel_shuffle(features, 2))
    outermost = features.contiguous(memory_format=torch.contiguous_format)
    assert not is_channels_last(pixel_shuffle(outermost, 2)), "the caller's choice"


def move_to_pretended_gpu(network: nn.Module) -> None:
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            there = torch.empty_like(parameter, device="cuda")
            setattr(module, name, nn.Parameter(there, requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty_like(buffer, device="cuda"))


def srresnet() -> Generator:
    return random_generator(GeneratorConfig(kind="srresnet", num_blocks=1, num_channels=8))


@pytest.mark.parametrize(
    "make",
    [
        srresnet,
        lambda: folded(srresnet()),
        lambda: random_generator(
            GeneratorConfig(kind="msrresnet", scale=4, num_blocks=1, num_channels=8)
        ),
    ],
    ids=["SRResNet", "folded", "MSRResNet"],
)
def test_every_layer_of_a_network_keeps_the_channels_innermost_on_a_gpu(make) -> None:
    generator = make().to(memory_format=torch.channels_last)
    seen: list[tuple[str, bool]] = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        move_to_pretended_gpu(generator)
        for name, module in generator.named_modules():
            module.register_forward_hook(
                lambda _, __, result, name=name: seen.append((name, is_channels_last(result)))
            )
        lr = torch.empty(1, 3, 6, 7, device="cuda", memory_format=torch.channels_last)
        generator(lr)
    assert len(seen) > 5
    assert [name for name, kept in seen if name and not kept] == []
