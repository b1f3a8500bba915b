"""A PReLU with a fast backward pass against torch's own."""

import pytest
import torch
from torch import nn

from srgan.models.srresnet import SharedPReLU


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
def test_it_is_torchs_own_to_the_bit(
    layout: torch.memory_format, dtype: torch.dtype, autocast: bool
) -> None:
    random = torch.Generator().manual_seed(0)
    features, gradient = (
        torch.randn(3, 8, 9, 10, generator=random).to(dtype).to(memory_format=layout)
        for _ in range(2)
    )
    features[0, 0, 0] = 0  # where torch takes the slope
    ours, torchs = SharedPReLU(), nn.PReLU()
    if not autocast:
        ours, torchs = ours.to(dtype), torchs.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found, expected = (passes(layer, features, gradient) for layer in (ours, torchs))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
