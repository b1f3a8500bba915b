"""Where tiles lie: geometry alone, in LR pixels, no pixels touched.

Two choices make a tiled result equal to the whole image's in every bit, not just nearly:

- All windows of an image have one size: at a border a window is moved inwards, not cut off, so
  convolutions see one shape, and the image's border is the window's border with its padding.
- A window holds at least 144² pixels (or the whole image). torch computes a 3×3 convolution of
  fewer than 20,480 input values by another algorithm, which adds in another order.

The trunk wants large tiles: its context is most of what is computed twice. The head wants small
ones: it holds s² times as many pixels and needs hardly any context. So a tile's features go
through the head in pieces, of about 144² pixels, which the processor's caches hold best.
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
    """What the head reads: the core with the context of the head."""
    core: Span
    """What the piece contributes to the result."""


@dataclass(frozen=True, slots=True)
class AxisTile:
    """One tile along one axis: `core` within `features` within `window` within the image."""

    window: Span
    """What the trunk reads: the core with the context of the whole network."""
    features: Span
    """What of its result is used: the core with the context of the head."""
    core: Span
    """What the tile contributes to the result."""
    pieces: tuple[AxisPiece, ...]
    """What goes through the head at once; their cores cover the tile's."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of an image."""

    rows: AxisTile
    columns: AxisTile

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
    """Tiles of one axis; the cores cover [start, side) once, in order, each at most `tile` long.

    Their pieces are the shortest equal ones of at least `least`, or the whole tile.
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
    """Tiles of an image of `height` × `width` LR pixels, row by row, from `first_row` down.

    Cores are `tile` squares; smaller ones are enlarged to 144² pixels, along the image where
    that is thinner.
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
    """Least side of a tile in an image that is `across` LR pixels wide in the other direction."""
    return max(LEAST_SIDE, -(-(LEAST_SIDE**2) // across))


def _around(start: int, length: int, context: int, bounds: Span) -> Span:
    length = min(bounds.length, length + 2 * context)
    first = min(max(start - context, bounds.start), bounds.stop - length)
    return Span(first, first + length)
