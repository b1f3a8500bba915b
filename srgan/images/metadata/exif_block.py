"""Read and change the bytes of an EXIF block in place.

Writing the block again would lose maker notes, whose offsets only the camera's maker knows. A
damaged block counts as empty and is not changed.
"""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple

from PIL.ExifTags import IFD, Base

EXIF_PREFIX = b"Exif\x00\x00"

_START = len(EXIF_PREFIX)
"""Offsets within a block count from here."""
_SHORT, _LONG, _RATIONAL = 3, 4, 5
"""EXIF's numbers for unsigned 16-bit and 32-bit values and for a fraction of two of the latter."""
_SIZES = {_SHORT: 2, _LONG: 4, _RATIONAL: 8}
_ENTRY_BYTES = 12
_MOST_VALUES = 4
_MOST = 2**32 - 1
_LARGEST_SHORT = 2**16 - 1
_PER_INCH = {2: 1.0, 3: 2.54}
"""Factor to dots per inch by the unit of resolution: inches, centimetres."""
_INCHES = 2
_FINEST = 1000
"""Largest denominator of a resolution that is written."""
_NEARLY = 0.01
"""Relative rounding error of formats that store whole dots per inch or per metre."""
_SIDES = (
    (Base.ImageWidth, Base.ImageLength),
    (Base.ExifImageWidth, Base.ExifImageHeight),
    (0x1001, 0x1002),
)
"""Width and height of the picture, as the first, the EXIF and the Interop directory name them."""
_SUBJECTS = (0x9214, 0xA214)
"""SubjectArea and SubjectLocation in pixels: x, y, and width and height or a diameter."""
_PREVIEW, _PREVIEW_BYTES = Base.JpegIFOffset, Base.JpegIFByteCount

Order = Literal["little", "big"]


def orientation(block: bytes) -> int:
    """Read the orientation 1 … 8; 1 (upright) if there is none or the block is damaged."""
    for entry in _first(block):
        if entry.tag == Base.Orientation and entry.kind == _SHORT:
            number = entry.numbers(block)[0]
            if 1 <= number <= 8:
                return number
    return 1


def reset_orientation(block: bytes) -> bytes:
    """Return the EXIF block with orientation 1 and every other byte unchanged."""
    result = bytearray(block)
    for entry in (*_first(block), *_preview(block)):
        if entry.tag == Base.Orientation and entry.kind == _SHORT:
            entry.write(result, 0, 1)
    return bytes(result)


def turned(block: bytes, turn: int, height: int, width: int) -> bytes:
    """Turn the subject's coordinates; `height` and `width` are those of the upright photo."""
    result = bytearray(block)
    for entry in _subjects(block):
        numbers = entry.numbers(block)
        if turn >= 5:
            # Pairs of x and y, width and height; a diameter alone stays.
            numbers = [*numbers[1::-1], *numbers[:1:-1]]
        if turn in (2, 3, 6, 7):
            numbers[0] = max(0, width - 1 - numbers[0])
        if turn in (3, 4, 7, 8):
            numbers[1] = max(0, height - 1 - numbers[1])
        for index, number in enumerate(numbers):
            entry.write(result, index, min(number, _LARGEST_SHORT))
    return bytes(result)


def with_size(block: bytes, height: int, width: int, growth: tuple[float, float]) -> bytes:
    """Set all sizes of the picture; multiply the subject's coordinates by `growth` (y, x)."""
    result = bytearray(block)
    for directory, tags in zip(_described(block), _SIDES, strict=True):
        for entry in directory:
            if entry.tag in tags and entry.kind in (_SHORT, _LONG) and entry.num_values == 1:
                entry.write_long(result, width if entry.tag == tags[0] else height)
    for entry in _subjects(block):
        by = growth[::-1] if entry.num_values != 3 else (*growth[::-1], max(growth))
        for index, number in enumerate(entry.numbers(block)):
            entry.write(result, index, min(round(number * by[index % len(by)]), _LARGEST_SHORT))
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
        result[at : at + _SIZES[_RATIONAL]] = _rational(value / found.per_inch, _byte_order(block))
    return bytes(result)


