"""Exponential moving average of the generator's weights."""

import copy

import torch
from torch import Tensor

from srgan.models.base import Generator


class Ema:
    """A second generator that follows the first with a slowly growing memory.

    The decay is min(decay, (1 + n) / (10 + n)) after n updates: with the full decay from the
    start, the average would hold random initial weights for thousands of steps.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        self._decay = decay
        device = next(generator.parameters()).device
        self.num_updates = torch.zeros((), device=device)
        """On the device, since whether a step counts is only known there."""

    @torch.no_grad()
    def update(self, generator: Generator, skipped: Tensor) -> None:
        """Follow `generator` unless `skipped` (0 or 1, on the device) says that it did not move."""
        counts = 1 - skipped
        corrected = (1 + self.num_updates) / (10 + self.num_updates)
        weight = (1 - corrected.clamp(max=self._decay)) * counts
        averages: list[Tensor] = list(self.generator.parameters())
        current: list[Tensor] = list(generator.parameters())
        # One kernel for all tensors on a GPU; `lerp` takes no weight that is on the device.
        moves = list(torch._foreach_sub(current, averages))
        torch._foreach_mul_(moves, weight)
        torch._foreach_add_(averages, moves)
        self.num_updates += counts
        for average, buffer in zip(self.generator.buffers(), generator.buffers(), strict=True):
            average.copy_(buffer)
