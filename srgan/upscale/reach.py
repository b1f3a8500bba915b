"""How far a network sees in effect, where it could see further than tiles can carry along.

RRDBNet's output depends on 349 LR pixels around it, but hardly on the outer ones. Up to
`LARGEST_EXACT_RADIUS` tiles have the whole radius and are exact; beyond, the context is measured
on the weights at hand, in fp32: so much that a cut changes values by one level at most, and only
one value in 10,000.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from srgan.models.base import Generator
from srgan.resize import upsample

LARGEST_EXACT_RADIUS = 64
_SHARE = 5e-5
"""Of values that may differ by a level beside one cut; all cuts together stay below 1e-4."""
_HEIGHT, _KEPT, _LOST, _EVIDENCE = 32, 144, 64, 40
"""Of the probe in LR pixels: its height, how much lies on both sides of the cut, and how much of
that has to be unaffected."""
_STEP = 8
"""Contexts are multiples of it, and one more than was measured, for other pictures."""


@dataclass(frozen=True, slots=True)
class Reach:
    """LR pixels of context that the two halves of a network get."""

    trunk: int
    head: int

    @property
    def total(self) -> int:
        """Of the whole network."""
        return self.trunk + self.head


def reach_of(generator: Generator) -> Reach:
    """Exact radii of a network, or for larger ones what its weights need.

    It is in fp32 and eval mode: in bf16, rounding errors would hide how far a cut is felt. Costs
    two forward passes of a small picture, and for small radii nothing.
    """
    exact = Reach(generator.trunk_radius, generator.head_radius)
    if exact.total <= LARGEST_EXACT_RADIUS:
        return exact
    total = min(_effective_radius(generator), exact.total)
    head = min(exact.head, total)
    return Reach(total - head, head)


@torch.inference_mode()
def _effective_radius(generator: Generator) -> int:
    """Distance from a cut beyond which its effects are within the bound; the radius if none is."""
    device = next(generator.parameters()).device
    whole = _probe().to(device)
    scale = generator.scale
    cut = _levels(generator, whole[..., _LOST:])
    uncut = _levels(generator, whole)[..., _LOST * scale :]
    difference = (cut - uncut).abs()
    for context in range(_STEP, _KEPT - _EVIDENCE + 1, _STEP):
        beyond = difference[..., context * scale :]
        if beyond.max() <= 1 and (beyond > 0).float().mean() <= _SHARE:
            return context + _STEP
    return generator.radius


def _levels(generator: Generator, lr: Tensor) -> Tensor:
    sr: Tensor = generator(lr.contiguous(memory_format=torch.channels_last))
    return ((sr + 1) * 127.5).round().clamp(0, 255)


def _probe() -> Tensor:
    """A picture (1, 3, h, w) of soft and sharp edges with some grain."""
    random = torch.Generator().manual_seed(0)
    shape = (_HEIGHT, _LOST + _KEPT)
    soft = upsample(torch.rand(1, 3, shape[0] // 16, shape[1] // 16, generator=random), 16)
    sharp = upsample(torch.rand(1, 3, shape[0] // 4, shape[1] // 4, generator=random).round(), 4)
    grain = torch.rand(1, 3, *shape, generator=random)
    return (0.5 * soft + 0.35 * sharp + 0.15 * grain).clamp(0, 1)