def has_thumbnail(block: bytes) -> bool:
    """Return whether there is a directory after the first one, which describes the thumbnail."""
    return bool(_preview(block))


def with_thumbnail(block: bytes, draw: Callable[[], bytes]) -> bytes:
    """Replace the thumbnail by the JPEG that `draw` makes; drop one that is not a JPEG."""
    place = _preview_place(block)
    if place is None:
        return without_thumbnail(block)
    pointer, length, at, end = place
    result, drawn = bytearray(block), draw()
    result[at:end] = bytes(end - at)  # the old one must not be found by its first bytes
    if at + len(drawn) > end != len(block):
        at = len(block)
    pointer.write_long(result, at - _START)
    length.write_long(result, len(drawn))
    result[at : at + len(drawn)] = drawn
    return bytes(result)


def without_thumbnail(block: bytes) -> bytes:
    """Drop the directory of the thumbnail; and its bytes, if the block ends with them."""
    if not _preview(block):
        return block
    result = bytearray(block)
    link, place = _link(block), _preview_place(block)
    result[link : link + 4] = bytes(4)
    if place is not None and place.end == len(block):
        del result[place.at :]
    return bytes(result)


def has_maker_note(block: bytes) -> bool:
    """Return whether the camera's maker has left a note that only its own offsets explain."""
    return any(entry.tag == Base.MakerNote for entry in _described(block)[1])


class _Entry(NamedTuple):
    """One entry of a directory whose values lie within the block."""

    at: int
    tag: int
    kind: int
    num_values: int
    values_at: int
    order: Order

    def numbers(self, block: bytes) -> list[int]:
        """Read unsigned values of 16 or 32 bits, the first four at most: all that have a meaning.

        Each of thousands of entries may have as many values as the block has room for.
        """
        num_values = min(self.num_values, _MOST_VALUES)
        ends = range(self.values_at, self.values_at + 1 + self._size * num_values, self._size)
        return [int.from_bytes(block[one:next_one], self.order) for one, next_one in pairwise(ends)]

    def write(self, block: bytearray, index: int, number: int) -> None:
        """Change one value, which must fit."""
        at = self.values_at + self._size * index
        block[at : at + self._size] = number.to_bytes(self._size, self.order)

    def write_long(self, block: bytearray, number: int) -> None:
        """Change the only value, with 32 bits if it needs them."""
        if number <= _LARGEST_SHORT or self.kind == _LONG:
            self.write(block, 0, number)
            return
        block[self.at + 2 : self.at + 4] = _LONG.to_bytes(2, self.order)
        block[self.values_at : self.values_at + 4] = number.to_bytes(4, self.order)

    @property
    def _size(self) -> int:
        return _SIZES[self.kind]


def _entries(block: bytes, directory: int | None) -> list[_Entry]:
    """List the entries of the directory at an offset from the beginning of `block`."""
    order = _byte_order(block)
    if directory is None or block[_START : _START + 4] not in (b"II*\x00", b"MM\x00*"):
        return []
    num_entries = int.from_bytes(block[directory : directory + 2], order)
    found = []
    for at in range(directory + 2, directory + 2 + _ENTRY_BYTES * num_entries, _ENTRY_BYTES):
        if at + _ENTRY_BYTES > len(block):
            break
        tag, kind = (int.from_bytes(block[at + n : at + n + 2], order) for n in (0, 2))
        count, pointer = (int.from_bytes(block[at + n : at + n + 4], order) for n in (4, 8))
        size = _SIZES.get(kind, 1) * count
        values_at = at + 8 if size <= 4 else _START + pointer
        if count and values_at + size <= len(block):
            found.append(_Entry(at, tag, kind, count, values_at, order))
    return found


