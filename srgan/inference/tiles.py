"""Where tiles lie, in LR pixels, and how much context a network needs around them.

Two choices make a tiled result equal to the whole image's in every bit, not just nearly:

- All windows of an image have one size: at a border a window is moved inwards, not cut off, so
  convolutions see one shape, and the image's border is the window's border with its padding.
- A window holds at least 144² pixels (or the whole image). torch computes a 3×3 convolution of
  fewer than 20,480 input values by another algorithm, which adds in another order.

The trunk is cheapest on large tiles, because its context is computed twice. The head is cheapest
on small ones, because it holds s² times as many pixels and needs hardly any context. So a tile's
features go through the head in pieces of about 144² pixels, which fit best into caches.

RRDBNet's output depends on 349 LR pixels around it, but hardly on the outer ones. Up to
`LARGEST_EXACT_RADIUS` tiles have the whole radius as context and are exact. Beyond it the context
is measured on the weights at hand, in fp32: wide enough that a cut changes values by one level at
most, and only one value in 10,000.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from srgan.models.base import Generator
from srgan.resize.tensors import upsample

LEAST_SIDE = 144
LARGEST_EXACT_RADIUS = 64
_SHARE = 5e-5
"""Share of values that may differ by a level beside one cut; all cuts together stay below 1e-4."""
_HEIGHT, _KEPT, _LOST, _EVIDENCE = 32, 144, 64, 40
"""Probe in LR pixels: its height, its width on both sides of the cut, and how much of the kept side
has to be unaffected."""
_STEP = 8
"""Contexts are multiples of this, and one more than was measured, to be safe for other pictures."""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open interval of rows or columns."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of rows or columns."""
        return self.stop - self.start

    def inside(self, outer: "Span") -> slice:
        """This interval counted from the start of `outer`, which holds it."""
        assert outer.start <= self.start < self.stop <= outer.stop, (self, outer)
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True, slots=True)
class AxisPiece:
    """One piece of a tile along one axis: `core` within `features` within those of the tile."""

    features: Span
    """Input of the head: the core with the context of the head."""
    core: Span
    """The part of the result that the piece makes."""


@dataclass(frozen=True, slots=True)
class AxisTile:
    """One tile along one axis: `core` within `features` within `window` within the image."""

    window: Span
    """Input of the trunk: the core with the context of the whole network."""
    features: Span
    """The part of the trunk's result that is used: the core with the context of the head."""
    core: Span
    """The part of the result that the tile makes."""
    pieces: tuple[AxisPiece, ...]
    """Go through the head one at a time; their cores cover the tile's."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of an image."""

    rows: AxisTile
    columns: AxisTile

    @property
    def num_pixels(self) -> int:
        """LR pixels of the core."""
        rows, columns = self.rows.core, self.columns.core
        return (rows.stop - rows.start) * (columns.stop - columns.start)

    def pieces(self) -> Iterator[tuple[AxisPiece, AxisPiece]]:
        """Rows and columns of each piece."""
        return product(self.rows.pieces, self.columns.pieces)


def axis_tiles(
    side: int,
    *,
    tile: int,
    trunk_radius: int,
    head_radius: int,
    start: int = 0,
    least: int = LEAST_SIDE,
) -> list[AxisTile]:
    """Cut one axis into tiles; the cores cover [start, side) once, in order, at most `tile` long.

    Pieces of a tile are equal and as short as possible, but at least `least` long.
    """
    if min(side, tile) < 1:
        raise ValueError(f"side and tile must be positive, got {side} and {tile}")
    piece = -(-tile // max(1, tile // least))
    result = []
    for first in range(start, side, tile):
        core = Span(first, min(first + tile, side))
        features = _around(first, tile, head_radius, Span(0, side))
        pieces = tuple(
            AxisPiece(
                features=_around(inner, piece, head_radius, features),
                core=Span(inner, min(inner + piece, core.stop)),
            )
            for inner in range(core.start, core.stop, piece)
        )
        window = _around(first, tile, trunk_radius + head_radius, Span(0, side))
        result.append(AxisTile(window, features, core, pieces))
    return result


def tiles(
    height: int,
    width: int,
    *,
    tile: int,
    trunk_radius: int,
    head_radius: int,
    first_row: int = 0,
) -> Iterator[Tile]:
    """Cut an image of `height` × `width` LR pixels into tiles, row by row, from `first_row` down.

    Cores are squares with side `tile`; smaller ones are enlarged to 144² pixels, lengthwise if
    the image is thinner than that.
    """
    rows, columns = (
        axis_tiles(
            side,
            tile=max(tile, least),
            trunk_radius=trunk_radius,
            head_radius=head_radius,
            start=start,
            least=least,
        )
        for side, start, least in (
            (height, first_row, least_side(width)),
            (width, 0, least_side(height)),
        )
    )
    return (Tile(row, column) for row, column in product(rows, columns))


def least_side(across: int) -> int:
    """Least side of a tile in an image with `across` LR pixels in the other direction."""
    return max(LEAST_SIDE, -(-(LEAST_SIDE**2) // across))


def _around(start: int, length: int, context: int, bounds: Span) -> Span:
    length = min(bounds.length, length + 2 * context)
    first = min(max(start - context, bounds.start), bounds.stop - length)
    return Span(first, first + length)


@dataclass(frozen=True, slots=True)
class Reach:
    """LR pixels of context for the two halves of a network."""

    trunk: int
    head: int

    @property
    def total(self) -> int:
        """Context for the whole network."""
        return self.trunk + self.head


def reach_of(generator: Generator) -> Reach:
    """Exact radii of a network, or the context that its weights need if the radius is large.

    The generator must be in fp32 and eval mode: in bf16, rounding errors would hide how far a cut
    is felt. Costs two forward passes of a small picture if the radius is large, else nothing.
    """
    exact = Reach(generator.trunk_radius, generator.head_radius)
    if exact.total <= LARGEST_EXACT_RADIUS:
        return exact
    total = min(_effective_radius(generator), exact.total)
    head = min(exact.head, total)
    return Reach(total - head, head)


@torch.inference_mode()
def _effective_radius(generator: Generator) -> int:
    """Distance from a cut beyond which its effects are within bounds; else the exact radius."""
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
    """Draw a picture (1, 3, h, w) of soft and sharp edges with some grain."""
    random = torch.Generator().manual_seed(0)
    shape = (_HEIGHT, _LOST + _KEPT)
    soft = upsample(torch.rand(1, 3, shape[0] // 16, shape[1] // 16, generator=random), 16)
    sharp = upsample(torch.rand(1, 3, shape[0] // 4, shape[1] // 4, generator=random).round(), 4)
    grain = torch.rand(1, 3, *shape, generator=random)
    return (0.5 * soft + 0.35 * sharp + 0.15 * grain).clamp(0, 1)
