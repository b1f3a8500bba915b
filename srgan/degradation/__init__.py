"""HR → LR: bicubic, or with the blur, noise and compression of real photographs."""

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.config import DegradationConfig
from srgan.degradation.order import SecondOrderDegradation
from srgan.degradation.simple import RealDegradation
from srgan.resize.tensors import Degradation


def build_degradation(
    scale: int, config: DegradationConfig, *, seed: int
) -> Degradation | RealDegradation | SecondOrderDegradation:
    """Plain bicubic, unless the config asks for more."""
    if config.second_order:
        return SecondOrderDegradation(scale, config.second_order, seed=seed)
    if config == DegradationConfig():
        return Degradation(scale)
    return RealDegradation(scale, config, seed=seed)


@torch.inference_mode()
def degrade_photo(
    hr: NDArray[np.uint8], scale: int, config: DegradationConfig, *, seed: int, place: int
) -> NDArray[np.uint8]:
    """LR uint8 (H / s, W / s, 3) of a whole photo uint8 (H, W, 3) with sides divisible by `scale`.

    A function of the pixels, seed and place alone. Borders are mirrored.
    """
    degradation = build_degradation(scale, config, seed=seed)
    m = degradation.margin
    window = np.pad(hr, ((m, m), (m, m), (0, 0)), mode="symmetric")
    windows = torch.from_numpy(window).permute(2, 0, 1)[None]
    if isinstance(degradation, Degradation):
        lr, _ = degradation(windows)
    else:
        lr, _ = degradation(windows, step=0, first=place)
    return np.asarray((lr[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