def _first(block: bytes) -> list[_Entry]:
    return _entries(block, _first_at(block))


def _first_at(block: bytes) -> int:
    return _START + int.from_bytes(block[_START + 4 : _START + 8], _byte_order(block))


def _link(block: bytes) -> int:
    """Offset of the pointer to the directory after the first one."""
    first, order = _first_at(block), _byte_order(block)
    return first + 2 + _ENTRY_BYTES * int.from_bytes(block[first : first + 2], order)


def _preview(block: bytes) -> list[_Entry]:
    """List the entries of the directory that describes the thumbnail."""
    at = _link(block)
    pointer = int.from_bytes(block[at : at + 4], _byte_order(block))
    return _entries(block, _START + pointer) if _first(block) and pointer else []


class _Place(NamedTuple):
    pointer: _Entry
    length: _Entry
    at: int
    end: int


def _preview_place(block: bytes) -> _Place | None:
    """Find the bytes of a thumbnail, as far as the block has them; None if it is not a JPEG."""
    found = {entry.tag: entry for entry in _preview(block) if entry.kind in (_SHORT, _LONG)}
    pointer, length = found.get(_PREVIEW), found.get(_PREVIEW_BYTES)
    if pointer is None or length is None:
        return None
    at = min(_START + pointer.numbers(block)[0], len(block))
    return _Place(pointer, length, at, min(at + length.numbers(block)[0], len(block)))


def _described(block: bytes) -> tuple[list[_Entry], list[_Entry], list[_Entry]]:
    """List the entries of the first, the EXIF and the Interop directory."""
    first = _first(block)
    exif = _entries(block, _pointed(block, first, IFD.Exif))
    return first, exif, _entries(block, _pointed(block, exif, IFD.Interop))


def _pointed(block: bytes, directory: list[_Entry], tag: int) -> int | None:
    for entry in directory:
        if entry.tag == tag and entry.kind == _LONG:
            return _START + entry.numbers(block)[0]
    return None


def _subjects(block: bytes) -> list[_Entry]:
    return [
        entry
        for entry in _described(block)[1]
        if entry.tag in _SUBJECTS and entry.kind == _SHORT and entry.num_values in (2, 3, 4)
    ]


class _Resolution(NamedTuple):
    x: float
    y: float
    at: tuple[int, int]
    """Offsets of the two fractions."""
    per_inch: float


def _resolution(block: bytes) -> _Resolution | None:
    order = _byte_order(block)
    found = {entry.tag: entry for entry in reversed(_first(block))}
    unit = _INCHES
    if Base.ResolutionUnit in found and found[Base.ResolutionUnit].kind == _SHORT:
        unit = found[Base.ResolutionUnit].numbers(block)[0]
    places = []
    for tag in (Base.XResolution, Base.YResolution):
        if tag not in found or found[tag].kind != _RATIONAL:
            return None
        places.append(found[tag].values_at)
    x, y = (_fraction(block[at : at + _SIZES[_RATIONAL]], order) for at in places)
    if unit not in _PER_INCH or not x or not y:
        return None
    per_inch = _PER_INCH[unit]
    return _Resolution(x * per_inch, y * per_inch, (places[0], places[1]), per_inch)


def _fraction(data: bytes, order: Order) -> float:
    """Read a fraction; 0 if it is not valid."""
    above, below = int.from_bytes(data[:4], order), int.from_bytes(data[4:], order)
    return above / below if len(data) == _SIZES[_RATIONAL] and below else 0.0


def _rational(value: float, order: Order) -> bytes:
    fraction = max(Fraction(value), Fraction(1, _FINEST)).limit_denominator(_FINEST)
    above, below = fraction.numerator, fraction.denominator
    if above > _MOST:
        above, below = min(round(value), _MOST), 1
    return above.to_bytes(4, order) + below.to_bytes(4, order)


def _byte_order(block: bytes) -> Order:
    return "little" if block[_START:].startswith(b"II") else "big"
