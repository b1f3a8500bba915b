"""Where tiles lie, in LR pixels, so that there are no seams.

Two choices make a tiled result equal to the whole image's in every bit, not just nearly:

- All windows of an image have one size: at a border a window is moved inwards, not cut off, so
  convolutions see one shape, and the image's border is the window's border with its padding.
- A window holds at least 144² pixels (or the whole image). torch computes a 3×3 convolution of
  fewer than 20,480 input values by another algorithm, which adds in another order.

The trunk is cheapest on large tiles, because its context is computed twice. The head is cheapest
on small ones, because it holds s² times as many pixels and needs hardly any context. So a tile's
features go through the head in pieces of about 144² pixels, which fit best into caches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

LEAST_SIDE = 144


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

    def in_sr(self, scale: int) -> slice:
        """The core in pixels of the SR that the head makes of `features`."""
        return _scaled(self.core.inside(self.features), scale)

    def in_result(self, scale: int) -> slice:
        """The core in pixels of the result."""
        return _scaled(slice(self.core.start, self.core.stop), scale)


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
    step: int = 1,
    start: int = 0,
    least: int = LEAST_SIDE,
) -> list[AxisTile]:
    """Cut one axis into tiles; the cores cover [start, side) once, in order, at most `tile` long.

    Pieces of a tile are equal and as short as possible, but at least `least` long. Windows begin at
    multiples of `step`, and then differ in size.
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
        window = Span(window.start // step * step, window.stop)
        result.append(AxisTile(window, features, core, pieces))
    return result


def tiles(
    height: int,
    width: int,
    *,
    tile: int,
    trunk_radius: int,
    head_radius: int,
    step: int = 1,
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
            step=step,
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


def _scaled(pixels: slice, scale: int) -> slice:
    return slice(pixels.start * scale, pixels.stop * scale)
