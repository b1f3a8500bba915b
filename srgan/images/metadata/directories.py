"""Directories of tags, the parts of TIFF files and EXIF blocks: read and write them.

Tags that nothing here knows keep their type and their bytes; Pillow would guess types and write
question marks for letters beyond ASCII. Maker notes do not survive, because
they hold offsets that only the camera's maker knows.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from PIL.ExifTags import IFD, Base

from srgan.images.metadata.exif_block import EXIF_PREFIX

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, LONG8 = 1, 2, 3, 4, 5, 7, 12, 16
_DIRECTORY = 13
"""Kind of an offset to another directory."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {_DIRECTORY: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by kind."""
_FRACTIONS = (RATIONAL, 10)
"""Kinds of two numbers each."""
_POINTERS: dict[int, tuple[int, ...]] = {
    0: (IFD.Exif, IFD.GPSInfo),
    IFD.Exif: (IFD.Interop,),
}
"""Directories by the one that points to them; the first one has no number."""
_OF_BYTES = (BYTE, UNDEFINED, LONG)
"""Kinds of tags that hold bytes."""
_TEXT_IN_16_BITS = b"UNICODE\x00"
_FINEST = 10_000
"""Denominator of fractions that are written."""
_WORD, _ENTRY_BYTES = 4, 12
"""Bytes of a value within an entry of a block, and of an entry."""

Order = Literal["little", "big"]


class Tag(NamedTuple):
    """Kind of the values, how many, and their bytes, little-endian; or another directory."""

    kind: int
    num_values: int
    values: "bytes | Directory"


Directory = dict[int, Tag]


def numbers(kind: int, values: Sequence[float]) -> Tag:
    """Make a tag of numbers."""
    if kind == RATIONAL:
        pairs = [number for value in values for number in (round(value * _FINEST), _FINEST)]
        return Tag(kind, len(values), np.asarray(pairs, "<u4").tobytes())
    types = {SHORT: "<u2", LONG: "<u4", LONG8: "<u8", DOUBLE: "<f8"}
    return Tag(kind, len(values), np.asarray(values, types[kind]).tobytes())


def text(value: str) -> Tag:
    """Make a tag of a text whose letters stand for bytes, as Pillow reads them."""
    values = value.encode("latin-1", "replace") + b"\x00"
    return Tag(ASCII, len(values), values)


def plain(values: bytes) -> Tag:
    """Make a tag of bytes whose meaning TIFF does not know."""
    return Tag(UNDEFINED, len(values), values)


def read_block(block: bytes) -> Directory:
    """Read an EXIF block with its prefix; damaged tags are left out."""
    data = block.removeprefix(EXIF_PREFIX)
    order: Order = "little" if data.startswith(b"II") else "big"
    if data[:4] not in (b"II*\x00", b"MM\x00*"):
        return {}
    return _Reader(data, order, is_big=False).read(int.from_bytes(data[4:8], order))


def read_page(data: bytes, at: int) -> Directory:
    """Read the directory at an offset of a TIFF file; damaged tags are left out."""
    order: Order = "little" if data.startswith(b"II") else "big"
    return _Reader(data, order, is_big=b"+" in data[2:4]).read(at)


def has_maker_note(data: bytes, at: int) -> bool:
    """Tell whether the directory at an offset, or one that it points to, has a maker's note."""
    order: Order = "little" if data.startswith(b"II") else "big"
    reader = _Reader(data, order, is_big=b"+" in data[2:4])
    reader.read(at)
    return reader.has_maker_note


def bytes_of(tag: Tag | None, data: bytes) -> bytes | None:
    """Return the bytes of a tag of the file `data`; None unless it holds bytes.

    Some programs declare them as numbers of 32 bits.
    """
    if tag is None or tag.kind not in _OF_BYTES or not isinstance(tag.values, bytes):
        return None
    if tag.kind == LONG and data.startswith(b"MM"):
        return np.frombuffer(tag.values, "<u4").byteswap().tobytes()  # as in the file
    return tag.values


def write_block(directory: Directory) -> bytes:
    """Write an EXIF block with its prefix."""
    head = b"II*\x00" + (8).to_bytes(4, "little")
    return EXIF_PREFIX + head + write(directory, len(head))


