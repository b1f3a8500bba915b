"""Second-order degradation: two rounds of blur, resizing, noise and JPEG, and a sinc filter.

Wang et al. 2021, Real-ESRGAN (arXiv 2107.10833), section 3 and figure 2.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import RoundConfig, SecondOrderConfig
from srgan.config.degradation import reach
from srgan.degradation.chance import Chance
from srgan.degradation.jpeg import compress
from srgan.degradation.kernels import Kernel, draw_kernel, draw_sinc, kernel_weights
from srgan.degradation.noise import Noise, add_noise, draw_noise
from srgan.precision import ieee_fp32
from srgan.resize.tensors import Degradation

Mode = Literal["area", "bilinear", "bicubic"]
_MODES: dict[Mode, float] = {"area": 1 / 3, "bilinear": 1 / 3, "bicubic": 1 / 3}


@dataclass(frozen=True, slots=True)
class Round:
    """Parameters of one round for one patch; None leaves a step out."""

    kernel: Kernel | None
    factor: float | None
    mode: Mode
    noise: Noise | None
    jpeg_quality: int | None


@dataclass(frozen=True, slots=True)
class Damage:
    """Parameters of both rounds and of the end for one patch."""

    first: Round
    second: Round
    sinc: Kernel | None
    last_mode: Mode
    """Mode of the last resizing, to LR."""
    jpeg_last: bool
    """The second JPEG comes after the last resizing and the sinc filter, else before them."""

    def reach(self, scale: int) -> int:
        """HR pixels on each side of the patch that this damage uses."""
        kernels = (self.first.kernel, self.second.kernel, self.sinc)
        one, two, three = (kernel.side if kernel else 1 for kernel in kernels)
        return reach(scale, (one, two, three), (self.first.factor, self.second.factor))


def draw_damage(config: SecondOrderConfig, chance: Chance) -> Damage:
    """Everything but the noise of each pixel, which `chance` gives afterwards."""
    first, second = _draw_round(config.first, chance), _draw_round(config.second, chance)
    side = chance.whole(*config.sinc_sides, 2)
    return Damage(
        first=first,
        second=second,
        sinc=draw_sinc(side, chance) if chance.happens(config.sinc_chance) else None,
        last_mode=chance.one_of(_MODES),
        jpeg_last=chance.happens(0.5),
    )


def _draw_round(config: RoundConfig, chance: Chance) -> Round:
    kernel = config.blur and chance.happens(config.blur_chance) and draw_kernel(config.blur, chance)
    factor = None
    if resize := config.resize:
        least, most = resize.factors
        way = chance.one_of({"up": resize.up, "down": resize.down, "keep": 1.0})
        drawn = {"up": (1.0, most), "down": (least, 1.0), "keep": (1.0, 1.0)}[way]
        factor = chance.between(*drawn)
    return Round(
        kernel=kernel or None,
        factor=factor,
        mode=chance.one_of(_MODES),
        noise=draw_noise(config.noise, chance) if config.noise else None,
        jpeg_quality=chance.whole(*config.jpeg_quality) if config.jpeg_quality else None,
    )


class SecondOrderDegradation(nn.Module):
    """Real-ESRGAN's degradation, drawn for each patch by seed, step and place in the global batch.

    Patches go through it one by one, because their sizes on the way differ. An image that no round
    has resized comes to LR by MATLAB's bicubic; with everything else left out too, LR is that of
    the plain `Degradation` to the bit.
    """

    def __init__(self, scale: int, config: SecondOrderConfig, *, seed: int) -> None:
        super().__init__()
        self._bicubic = Degradation(scale)
        self._scale = scale
        self._config = config
        self._seed = seed
        self.margin = config.margin(scale)
        """HR pixels that a window has on each side of its patch."""

    @ieee_fp32()
    def forward(self, windows: Tensor, *, step: int, first: int) -> tuple[Tensor, Tensor]:
        """uint8 (N, 3, P + 2m, P + 2m) → LR [0, 1] and HR [−1, 1], as `Degradation` does.

        LR keeps whole levels. `first` is the place of windows[0] in the global batch.
        """
        # For HR alone, and to check the windows.
        _, hr = self._bicubic(_cut(windows, self.margin - self._bicubic.margin))
        places = range(first, first + len(windows))
        lr = torch.cat(
            [
                self._degraded(window[None], Chance(self._seed, step, place))
                for window, place in zip(windows, places, strict=True)
            ]
        )
        return lr / 255, hr

    def _degraded(self, window: Tensor, chance: Chance) -> Tensor:
        """uint8 (1, 3, P + 2m, P + 2m) → whole levels (1, 3, P / s, P / s)."""
        damage = draw_damage(self._config, chance)
        margin = damage.reach(self._scale)
        window = _cut(window, self.margin - margin)  # most patches need less than the most
        return _cut(self._done(damage, window, chance), margin // self._scale).round()

    def _done(self, damage: Damage, window: Tensor, chance: Chance) -> Tensor:
        """uint8 (1, 3, H, W) → float levels (1, 3, H / s, W / s)."""
        one, two = damage.first, damage.second
        size = (window.shape[2], window.shape[3])
        small = (size[0] // self._scale, size[1] // self._scale)
        levels = _blurred(window.float(), one.kernel)
        levels = _resized(levels, size, one)
        levels = _noisy(levels, one.noise, chance)
        levels = _compressed(levels, one.jpeg_quality)
        levels = _blurred(levels, two.kernel)
        levels = _resized(levels, small, two)
        levels = _noisy(levels, two.noise, chance)
        if not damage.jpeg_last:
            levels = _compressed(levels, two.jpeg_quality)
        if one.factor is None and two.factor is None:
            levels = self._shrunk(levels)
        elif levels.shape[2:] != small:
            levels = _interpolated(levels, small, damage.last_mode)
        levels = _blurred(levels, damage.sinc)
        if damage.jpeg_last:
            levels = _compressed(levels, two.jpeg_quality)
        return levels

    def _shrunk(self, levels: Tensor) -> Tensor:
        """Float levels at the size of HR → at the size of LR, by MATLAB's bicubic."""
        m = self._bicubic.margin
        # Within the margin the mirrored border is out of reach of the patch.
        padded = F.pad(levels, (m, m, m, m), mode="reflect")
        lr: Tensor = self._bicubic(padded.round().to(torch.uint8))[0]
        return (lr * 255).round()


