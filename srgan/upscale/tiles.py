"""Where tiles lie: geometry alone, in LR pixels, no pixels touched.

Two choices make a tiled result equal to the whole image's in every bit, not just nearly:

- All windows of an image have one size: at a border a window is moved inwards, not cut off, so
  convolutions see one shape, and the image's border is the window's border with its padding.
- A window holds at least 144² pixels (or the whole image). torch computes a 3×3 convolution of
  fewer than 20,480 input values by another algorithm, which adds in another order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

_LEAST_SIDE = 144


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open interval of rows or columns."""

    start: int
    stop: int

    def inside(self, outer: "Span") -> slice:
        """This interval counted from the start of `outer`, which holds it."""
        assert outer.start <= self.start < self.stop <= outer.stop, (self, outer)
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True, slots=True)
class AxisTile:
    """One tile along one axis: `core` within `features` within `window` within the image."""

    window: Span
    """What the trunk reads: the core with the context of the whole network."""
    features: Span
    """What the head reads: the core with the context of the head."""
    core: Span
    """What the tile contributes to the result."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of an image."""

    rows: AxisTile
    columns: AxisTile


def axis_tiles(side: int, *, tile: int, trunk_radius: int, head_radius: int) -> list[AxisTile]:
    """Tiles of one axis; the cores cover [0, side) once, in order, each at most `tile` long."""
    if min(side, tile) < 1:
        raise ValueError(f"side and tile must be positive, got {side} and {tile}")
    cores = [Span(start, min(start + tile, side)) for start in range(0, side, tile)]
    return [
        AxisTile(
            window=_around(core.start, tile, trunk_radius + head_radius, side),
            features=_around(core.start, tile, head_radius, side),
            core=core,
        )
        for core in cores
    ]


def tiles(
    height: int, width: int, *, tile: int, trunk_radius: int, head_radius: int
) -> Iterator[Tile]:
    """Tiles of an image of `height` × `width` LR pixels, row by row.

    Cores are `tile` squares; smaller ones are enlarged to 144² pixels, along the image where
    that is thinner.
    """
    rows, columns = (
        axis_tiles(
            side,
            tile=max(tile, _LEAST_SIDE, -(-(_LEAST_SIDE**2) // across)),
            trunk_radius=trunk_radius,
            head_radius=head_radius,
        )
        for side, across in ((height, width), (width, height))
    )
    return (Tile(row, column) for row, column in product(rows, columns))


def _around(start: int, tile: int, context: int, side: int) -> Span:
    length = min(side, tile + 2 * context)
    first = min(max(start - context, 0), side - length)
    return Span(first, first + length)
