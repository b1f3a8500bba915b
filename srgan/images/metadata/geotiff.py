"""Where a GeoTIFF lies: read the tags, and change those in pixels for a result of another size."""

from collections.abc import Mapping
from typing import Any

from srgan.images.photo import GeoTag

_PIXEL_SCALE, _TIE_POINTS, _MATRIX = 33550, 33922, 34264
KEYS, _NUMBERS, _TEXTS = 34735, 34736, 34737
_GDAL = (42112, 42113)
_IN_FLOATS = {_PIXEL_SCALE: 3, _TIE_POINTS: 6, _MATRIX: 16, _NUMBERS: 1}
"""Tags of floats, and how many of them belong together."""
_RASTER_TYPE, _IS_POINT = 1025, 2
"""The key that says what a pixel's coordinates mean: its corner, or (`_IS_POINT`) its centre."""
TAGS = {*_IN_FLOATS, KEYS, _TEXTS, *_GDAL}


def read(tags: Mapping[int, Any]) -> tuple[GeoTag, ...]:
    """Read the tags of one page; damaged ones are left out."""
    found: list[GeoTag] = []
    for tag in sorted(TAGS & set(tags)):
        value = tags[tag]
        if tag in (_TEXTS, *_GDAL):
            if isinstance(value, str):
                found.append((tag, value))
            continue
        kind = int if tag == KEYS else float
        try:
            numbers = tuple(kind(each) for each in (value if isinstance(value, tuple) else [value]))
        except (TypeError, ValueError, ArithmeticError):
            continue
        if tag == KEYS and not all(0 <= number < 2**16 for number in numbers):
            continue
        if len(numbers) % _IN_FLOATS.get(tag, 4) == 0:
            found.append((tag, numbers))
    return tuple(found)


def grown(tags: tuple[GeoTag, ...], growth: tuple[float, float]) -> tuple[GeoTag, ...]:
    """Change the tags for a picture that is `growth` (y, x) times as large in pixels."""
    # Corners of pixels stay where they are. Centres move by half a pixel of either picture.
    y, x = growth
    shift = (0.5 * x - 0.5, 0.5 * y - 0.5) if _has_centres(dict(tags)) else (0.0, 0.0)
    return tuple((tag, _grown(tag, value, growth, shift)) for tag, value in tags)


def _grown(tag: int, value: Any, growth: tuple[float, float], shift: tuple[float, float]) -> Any:
    y, x = growth
    if tag == _PIXEL_SCALE:
        return value[0] / x, value[1] / y, value[2]
    if tag == _TIE_POINTS:
        points = [value[at : at + 6] for at in range(0, len(value), 6)]
        return tuple(
            number
            for point in points
            for number in (point[0] * x + shift[0], point[1] * y + shift[1], *point[2:])
        )
    if tag == _MATRIX:
        rows = [value[at : at + 4] for at in range(0, 12, 4)]
        return tuple(number for row in rows for number in _row(row, growth, shift)) + value[12:]
    return value


def _row(
    row: tuple[float, ...], growth: tuple[float, float], shift: tuple[float, float]
) -> tuple[float, ...]:
    """Coefficients of old column, row and height, and a constant, for the new column and row."""
    by_column, by_row = row[0] / growth[1], row[1] / growth[0]
    return by_column, by_row, row[2], row[3] - by_column * shift[0] - by_row * shift[1]


def _has_centres(tags: Mapping[int, Any]) -> bool:
    keys = tags.get(KEYS, ())
    entries = [keys[at : at + 4] for at in range(0, len(keys), 4)]
    return any(entry[0] == _RASTER_TYPE and entry[3] == _IS_POINT for entry in entries)
