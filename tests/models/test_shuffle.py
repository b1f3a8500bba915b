"""The sub-pixel shuffle: the values of torch's, and the memory format that it keeps."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.inference.folding import folded
from srgan.models import shuffle
from srgan.models.base import Generator
from srgan.models.shuffle import pixel_shuffle, shuffle_innermost
from tests.support.networks import random_generator


def is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("compute", [pixel_shuffle, shuffle_innermost])
def test_values_gradients_and_format_are_those_of_torch_on_a_cpu(
    compute: Callable[[Tensor, int], Tensor], factor: int
) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 5 * factor**2, 6, 7).to(memory_format=torch.channels_last)
    weight = torch.randn(2, 5, 6 * factor, 7 * factor)
    found, expected = [], []
    for results, shuffled in ((found, compute), (expected, F.pixel_shuffle)):
        leaf = features.clone(memory_format=torch.preserve_format).requires_grad_()
        result = shuffled(leaf, factor)
        (weight * result).sum().backward()
        assert is_channels_last(result)
        results += [result.detach(), leaf.grad]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


# Tensors on torch's device "meta" have no values, and the formats that they would have on a GPU.
def test_torch_itself_loses_the_format_on_a_gpu() -> None:
    features = torch.empty(2, 16, 6, 7, device="meta", memory_format=torch.channels_last)
    assert not is_channels_last(F.pixel_shuffle(features, 2)), "then ours is not needed any more"
    assert is_channels_last(pixel_shuffle(features, 2))
    outermost = torch.empty(2, 16, 6, 7, device="meta")
    assert not is_channels_last(pixel_shuffle(outermost, 2)), "the caller's choice"


def network(kind: str) -> Generator:
    config = {"kind": kind, "scale": 4, "num_blocks": 1, "num_channels": 8}
    return random_generator(GeneratorConfig.model_validate(config))


@pytest.mark.parametrize(
    ("make", "num"),
    [
        (lambda: network("srresnet"), 2),
        (lambda: folded(network("srresnet")), 2),
        (lambda: network("msrresnet"), 2),
        (lambda: network("bicubic_resnet"), 1),
    ],
    ids=["SRResNet", "folded", "MSRResNet", "BicubicResNet"],
)
def test_networks_with_many_channels_use_it(
    make: Callable[[], Generator], num: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(features: Tensor, factor: int) -> Tensor:
        calls.append(factor)
        return F.pixel_shuffle(features, factor)

    generator = make()
    monkeypatch.setattr(shuffle, "F", SimpleNamespace(pixel_shuffle=counted))
    generator(torch.rand(1, 3, 6, 7))
    assert len(calls) == num
