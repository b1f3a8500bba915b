"""How much context a network needs around a tile.

RRDBNet's output depends on 349 LR pixels around it, but hardly on the outer ones. Up to
`LARGEST_EXACT_RADIUS` tiles have the whole radius as context and are exact. Beyond it the context
is measured on the weights at hand, in fp32: wide enough that tiles differ from the whole image by
one level at most, and only on one value in 2,000.

Some networks of others cut the image into windows of up to 96 pixels. Their tiles begin at
multiples of 96, so that they see the windows of the whole image. A flipped image has its windows
counted from the far end, which no tile can follow, so such networks get no self-ensemble.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from srgan.errors import ConfigError
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.base import UNKNOWN_RADIUS, Generator

LARGEST_EXACT_RADIUS = 64
SHARE = 1 / 2000
"""Share of values that may differ from the whole image's by a level."""
_CUTS = 4
"""Sides of a tile, each of which adds its share."""
_MOST_LEVELS = 0.5
"""Largest difference beside a cut of the probe, so that other photos stay below one level."""
_STEP = 4
"""Contexts are multiples of this many LR pixels."""
_MARGIN = 1.15
"""Factor for photos that feel a cut further than the probe. Real-ESRGAN x4plus needs 88 LR pixels
on the probe; with 88, one value in 1,640 of a photo of roofs and trees differs."""
WINDOW = 96
"""The windows of attention that are in use (8, 12, 16, 24, 32) divide this."""
_HEIGHT, _WIDTH, _EVIDENCE = 32, 3 * WINDOW, 40
"""Probe in LR pixels, and how much of it has to be unaffected beyond the context."""
_CUT_ANYWHERE, _CUT_AT_WINDOW = WINDOW - 7, WINDOW
"""Where the probe is cut: not at a multiple of any window, and at one of all."""


@dataclass(frozen=True, slots=True)
class Reach:
    """LR pixels of context for the two halves of a network."""

    trunk: int
    head: int
    step: int = 1
    """Tiles begin at multiples of this many LR pixels."""

    @property
    def total(self) -> int:
        """Context for the whole network."""
        return self.trunk + self.head


def reach_of(generator: Generator, context: int | None = None) -> Reach:
    """Exact radii of a network, or the context that its weights need if the radius is large.

    The generator must be in fp32, in eval mode and on the CPU: in bf16 or TF32, rounding errors
    would hide how far a cut is felt. Costs two or three forward passes of a picture of 32×288
    pixels if the radius is large, else nothing. `context` gives the total instead. `ConfigError`
    for a network of unknown radius that sees too far, and for the self-ensemble of a network whose
    tiles have to begin at its windows.
    """
    reach = _measured(generator, context)
    if reach.step > 1 and isinstance(generator, SelfEnsemble):
        raise ConfigError(
            "self_ensemble: this network cuts a photo into windows, or may do so, and a flipped "
            "tile has other windows than the flipped photo, so tiles would differ from the whole "
            "photo; leave out --self-ensemble (self_ensemble)"
        )
    return reach


def _measured(generator: Generator, context: int | None) -> Reach:
    exact = Reach(generator.trunk_radius, generator.head_radius)
    if context is not None:
        step = WINDOW if exact.total >= UNKNOWN_RADIUS else 1
        return _split(min(context, exact.total), exact, step)
    if exact.total <= LARGEST_EXACT_RADIUS:
        return exact
    probe = draw_probe(_HEIGHT, _WIDTH)
    whole = _levels(generator, probe)
    for cut, step in ((_CUT_ANYWHERE, 1), (_CUT_AT_WINDOW, WINDOW)):
        difference = _levels(generator, probe[..., cut:]) - whole[..., cut * generator.scale :]
        if total := _first_unaffected(difference.abs(), generator.scale):
            total = _STEP * math.ceil(_MARGIN * total / _STEP)
            return _split(min(total, exact.total), exact, step)
    if exact.total < UNKNOWN_RADIUS:
        return exact
    raise ConfigError(
        f"this network sees further than {_WIDTH - _CUT_AT_WINDOW - _EVIDENCE} LR pixels, so its "
        "tiles would differ from the whole photo; choose their context with --context (context) "
        "and look for seams"
    )


def _split(total: int, exact: Reach, step: int) -> Reach:
    head = min(exact.head, total)
    return Reach(total - head, head, step)


def _first_unaffected(difference: Tensor, scale: int) -> int | None:
    """Least context beyond which the differences (levels) beside a cut are within bounds.

    A difference of 0.01 levels changes one rounded value in 100, so the mean of the differences
    tells the share of changed values, and more steadily than counting the few.
    """
    width = difference.shape[3] // scale
    for context in range(_STEP, width - _EVIDENCE + 1, _STEP):
        beyond = difference[..., context * scale :]
        if beyond.max() <= _MOST_LEVELS and beyond.mean() <= SHARE / _CUTS:
            return context
    return None


@torch.inference_mode()
def _levels(generator: Generator, lr: Tensor) -> Tensor:
    sr: Tensor = generator(lr.contiguous(memory_format=torch.channels_last))
    return ((sr + 1) * 127.5).clamp(0, 255)


_DISCS, _LARGEST, _SMALLEST = 1500, 80, 2


def draw_probe(height: int, width: int) -> Tensor:
    """Draw a picture (1, 3, h, w) with the statistics of photos: shaded discs over each other.

    "Dead leaves" (Lee, Mumford, Huang 2001): objects of all sizes, one in front of the other, have
    edges and smooth parts as photos do. Drawn with two by two samples a pixel, as a lens blurs.
    """
    random = torch.rand(_DISCS, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    across, along = 2 * height, 2 * width
    picture = torch.zeros(3, across, along, dtype=torch.float64)
    # As many discs above radius r as 1/r², and the large ones first.
    radii = (_LARGEST**-2 + random[:, 0] * (_SMALLEST**-2 - _LARGEST**-2)).rsqrt()
    radii[:8] = along / 4
    for radius, (_, at_y, at_x, *colours, gray, slope_y, slope_x) in zip(
        radii.tolist(), random.tolist(), strict=True
    ):
        y, x = at_y * (across + 2 * radius) - radius, at_x * (along + 2 * radius) - radius
        rows = slice(max(0, int(y - radius)), max(0, int(y + radius) + 1))
        columns = slice(max(0, int(x - radius)), max(0, int(x + radius) + 1))
        down = torch.arange(across, dtype=torch.float64)[rows, None] - y
        right = torch.arange(along, dtype=torch.float64)[columns] - x
        inside = down**2 + right**2 < radius**2
        shade = ((slope_y - 0.5) * down + (slope_x - 0.5) * right) / radius
        for channel, colour in zip(picture[:, rows, columns], colours, strict=True):
            channel[inside] = (0.4 * colour + 0.6 * gray + shade)[inside]
    picture = picture.view(3, height, 2, width, 2).mean((2, 4))
    return picture.clamp(0, 1).float()[None]
