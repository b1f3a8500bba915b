"""HR → LR: bicubic, or with the blur, noise and compression of real photographs."""

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
