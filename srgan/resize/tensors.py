"""MATLAB's bicubic resizing of batches of tensors, and the degradation HR → LR of section 3.2.

Kernel, positions and borders are those of `srgan.resize.arrays`. `upsample` is the linear operator
without clamping for float tensors, `Degradation` shrinks windows of photos.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.precision import ieee_fp32
from srgan.resize.arrays import cubic


def _reach(scale: int) -> tuple[int, int]:
    """First and last HR pixel that LR pixel 0 depends on, relative to the first of its square."""
    centre = (scale - 1) / 2
    return math.ceil(centre - 2 * scale), math.floor(centre + 2 * scale)


# Both kernels are computed at each call, which takes about 30 µs. A cache would hand tensors made
# under inference mode, under tracing or on another device to calls that cannot use them.


def _shrinking_kernel(scale: int, image: Tensor) -> Tensor:
    """Weights (taps,) of any LR pixel over its HR pixels `_reach(scale)`."""
    first, last = _reach(scale)
    offset = torch.arange(first, last + 1, dtype=torch.float32, device=image.device)
    weights = cubic((offset - (scale - 1) / 2) / scale)
    return (weights / weights.sum()).to(image.dtype)


def _growing_kernel(scale: int, image: Tensor) -> Tensor:
    """Weights (scale², 1, 5, 5) of the 5×5 LR pixels around a pixel in each of its HR pixels."""
    phase = torch.arange(scale, dtype=torch.float32, device=image.device)
    centre = (phase + 0.5) / scale - 0.5
    offset = torch.arange(-2, 3, dtype=torch.float32, device=image.device)
    weights = cubic(centre[:, None] - offset)
    kernel = weights[:, None, :, None] * weights[None, :, None, :]
    return kernel.reshape(scale**2, 1, 5, 5).to(image.dtype)


def _mirrored(image: Tensor, dim: int, first: int, last: int) -> Tensor:
    """Take pixels first … last of one axis, mirrored beyond the borders; sides of any length."""
    length = image.shape[dim]
    index = torch.arange(first, last + 1, device=image.device)
    # A tensor of periods, because ONNX would make a remainder by a number constant.
    index = index % torch.full_like(index, 2 * length)
    return image.index_select(dim, torch.where(index < length, index, 2 * length - 1 - index))


def _convolve(image: Tensor, kernel: Tensor, stride: tuple[int, int] = (1, 1)) -> Tensor:
    """Valid convolution of (N, 1, H, W) in the image's own precision, also under autocast.

    Float32 is IEEE's, not TF32 (except in a compiled network, where switches cannot be traced).
    """
    if torch.compiler.is_compiling():
        return _convolve_alone(image, kernel, stride)
    with ieee_fp32():
        return _convolve_alone(image, kernel, stride)


def _convolve_alone(image: Tensor, kernel: Tensor, stride: tuple[int, int]) -> Tensor:
    device = image.device.type
    if not torch.is_autocast_enabled(device):
        return F.conv2d(image, kernel, stride=stride)
    # bf16 has 8 bits of mantissa, so a bicubic image would be off by whole levels.
    with torch.autocast(device, enabled=False):
        return F.conv2d(image, kernel, stride=stride)


def upsample(lr: Tensor, scale: int) -> Tensor:
    """Enlarge (N, C, h, w) to (N, C, scale · h, scale · w), bicubic.

    Floats of any range; nothing is clamped or rounded. Differentiable. An output pixel depends on
    the 5×5 input pixels around its own.
    """
    if lr.ndim != 4 or not lr.is_floating_point():
        raise ValueError(
            f"lr must be a float tensor (N, C, H, W), got {lr.dtype} {tuple(lr.shape)}"
        )
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}")
    N, C, h, w = lr.shape
    image = lr.reshape(N * C, 1, h, w)
    image = _mirrored(_mirrored(image, 2, -2, h + 1), 3, -2, w + 1)
    image = F.pixel_shuffle(_convolve(image, _growing_kernel(scale, image)), scale)
    return image.reshape(N, C, scale * h, scale * w)


class Degradation(nn.Module):
    """Make the LR–HR pairs of a training step from HR windows (section 3.2).

    Windows have `margin` more HR pixels on each side than the patch. Otherwise mirrored borders,
    which no real photo has there, would affect a third of a 24×24 LR patch.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"scale must be at least 1, got {scale}")
        self.scale = scale
        self.margin = 2 * scale
        """HR pixels on each side; a multiple of `scale` that covers the kernel."""

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, 3, P + 2m, P + 2m) → LR float [0, 1] (N, 3, P/s, P/s), HR float [−1, 1].

        LR equals this part of the whole photo after `imresize`, including the rounding to 8 bits.
        """
        N, C, H, W = self._check(windows)
        first, last = _reach(self.scale)
        start, trim = self.margin + first, self.margin + self.scale - 1 - last
        image = windows[:, :, start : H - trim, start : W - trim].float()
        kernel = _shrinking_kernel(self.scale, image)
        image = image.reshape(N * C, 1, *image.shape[2:])
        image = _round(_convolve(image, kernel.view(1, 1, -1, 1), (self.scale, 1)))
        image = _round(_convolve(image, kernel.view(1, 1, 1, -1), (1, self.scale)))
        lr = image.reshape(N, C, *image.shape[2:]) / 255
        m = self.margin
        hr = windows[:, :, m : H - m, m : W - m].float() / 127.5 - 1
        return lr, hr

    def _check(self, windows: Tensor) -> tuple[int, int, int, int]:
        if windows.dtype != torch.uint8 or windows.ndim != 4 or windows.shape[1] != 3:
            raise ValueError(
                "windows must be a uint8 tensor (N, 3, H, W), "
                f"got {windows.dtype} {tuple(windows.shape)}"
            )
        N, C, H, W = windows.shape
        if min(H, W) <= 2 * self.margin or (H % self.scale) or (W % self.scale):
            raise ValueError(
                f"windows of {H}×{W} pixels leave no patch divisible by scale {self.scale} "
                f"within a margin of {self.margin} on each side"
            )
        return N, C, H, W


def _round(image: Tensor) -> Tensor:
    """Round to levels 0 … 255, halves up as MATLAB does (torch.round rounds them to even)."""
    return (image + 0.5).floor_().clamp_(0, 255)
