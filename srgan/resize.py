"""MATLAB-compatible bicubic resizing and the degradation HR → LR of section 3.2.

`imresize` is the reference for 8-bit images. `resample` does the same for any size and for 16 bits,
`Degradation` for batches of windows, and `upsample` is the linear operator without clamping for
float tensors. All of them take u = (x + 0.5) / scale − 0.5 as the source position of the output
pixel x and the cubic kernel with a = −0.5, widened by 1 / scale if the image shrinks. They mirror
the image at its borders (the border pixel itself is repeated).
"""

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

_BLOCK_VALUES = 2**18  # float64 values per block of rows: few enough to stay in the cache


_Array = TypeVar("_Array", NDArray[np.float64], Tensor)


def _cubic(distance: _Array) -> _Array:
    """Keys' kernel with a = −0.5."""
    x = abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return near * (x <= 1) + far * ((x > 1) & (x < 2))


def _mirror(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Mirror indices at the borders: …2 1 0 | 0 1 2…, however far outside they are."""
    index = index % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def _taps(
    length: int, num_rows: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights and source rows, both (`num_rows`, taps), of one pass over `length` rows."""
    shrink = min(scale, 1.0)
    reach = 2 / shrink
    centre = (np.arange(num_rows) + 0.5) / scale - 0.5
    first = np.floor(centre - reach).astype(np.int64)
    rows = first[:, None] + np.arange(math.ceil(2 * reach) + 2)
    weights = _cubic((centre[:, None] - rows) * shrink)
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights.any(axis=0)
    return weights[:, used], _mirror(rows[:, used], length)


def _resize_rows(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Resize the first axis of (rows, …) and round half up to 8 bits."""
    weights, rows = _taps(image.shape[0], math.ceil(image.shape[0] * scale), scale)
    flat = image.reshape(image.shape[0], -1)
    result = np.empty((len(rows), flat.shape[1]), np.uint8)
    block = max(1, _BLOCK_VALUES // max(1, flat.shape[1]))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        total = np.full((len(rows[part]), flat.shape[1]), 0.5)
        for tap in range(weights.shape[1]):
            total += weights[part, tap, None] * flat[rows[part, tap]]
        np.floor(total, out=total)
        result[part] = np.clip(total, 0, 255, out=total)
    return result.reshape(len(rows), *image.shape[1:])


def imresize(image: NDArray[np.uint8], *, scale: float) -> NDArray[np.uint8]:
    """Resize a uint8 image (H, W) or (H, W, C) as MATLAB's ``imresize(image, scale)`` does.

    Bicubic with antialiasing when shrinking, symmetric borders, rounded to 8 bits after the
    vertical pass and again after the horizontal one. The result has ceil(scale · side) pixels.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"expected a uint8 image (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive number, got {scale}")
    tall = _resize_rows(image, scale)
    turned = _resize_rows(np.ascontiguousarray(tall.swapaxes(0, 1)), scale)
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def resample(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Resize a uint8 or uint16 image (H, W) or (H, W, C) to any size, in the same type.

    The same operator as `imresize` (bicubic, antialiased where it shrinks, symmetric borders),
    rounded once at the end and not between the passes.
    """
    result = np.empty((height, width, *image.shape[2:]), image.dtype)
    for rows, values in resample_blocks(image, height, width):
        result[rows] = values
    return result


def resample_blocks(
    image: NDArray[Any], height: int, width: int
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the result some rows at a time with their place, for results larger than memory."""
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"expected a uint8 or uint16 image (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1, got {height} and {width}")
    num_rows, num_columns = image.shape[:2]
    row_weights, rows = _taps(num_rows, height, height / num_rows)
    column_weights, columns = _taps(num_columns, width, width / num_columns)
    most = np.iinfo(image.dtype).max
    block = max(1, _BLOCK_VALUES // (max(num_columns, width) * math.prod(image.shape[2:])))
    for start in range(0, height, block):
        part = slice(start, start + block)
        tall = _weighted(image, row_weights[part], rows[part])
        wide = _weighted(tall.swapaxes(0, 1), column_weights, columns).swapaxes(0, 1)
        levels = np.clip(np.floor(wide + 0.5), 0, most).astype(image.dtype)
        yield slice(start, start + len(levels)), levels


def _weighted(
    image: NDArray[Any], weights: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weighted sums over the taps of the first axis of (rows, …)."""
    total = np.zeros((len(rows), *image.shape[1:]))
    spread = weights.reshape(*weights.shape, *(1 for _ in image.shape[1:]))
    for tap in range(weights.shape[1]):
        total += spread[:, tap] * image[rows[:, tap]]
    return total


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
    weights = _cubic((offset - (scale - 1) / 2) / scale)
    return (weights / weights.sum()).to(image.dtype)


def _growing_kernel(scale: int, image: Tensor) -> Tensor:
    """Weights (scale², 1, 5, 5) of the 5×5 LR pixels around a pixel in each of its HR pixels."""
    phase = torch.arange(scale, dtype=torch.float32, device=image.device)
    centre = (phase + 0.5) / scale - 0.5
    offset = torch.arange(-2, 3, dtype=torch.float32, device=image.device)
    weights = _cubic(centre[:, None] - offset)
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
    """Valid convolution of (N, 1, H, W) in the image's own precision, also under autocast."""
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