def _cut(images: Tensor, border: int) -> Tensor:
    height, width = images.shape[2:]
    return images[:, :, border : height - border, border : width - border]


def _blurred(levels: Tensor, kernel: Kernel | None) -> Tensor:
    """Filter (1, 3, H, W); borders are mirrored. Clamped, because a sinc filter overshoots."""
    if kernel is None:
        return levels
    half = kernel.side // 2
    weights = kernel_weights(kernel).to(levels.device).expand(3, 1, -1, -1)
    filtered: Tensor = F.conv2d(_mirrored(levels, half), weights, groups=3)
    return filtered.clamp(0, 255)


def _mirrored(levels: Tensor, border: int) -> Tensor:
    """Mirror borders of any width, also wider than the image."""
    while border:
        width = min(border, levels.shape[2] - 1, levels.shape[3] - 1)
        levels = F.pad(levels, (width,) * 4, mode="reflect")
        border -= width
    return levels


def _resized(levels: Tensor, base: tuple[int, int], drawn: Round) -> Tensor:
    """Resize to `drawn.factor` times `base`, rounded up so that no pixel is larger than stated."""
    if drawn.factor is None:
        return levels
    height, width = (-int(-side * drawn.factor // 1) for side in base)
    if levels.shape[2:] == (height, width):
        return levels
    return _interpolated(levels, (height, width), drawn.mode)


def _interpolated(levels: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    return F.interpolate(levels, size, mode=mode).clamp(0, 255)


def _noisy(levels: Tensor, noise: Noise | None, chance: Chance) -> Tensor:
    return levels if noise is None else add_noise(levels, noise, chance)


def _compressed(levels: Tensor, quality: int | None) -> Tensor:
    return levels if quality is None else compress(levels, levels.new_tensor([quality]))
