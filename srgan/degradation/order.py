"""Second-order degradation: two rounds of blur, resizing, noise and JPEG, and a sinc filter.

Wang et al. 2021, Real-ESRGAN (arXiv 2107.10833), section 3 and figure 2.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from srgan.config import RoundConfig, SecondOrderConfig
from srgan.config.degradation import reach
from srgan.degradation.chance import Chance, Numbers, sent
from srgan.degradation.jpeg import Jpeg
from srgan.degradation.kernels import Kernel, draw_kernel, draw_sinc, kernel_weights
from srgan.degradation.noise import CameraNoise, Noise, draw_grain, draw_noise
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
    """Everything but the noise of each pixel, which `draw_numbers` gets afterwards."""
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


def draw_numbers(
    damage: Damage, size: tuple[int, int], scale: int, chance: Chance
) -> dict[str, NDArray[np.float32]]:
    """The arrays by which `damage` changes a window of `size`, in HR pixels, by name.

    What is left out has none.
    """
    found: dict[str, NDArray[np.float32]] = {}
    small = (size[0] // scale, size[1] // scale)
    now = size
    for name, drawn, base in (("first", damage.first, size), ("second", damage.second, small)):
        now = _sides(now, base, drawn.factor)
        if drawn.kernel:
            found[f"{name} kernel"] = kernel_weights(drawn.kernel).numpy()
        if drawn.noise:
            found[f"{name} grain"] = draw_grain(drawn.noise, now, chance)
        if drawn.jpeg_quality is not None:
            found[f"{name} quality"] = np.array([drawn.jpeg_quality], np.float32)
    if damage.sinc:
        found["sinc"] = kernel_weights(damage.sinc).numpy()
    return found


class SecondOrderDegradation(nn.Module):
    """Real-ESRGAN's degradation, drawn for each patch by seed, step and place in the global batch.

    Patches go through it one by one, because their sizes on the way differ. All random numbers of a
    batch are drawn before, by several threads, and go to the device together. An image that no
    round has resized comes to LR by MATLAB's bicubic; with everything else left out too, LR is that
    of the plain `Degradation` to the bit.
    """

    def __init__(self, scale: int, config: SecondOrderConfig, *, seed: int) -> None:
        super().__init__()
        self._bicubic = Degradation(scale)
        self._jpeg = Jpeg()
        self._noise = CameraNoise() if config.first.noise or config.second.noise else None
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
        height, width = windows.shape[2:]

        def draw(place: int) -> tuple[Damage, Numbers]:
            return self._drawn(Chance(self._seed, step, place), (height, width))

        # Noise costs most of it: NumPy computes that with as many threads as torch would use.
        with ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="draw") as threads:
            drawn = list(threads.map(draw, range(first, first + len(windows))))
        damages = [damage for damage, _ in drawn]
        numbers = sent([of_one for _, of_one in drawn], windows.device)
        lr = torch.cat(
            [
                self._degraded(window[None], damage, of_one)
                for window, damage, of_one in zip(windows, damages, numbers, strict=True)
            ]
        )
        return lr / 255, hr

    def _drawn(self, chance: Chance, size: tuple[int, int]) -> tuple[Damage, Numbers]:
        """All that is random about one patch, whose window with its margin has `size`."""
        damage = draw_damage(self._config, chance)
        height, width = (side - 2 * self._unused(damage) for side in size)
        return damage, draw_numbers(damage, (height, width), self._scale, chance)

    def _unused(self, damage: Damage) -> int:
        """HR pixels on each side of a window that a damage does not use: most of the margin."""
        return self.margin - damage.reach(self._scale)

    def _degraded(self, window: Tensor, damage: Damage, numbers: Mapping[str, Tensor]) -> Tensor:
        """uint8 (1, 3, P + 2m, P + 2m) → whole levels (1, 3, P / s, P / s)."""
        window = _cut(window, self._unused(damage))
        edge = damage.reach(self._scale) // self._scale
        return _cut(self._done(damage, window, numbers), edge).round()

    def _done(self, damage: Damage, window: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
        """uint8 (1, 3, H, W) → float levels (1, 3, H / s, W / s); `numbers` are those drawn."""
        one, two = damage.first, damage.second
        size = (window.shape[2], window.shape[3])
        small = (size[0] // self._scale, size[1] // self._scale)
        levels = _blurred(window.float(), numbers.get("first kernel"))
        levels = _resized(levels, size, one)
        levels = self._noisy(levels, one.noise, numbers.get("first grain"))
        levels = self._compressed(levels, numbers.get("first quality"))
        levels = _blurred(levels, numbers.get("second kernel"))
        levels = _resized(levels, small, two)
        levels = self._noisy(levels, two.noise, numbers.get("second grain"))
        if not damage.jpeg_last:
            levels = self._compressed(levels, numbers.get("second quality"))
        if one.factor is None and two.factor is None:
            levels = self._shrunk(levels)
        elif levels.shape[2:] != small:
            levels = _interpolated(levels, small, damage.last_mode)
        levels = _blurred(levels, numbers.get("sinc"))
        if damage.jpeg_last:
            levels = self._compressed(levels, numbers.get("second quality"))
        return levels

    def _noisy(self, levels: Tensor, noise: Noise | None, grain: Tensor | None) -> Tensor:
        if self._noise is None or noise is None or grain is None:
            return levels
        noisy: Tensor = self._noise(levels, noise, grain)
        return noisy

    def _compressed(self, levels: Tensor, quality: Tensor | None) -> Tensor:
        if quality is None:
            return levels
        compressed: Tensor = self._jpeg(levels, quality)
        return compressed

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


def _blurred(levels: Tensor, kernel: Tensor | None) -> Tensor:
    """Filter (1, 3, H, W); borders are mirrored. Clamped, because a sinc filter overshoots."""
    if kernel is None:
        return levels
    weights = kernel.expand(3, 1, -1, -1)
    filtered: Tensor = F.conv2d(_mirrored(levels, len(kernel) // 2), weights, groups=3)
    return filtered.clamp(0, 255)


def _mirrored(levels: Tensor, border: int) -> Tensor:
    """Mirror borders of any width, also wider than the image."""
    while border:
        width = min(border, levels.shape[2] - 1, levels.shape[3] - 1)
        levels = F.pad(levels, (width,) * 4, mode="reflect")
        border -= width
    return levels


def _resized(levels: Tensor, base: tuple[int, int], drawn: Round) -> Tensor:
    before = (levels.shape[2], levels.shape[3])
    after = _sides(before, base, drawn.factor)
    return levels if after == before else _interpolated(levels, after, drawn.mode)


def _sides(now: tuple[int, int], base: tuple[int, int], factor: float | None) -> tuple[int, int]:
    """Sides after resizing to `factor` times `base`; as they are `now` without a factor.

    Rounded up so that no pixel is larger than stated.
    """
    if factor is None:
        return now
    height, width = (-int(-side * factor // 1) for side in base)
    return height, width


def _interpolated(levels: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    return F.interpolate(levels, size, mode=mode).clamp(0, 255)
