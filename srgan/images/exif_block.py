"""Read and change the bytes of an EXIF block in place.

Writing the block again would lose maker notes, whose offsets only the camera's maker knows. A
damaged block counts as empty and is not changed.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, NamedTuple

from PIL.ExifTags import Base

EXIF_PREFIX = b"Exif\x00\x00"

_SHORT, _RATIONAL = 3, 5
"""EXIF's numbers for an unsigned 16-bit value and for a fraction of two 32-bit values."""
_ENTRY_BYTES = 12
_RATIONAL_BYTES = 8
_MOST = 2**32 - 1
_PER_INCH = {2: 1.0, 3: 2.54}
"""Factor to dots per inch by the unit of resolution: inches, centimetres."""
_INCHES = 2
_FINEST = 1000
"""Largest denominator of a resolution that is written."""
_NEARLY = 0.01
"""Relative rounding error of formats that store whole dots per inch or per metre."""


def orientation(block: bytes) -> int:
    """Read the orientation 1 … 8; 1 (upright) if there is none or the block is damaged."""
    for value in _values(block, Base.Orientation, _SHORT):
        number = int.from_bytes(block[value], _byte_order(block))
        if 1 <= number <= 8:
            return number
    return 1


def reset_orientation(block: bytes) -> bytes:
    """Return the EXIF block with orientation 1 and every other byte unchanged."""
    result = bytearray(block)
    for value in _values(block, Base.Orientation, _SHORT):
        result[value] = (1).to_bytes(2, _byte_order(block))
    return bytes(result)


def resolution(block: bytes) -> tuple[float, float] | None:
    """Read the horizontal and vertical dpi of the pixels as stored; None if there are none."""
    found = _resolution(block)
    return None if found is None else (found.x, found.y)


def with_resolution(block: bytes, dpi: tuple[float, float]) -> bytes:
    """Replace the resolution in an EXIF block, if it has one.

    A resolution that differs only by rounding is left unchanged.
    """
    found = _resolution(block)
    if found is None or all(
        abs(new - old) <= _NEARLY * old for new, old in zip(dpi, (found.x, found.y), strict=True)
    ):
        return block
    result = bytearray(block)
    for at, value in zip(found.at, dpi, strict=True):
        result[at : at + _RATIONAL_BYTES] = _rational(value / found.per_inch, _byte_order(block))
    return bytes(result)


class _Resolution(NamedTuple):
    x: float
    y: float
    at: tuple[int, int]
    """Offsets of the two fractions."""
    per_inch: float


def _resolution(block: bytes) -> _Resolution | None:
    order = _byte_order(block)
    unit = _INCHES
    for value in _values(block, Base.ResolutionUnit, _SHORT):
        unit = int.from_bytes(block[value], order)
    places = []
    for tag in (Base.XResolution, Base.YResolution):
        pointers = [block[value] for value in _values(block, tag, _RATIONAL)]
        if not pointers:
            return None
        places.append(len(EXIF_PREFIX) + int.from_bytes(pointers[0], order))
    x, y = (_fraction(block[at : at + _RATIONAL_BYTES], order) for at in places)
    if unit not in _PER_INCH or not x or not y:
        return None
    per_inch = _PER_INCH[unit]
    return _Resolution(x * per_inch, y * per_inch, (places[0], places[1]), per_inch)


def _fraction(data: bytes, order: Literal["little", "big"]) -> float:
    """Read a fraction; 0 if it is not valid."""
    above, below = int.from_bytes(data[:4], order), int.from_bytes(data[4:], order)
    return above / below if len(data) == _RATIONAL_BYTES and below else 0.0


def _rational(value: float, order: Literal["little", "big"]) -> bytes:
    fraction = max(Fraction(value), Fraction(1, _FINEST)).limit_denominator(_FINEST)
    above, below = fraction.numerator, fraction.denominator
    if above > _MOST:
        above, below = min(round(value), _MOST), 1
    return above.to_bytes(4, order) + below.to_bytes(4, order)


def _byte_order(block: bytes) -> Literal["little", "big"]:
    return "little" if block[len(EXIF_PREFIX) :].startswith(b"II") else "big"


def _values(block: bytes, wanted: int, wanted_kind: int) -> Iterator[slice]:
    """Yield where the matching entries of the first directory hold their value or its offset."""
    start, order = len(EXIF_PREFIX), _byte_order(block)
    if block[start : start + 4] not in (b"II*\x00", b"MM\x00*"):
        return
    directory = start + int.from_bytes(block[start + 4 : start + 8], order)
    num_entries = int.from_bytes(block[directory : directory + 2], order)
    end = directory + 2 + _ENTRY_BYTES * num_entries
    for entry in range(directory + 2, end, _ENTRY_BYTES):
        if entry + _ENTRY_BYTES > len(block):
            return
        tag = int.from_bytes(block[entry : entry + 2], order)
        kind = int.from_bytes(block[entry + 2 : entry + 4], order)
        if tag == wanted and kind == wanted_kind:
            yield slice(entry + 8, entry + (10 if kind == _SHORT else 12))
