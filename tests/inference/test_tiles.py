import pytest
from hypothesis import given
from hypothesis import strategies as st

from srgan.inference.tiles import AxisTile, axis_tiles, tiles

sides = st.integers(1, 300)
radii = st.integers(0, 50)


def describe(side: int, tile: int, trunk: int, head: int) -> list[AxisTile]:
    return axis_tiles(side, tile=tile, trunk_radius=trunk, head_radius=head)


@given(sides, sides, radii, radii)
def test_cores_cover_every_pixel_once_and_in_order(
    side: int, tile: int, trunk: int, head: int
) -> None:
    covered = [
        pixel
        for part in describe(side, tile, trunk, head)
        for pixel in range(part.core.start, part.core.stop)
    ]
    assert covered == list(range(side))
    assert all(
        part.core.stop - part.core.start <= tile for part in describe(side, tile, trunk, head)
    )


@given(sides, sides, radii, radii)
def test_every_cut_edge_has_real_context_of_the_radius(
    side: int, tile: int, trunk: int, head: int
) -> None:
    for part in describe(side, tile, trunk, head):
        for inner, outer, radius in (
            (part.features, part.window, trunk),
            (part.core, part.features, head),
        ):
            assert outer.start == 0 or inner.start - outer.start >= radius, part
            assert outer.stop == side or outer.stop - inner.stop >= radius, part


@given(sides, sides, radii, radii)
def test_all_windows_of_an_axis_have_one_size_bounded_by_the_tile(
    side: int, tile: int, trunk: int, head: int
) -> None:
    parts = describe(side, tile, trunk, head)
    windows = {part.window.stop - part.window.start for part in parts}
    features = {part.features.stop - part.features.start for part in parts}
    assert windows == {min(side, tile + 2 * (trunk + head))}
    assert features == {min(side, tile + 2 * head)}
    assert all(part.window.start >= 0 and part.window.stop <= side for part in parts)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 200), st.integers(0, 8))
def test_every_part_is_large_enough_for_the_same_algorithm_in_torch(
    height: int, width: int, tile: int, head: int
) -> None:
    for part in tiles(height, width, tile=tile, trunk_radius=5, head_radius=head):
        for rows, columns in part.pieces():
            pixels = rows.features.length * columns.features.length
            assert pixels == height * width or pixels > 20_480


def test_tiles_come_row_by_row() -> None:
    starts = [
        (part.rows.core.start, part.columns.core.start)
        for part in tiles(300, 450, tile=200, trunk_radius=3, head_radius=1)
    ]
    assert starts == [(0, 0), (0, 200), (0, 400), (200, 0), (200, 200), (200, 400)]


def test_a_million_pixel_wide_strip_is_still_cut() -> None:
    parts = list(tiles(1, 1_000_000, tile=192, trunk_radius=37, head_radius=3))
    assert len(parts) == 49
    widest = max(part.columns.window.stop - part.columns.window.start for part in parts)
    assert widest == 144**2 + 2 * 40


@pytest.mark.parametrize(("side", "tile"), [(0, 8), (8, 0), (-1, 8)])
def test_empty_sides_and_tiles_are_refused(side: int, tile: int) -> None:
    with pytest.raises(ValueError, match=f"must be positive, got {side} and {tile}"):
        describe(side, tile, 1, 1)


@given(sides, sides, radii, radii, st.integers(0, 299), st.integers(1, 100))
def test_pieces_cover_a_tile_once_with_the_context_of_the_head(
    side: int, tile: int, trunk: int, head: int, start: int, least: int
) -> None:
    for part in axis_tiles(
        side, tile=tile, trunk_radius=trunk, head_radius=head, start=start, least=least
    ):
        covered = [
            pixel for piece in part.pieces for pixel in range(piece.core.start, piece.core.stop)
        ]
        assert covered == list(range(part.core.start, part.core.stop))
        for piece in part.pieces:
            inner, outer = piece.core, piece.features
            assert part.features.start <= outer.start, piece
            assert outer.stop <= part.features.stop, piece
            assert outer.start == 0 or inner.start - outer.start >= head, piece
            assert outer.stop == side or outer.stop - inner.stop >= head, piece


@given(st.integers(144, 3000))
def test_pieces_have_one_size_that_fits_into_caches(tile: int) -> None:
    (part,) = axis_tiles(tile, tile=tile, trunk_radius=9, head_radius=0)
    lengths = {piece.features.length for piece in part.pieces}
    assert len(lengths) == 1
    assert 144 <= lengths.pop() < 288


def test_tiles_continue_from_a_row() -> None:
    rows = [part.rows.core for part in tiles(500, 90, tile=300, trunk_radius=3, head_radius=1)]
    later = [
        part.rows.core
        for part in tiles(500, 90, tile=231, trunk_radius=3, head_radius=1, first_row=300)
    ]
    assert [(span.start, span.stop) for span in rows] == [(0, 300), (300, 500)]
    assert [(span.start, span.stop) for span in later] == [(300, 500)]