def write(directory: Directory, at: int, *, is_big: bool = False, link: int = 0) -> bytes:
    """Write a directory for offset `at` of a file, little-endian, with what its tags point to.

    `link` is the offset of the next page. The length depends only on the tags' kinds and counts.
    """
    word, entry_bytes = (8, 20) if is_big else (4, 12)
    count_bytes = 8 if is_big else 2
    table, rest = bytearray(len(directory).to_bytes(count_bytes, "little")), bytearray()
    rest_at = at + count_bytes + entry_bytes * len(directory) + word
    for number, tag in sorted(directory.items()):
        values = tag.values
        if not isinstance(values, bytes):
            values = write(values, rest_at + len(rest), is_big=is_big)
        is_here = len(values) <= word and isinstance(tag.values, bytes)
        table += number.to_bytes(2, "little") + tag.kind.to_bytes(2, "little")
        table += tag.num_values.to_bytes(word, "little")
        table += values.ljust(word, b"\x00") if is_here else _pointer(rest_at + len(rest), word)
        if not is_here:
            rest += values + bytes(len(values) % 2)
    return bytes(table + link.to_bytes(word, "little") + rest)


def _pointer(at: int, word: int) -> bytes:
    return at.to_bytes(word, "little")


class _Reader:
    """Reads the directories of one file, until their tags have more bytes than it.

    Tags may lie one over the other: forty thousand of them in a file of a megabyte would take
    20 GB. Honest tags do not, except that some share a number of a few bytes.
    """

    def __init__(self, data: bytes, order: Order, *, is_big: bool) -> None:
        self._data = data
        self._order: Order = order
        self._left_bytes = len(data)
        self.has_maker_note = False
        self._word, self._entry_bytes, self._count_bytes = (8, 20, 8) if is_big else (4, 12, 2)

    def read(self, at: int, number: int = 0) -> Directory:
        """Read the directory at an offset; `number` is the tag that points to it."""
        first = at + self._count_bytes
        num_entries = self._number(at, self._count_bytes)
        end = min(first + num_entries * self._entry_bytes, len(self._data))
        found: Directory = {}
        for entry in range(first, end - self._entry_bytes + 1, self._entry_bytes):
            tag = self._number(entry, 2)
            value = self._tag(entry)
            if self._left_bytes < 0:
                break
            if value is None or tag in found:
                continue
            if tag in _POINTERS.get(number, ()):
                inner = self.read(self._number(entry + 4 + self._word, 4), tag)
                if inner:
                    found[tag] = Tag(LONG, 1, inner)
            elif tag == Base.MakerNote:
                self.has_maker_note = True
            else:
                found[tag] = value
        return found

    def _tag(self, entry: int) -> Tag | None:
        kind, count = self._number(entry + 2, 2), self._number(entry + 4, self._word)
        size = _SIZES.get(kind, 0) * count
        at = entry + 4 + self._word
        if size > self._word:
            at = self._number(at, self._word)
        if not size or kind == _DIRECTORY or at + size > len(self._data):
            return None
        self._left_bytes -= size
        if self._left_bytes < 0:
            return None
        return Tag(kind, count, self._little(self._data[at : at + size], kind))

    def _little(self, values: bytes, kind: int) -> bytes:
        """Bring numbers, and texts of 16 bits a letter, into little-endian order."""
        unit = _SIZES[kind] // (2 if kind in _FRACTIONS else 1)
        if self._order == "little":
            return values
        if kind == UNDEFINED and values.startswith(_TEXT_IN_16_BITS) and len(values) % 2 == 0:
            letters = np.frombuffer(values[len(_TEXT_IN_16_BITS) :], ">u2")
            return _TEXT_IN_16_BITS + letters.astype("<u2").tobytes()
        return values if unit == 1 else np.frombuffer(values, f">u{unit}").byteswap().tobytes()

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._data[at : at + size], self._order)


def shortened(directory: Directory, most_bytes: int) -> list[int]:
    """Delete the largest tags, also of inner directories, until a block takes `most_bytes`.

    Returns their numbers. The block is written once, because it may have tens of thousands.
    """
    left_bytes = len(write_block(directory))
    deleted = []
    for values, number, inner in sorted(_leaves(directory), key=lambda leaf: -len(leaf[0])):
        if left_bytes <= most_bytes:
            break
        beside = len(values) + len(values) % 2 if len(values) > _WORD else 0
        left_bytes -= _ENTRY_BYTES + beside
        del inner[number]
        deleted.append(number)
    _drop_empty(directory)
    return deleted


def _leaves(directory: Directory) -> Iterator[tuple[bytes, int, Directory]]:
    """Yield the bytes of each tag, its number and the directory that it is in."""
    for number, tag in directory.items():
        if isinstance(tag.values, bytes):
            yield tag.values, number, directory
        else:
            yield from _leaves(tag.values)


def _drop_empty(directory: Directory) -> None:
    """Delete inner directories without a tag."""
    for number, tag in list(directory.items()):
        if not isinstance(tag.values, bytes):
            _drop_empty(tag.values)
            if not tag.values:
                del directory[number]
