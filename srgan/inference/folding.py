"""Rewrite a network as the same function with fewer operations of better shapes, for inference.

Results differ from the network's only by rounding (about 1e-6 in fp32), so exact fp32 work does not
use it. Measured on SRResNet 16×64 in `docs/benchmarks.md`.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from srgan.models.base import Generator
from srgan.models.shuffle import PixelShuffle
from srgan.models.srresnet import SRResNet


def folded(generator: Generator) -> Generator:
    """Return a copy in eval mode that computes the same with less work.

    Batch norm goes into the convolution before it, a PReLU with one slope becomes an in-place leaky
    ReLU, and SRResNet's last shuffle moves after its 9×9 convolution.
    """
    result = copy.deepcopy(generator).eval()
    with torch.no_grad():
        for module in result.modules():
            if isinstance(module, nn.Sequential):
                _fold_sequence(module)
        if isinstance(result, SRResNet):
            _shuffle_last(result)
    return result


def _fold_sequence(layers: nn.Sequential) -> None:
    for index in range(len(layers)):
        layer, before = layers[index], layers[index - 1]
        if isinstance(layer, nn.BatchNorm2d) and index and isinstance(before, nn.Conv2d):
            layers[index - 1] = fuse_conv_bn_eval(before, layer)
            layers[index] = nn.Identity()
        elif isinstance(layer, nn.PReLU) and layer.num_parameters == 1 and index:
            # The layer before made this tensor for this layer only, so it may be overwritten.
            layers[index] = nn.LeakyReLU(float(layer.weight), inplace=True)


def _shuffle_last(network: SRResNet) -> None:
    """Move SRResNet's last shuffle after its last convolution.

    Three output channels fill only a fifth of a vector register, and reading 64 HR maps costs most.
    PReLU treats all values alike, so the shuffle may follow it, and then also the last convolution,
    if that is changed to work on unshuffled maps.
    """
    stage = network.upsampling[-1]
    assert isinstance(stage, nn.Sequential)
    shuffle = stage[1]
    assert isinstance(shuffle, nn.PixelShuffle)
    factor = shuffle.upscale_factor
    stage[1] = nn.Identity()
    network.exit = nn.Sequential(  # type: ignore[assignment]  # computes what the Conv2d did
        before_shuffle(network.exit, factor), PixelShuffle(factor)
    )


def before_shuffle(conv: nn.Conv2d, factor: int) -> nn.Conv2d:
    """Make the convolution P with shuffle(P(x)) = conv(shuffle(x)), for an odd "same" kernel.

    conv: (N, C, f·h, f·w) → (N, O, f·h, f·w), so P: (N, C·f², h, w) → (N, O·f², h, w).
    """
    f, reach = factor, conv.kernel_size[0] // 2
    if conv.kernel_size != (2 * reach + 1,) * 2 or conv.padding != (reach, reach):
        raise ValueError(
            f"expected a square odd kernel padded by half of its side, got {conv.kernel_size} "
            f"with padding {conv.padding}"
        )
    around = -(-reach // f)
    side = 2 * around + 1
    num_out, num_in = conv.weight.shape[:2]
    # The output pixel at phase a of its f×f square begins to read f·around − reach + a pixels after
    # the start of the window of side·f pixels: one shifted kernel for each phase.
    first = f * around - reach
    rows: list[Tensor] = []
    for a in range(f):
        for b in range(f):
            top, left = first + a, first + b
            rest = side * f - conv.kernel_size[0]
            rows.append(F.pad(conv.weight, (left, rest - left, top, rest - top)))
    weight = torch.stack(rows, 1).reshape(num_out * f * f, num_in, side, f, side, f)
    weight = weight.permute(0, 1, 3, 5, 2, 4).reshape(num_out * f * f, num_in * f * f, side, side)
    result = nn.Conv2d(
        num_in * f * f,
        num_out * f * f,
        side,
        padding=around,
        bias=conv.bias is not None,
        device=weight.device,
        dtype=weight.dtype,
    )
    result.weight.data.copy_(weight)
    if conv.bias is not None and result.bias is not None:
        result.bias.data.copy_(conv.bias.repeat_interleave(f * f))
    return result
