"""Base of all generators: a trunk in LR resolution and a head with all upsampling."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from srgan.config import GeneratorConfig
from srgan.refs import Blend

_ROUNDING = 1e-2
"""Tolerance beyond [0, 1] for the rounding of bf16 and of resampling that does not clamp."""

UNKNOWN_RADIUS = 2**20
"""Radius of a network of which none is known: more LR pixels a side than any photo has."""


class Generator(nn.Module, ABC):
    """LR float (N, 3, h, w) in [0, 1] → SR float32 (N, 3, s·h, s·w), nominally [−1, 1].

    The output is not clamped: clamping would stop the gradient where the loss needs it most.

    The network is cut in two before the first upsampling layer, so that a tile can drop the context
    of the trunk before the costly part. Each half states its receptive-field radius in LR pixels:
    with at least that much real context, the result inside equals that of the whole image.
    """

    scale: int
    config: GeneratorConfig | None
    """Rebuilds this network; None for interpolation, which has no weights."""
    trunk_radius: int
    head_radius: int
    exact_only: bool = False
    """True if the network has to be computed in fp32 and as it is, because neither bf16 nor fewer
    operations were tried with it."""
    origin: str | None = None
    """Where `srgan.load` found the network: a file or an address."""
    blend: Blend | None = None
    """Sources of a blended network; saved with the weights."""

    def __repr__(self) -> str:
        """Say what a person asks of a network; its layers are in `named_modules()`."""
        parts = [f"{type(self).__name__} ×{self.scale}"]
        if self.layout:
            parts.append(self.layout)
        if num_parameters := sum(parameter.numel() for parameter in self.parameters()):
            parts.append(f"{num_parameters:,} parameters")
        if self.origin:
            parts.append(f"from {self.origin}")
        return f"<{', '.join(parts)}>"

    @property
    def layout(self) -> str | None:
        """Size of the network in words; None for interpolation."""
        if self.config is None:
            return None
        return f"{self.config.num_blocks} blocks of {self.config.num_channels} channels"

    @property
    def radius(self) -> int:
        """Receptive-field radius of the whole network in LR pixels."""
        return self.trunk_radius + self.head_radius

    @abstractmethod
    def trunk(self, lr: Tensor) -> Tensor:
        """LR (N, 3, h, w) → features (N, C, h, w)."""

    @abstractmethod
    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        """Features (N, C, h, w) and the LR pixels they belong to → SR (N, 3, s·h, s·w)."""

    def forward(self, lr: Tensor) -> Tensor:
        """Super-resolve a batch; `ValueError` for anything but RGB with pixels in [0, 1].

        Floats have the type of the weights, or any type under autocast. The range is checked only
        on the CPU in eval mode. In training and on a GPU the caller promises it, because a check
        would wait for the device at every step.
        """
        if lr.ndim != 4 or lr.shape[1] != 3 or lr.numel() == 0:
            raise ValueError(f"expected LR images (N, 3, h, w), got shape {tuple(lr.shape)}")
        if not lr.is_floating_point():
            raise ValueError(f"expected LR images as floats in [0, 1], got {lr.dtype}")
        weight = next(self.parameters(), lr)
        if lr.dtype != weight.dtype and not torch.is_autocast_enabled(lr.device.type):
            raise ValueError(f"expected LR images as {weight.dtype}, got {lr.dtype}")
        on_cpu = lr.device.type == "cpu"
        if on_cpu and not self.training and not torch.compiler.is_compiling():
            _check_range(lr)
        return self.head(self.trunk(lr), lr)


def _check_range(lr: Tensor) -> None:
    least, most = (float(value) for value in lr.detach().aminmax())
    if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):  # false for NaN
        raise ValueError(
            f"expected LR images in [0, 1], got values from {least:g} to {most:g}; divide 8-bit "
            "levels by 255"
        )
