"""Read the boxes of HEIC and AVIF files: what they declare, before a library sees them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from srgan.errors import ImageError
from srgan.images.containers import check_size

_NOT_IMAGES = (b"Exif", b"mime", b"uri ")
_MAX_BOXES = 100_000
_IN_FILE = 0
"""How a place is given: from the beginning of the file."""
_IN_META = 1
"""… or from the beginning of a box within `meta`."""
_MONOCHROME_AV1 = 0x10
_MONOCHROME_HEVC = 0


class Box(NamedTuple):
    """One box of a file."""

    kind: bytes
    start: int
    """First byte of its content."""
    end: int


@dataclass
class Declared:
    """Statements of the boxes about the image that viewers show."""

    kinds: dict[int, bytes] = field(default_factory=dict)
    """Kinds of all items: ``hvc1``, ``av01``, ``grid``, ``Exif`` and so on."""
    primary: int = 0
    parts: dict[int, list[int]] = field(default_factory=dict)
    """Tiles of items that are made of others."""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    own: dict[int, list[int]] = field(default_factory=dict)
    """Numbers of the properties of each item, from 1."""
    is_premultiplied: bool = False
    attached: dict[int, bytes] = field(default_factory=dict)
    """Items that belong to others, by the kind of reference: ``auxl``, ``thmb``."""
    has_video: bool = False

    def find(self, kind: bytes) -> list[bytes]:
        """Contents of the primary image's properties of one kind; else those of its first part."""
        for item in (self.primary, *self.parts.get(self.primary, ())[:1]):
            found = self._properties(item)
            if contents := [content for name, content in found if name == kind]:
                return contents
        return []

    @property
    def lost(self) -> tuple[str, ...]:
        """Names of what the file has besides the image that viewers show."""
        parts = {part for parts in self.parts.values() for part in parts}
        names = ["motion video"] if self.has_video else []
        for item, kind in self.kinds.items():
            if kind == b"tmap":
                names.append("gain map")
            elif kind in _NOT_IMAGES or item in (self.primary, *parts):
                continue
            elif self.attached.get(item) == b"auxl":
                names += self._auxiliary(item)
            elif item not in self.attached:
                names.append("further images")
        return tuple(dict.fromkeys(names))

    def _auxiliary(self, item: int) -> list[str]:
        kinds = [content for name, content in self._properties(item) if name == b"auxC"]
        kind = kinds[0].lower() if kinds else b""
        if any(end in kind for end in (b":alpha", b"auxid:1\0")):
            return []
        if b"gainmap" in kind:
            return ["gain map"]
        is_depth = any(end in kind for end in (b":depth", b"auxid:2\0"))
        return ["depth map"] if is_depth else ["auxiliary images"]

    def _properties(self, item: int) -> list[tuple[bytes, bytes]]:
        numbers = (n for n in self.own.get(item, ()) if 0 < n <= len(self.properties))
        return [self.properties[number - 1] for number in numbers]

    @property
    def is_gray(self) -> bool:
        """True if the image has no colours, however a library gives it back."""
        if self.kinds.get(self.primary) in (b"iovl", b"iden"):
            return False
        if av1 := self.find(b"av1C"):
            return len(av1[0]) > 2 and bool(av1[0][2] & _MONOCHROME_AV1)
        hevc = self.find(b"hvcC")
        return bool(hevc) and len(hevc[0]) > 16 and hevc[0][16] & 3 == _MONOCHROME_HEVC

    @property
    def colour_codes(self) -> tuple[int, int] | None:
        """Primaries and transfer by the numbers of ITU-T H.273; None if they are not said."""
        for content in self.find(b"colr"):
            if content[:4] == b"nclx" and len(content) >= 8:
                return _number(content[4:6]), _number(content[6:8])
        return None


def check_heif(data: bytes, max_pixels: int) -> None:
    """Check every declared size, and that all bytes of the items are there."""
    declared(data, max_pixels)


def declared(data: bytes, max_pixels: int) -> Declared:
    """Read what a HEIC or AVIF file declares.

    `ImageError` if it is ``truncated``, ``corrupt``, ``too_large`` or an animation
    (``unsupported``).
    """
    meta, is_sequence, has_video = None, False, False
    try:
        for box in walk(data, 0, len(data)):
            is_sequence |= box.kind == b"moov"
            has_video |= box.kind == b"mpvd"
            if box.kind == b"meta" and meta is None:
                meta = box
    except ImageError:
        if meta is None:
            raise
        # Phones append other things; whether the image is whole is checked below.
    if is_sequence:
        raise ImageError("unsupported", "an image sequence; extract the image that you want")
    if meta is None:
        raise ImageError("truncated", "the box `meta` is missing, which describes the images")
    found = _meta(data, meta, max_pixels)
    found.has_video = has_video
    return found


def _meta(data: bytes, meta: Box, max_pixels: int) -> Declared:
    found = Declared()
    boxes = {box.kind: box for box in walk(data, meta.start + 4, meta.end)}
    try:
        for kind in (b"pitm", b"iinf", b"iprp", b"iloc"):
            if kind not in boxes:
                raise ImageError("corrupt", f"the box {kind.decode()!r} is missing")
        _Reader(data, boxes[b"pitm"]).primary(found)
        _kinds(data, boxes[b"iinf"], found)
        _properties(data, boxes[b"iprp"], found)
        if b"iref" in boxes:
            _references(data, boxes[b"iref"], found)
        places = _Reader(data, boxes[b"iloc"]).places()
    except IndexError as error:
        raise ImageError("corrupt", "a box ends too early") from error
    for kind, content in found.properties:
        if kind == b"ispe":
            check_size(_number(content[4:8]), _number(content[8:12]), max_pixels)
    if not found.find(b"ispe"):
        raise ImageError("corrupt", "the size of the image is missing")
    missing = max((place.end for place in places if place.where == _IN_FILE), default=0) - len(data)
    if missing > 0:
        raise ImageError("truncated", f"{missing} bytes of the image are missing")
    _check_grids(data, found, places, boxes.get(b"idat"), max_pixels)
    return found


def _check_grids(
    data: bytes, found: Declared, places: "list[_Place]", idat: Box | None, max_pixels: int
) -> None:
    """Check the sizes of images made of tiles, which stand among the pixels."""
    for place in places:
        if found.kinds.get(place.item) != b"grid":
            continue
        shift = idat.start if place.where == _IN_META and idat else 0
        content = data[place.start + shift : place.end + shift]
        width = 4 if content[1:2] and content[1] & 1 else 2
        if len(content) < 4 + 2 * width:
            raise ImageError("corrupt", "the description of a grid of tiles is too short")
        sides = [_number(content[at : at + width]) for at in (4, 4 + width)]
        check_size(sides[0], sides[1], max_pixels)


def walk(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two bytes; `ImageError` (``truncated``) if one goes on beyond."""
    for _ in range(_MAX_BOXES):
        if start == end:
            return
        size, head = _number(data[start : start + 4]), 8
        if size == 1:
            size, head = _number(data[start + 8 : start + 16]), 16
        elif size == 0:
            size = end - start
        if start + 8 > end or start + size > end:
            raise ImageError(
                "truncated", f"{start + max(size, 8) - end} bytes of a box are missing"
            )
        if size < head:
            raise ImageError("corrupt", f"a box of {size} bytes")
        yield Box(data[start + 4 : start + 8], start + head, start + size)
        start += size
    raise ImageError("corrupt", f"more than {_MAX_BOXES} boxes")


def _kinds(data: bytes, iinf: Box, found: Declared) -> None:
    start = iinf.start + (6 if data[iinf.start] == 0 else 8)
    for box in walk(data, start, iinf.end):
        reader = _Reader(data, box)
        version = reader.take(4) >> 24
        if box.kind == b"infe" and version >= 2:
            item = reader.take(2 if version == 2 else 4)
            reader.take(2)
            found.kinds[item] = reader.take(4).to_bytes(4, "big")


def _properties(data: bytes, iprp: Box, found: Declared) -> None:
    for box in walk(data, iprp.start, iprp.end):
        if box.kind == b"ipco":
            found.properties += [
                (each.kind, data[each.start : each.end]) for each in walk(data, box.start, box.end)
            ]
        elif box.kind == b"ipma":
            reader = _Reader(data, box)
            head = reader.take(4)
            width = 2 if head & 1 else 1
            for _ in range(reader.take(4)):
                item = reader.take(2 if head >> 24 == 0 else 4)
                essential = 1 << (8 * width - 1)
                numbers = [reader.take(width) & (essential - 1) for _ in range(reader.take(1))]
                found.own.setdefault(item, []).extend(numbers)


def _references(data: bytes, iref: Box, found: Declared) -> None:
    width = 2 if data[iref.start] == 0 else 4
    for box in walk(data, iref.start + 4, iref.end):
        reader = _Reader(data, box)
        item = reader.take(width)
        others = [reader.take(width) for _ in range(reader.take(2))]
        if box.kind == b"dimg":
            found.parts[item] = others
        elif box.kind in (b"auxl", b"thmb"):
            found.attached[item] = box.kind
        elif box.kind == b"prem" and item == found.primary:
            found.is_premultiplied = True


class _Place(NamedTuple):
    item: int
    where: int
    start: int
    end: int


class _Reader:
    """Reads numbers of a box one after the other; `IndexError` at its end."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._data = data
        self._at = box.start
        self._end = box.end

    def take(self, num_bytes: int) -> int:
        """Read a number; 0 bytes make 0."""
        self._at += num_bytes
        if self._at > self._end:
            raise IndexError
        return _number(self._data[self._at - num_bytes : self._at])

    def primary(self, found: Declared) -> None:
        found.primary = self.take(2 if self.take(4) >> 24 == 0 else 4)

    def places(self) -> list[_Place]:
        """Read where the bytes of all items are."""
        version = self.take(4) >> 24
        widths = self.take(2)
        offset, length, base, index = (widths >> shift & 15 for shift in (12, 8, 4, 0))
        result = []
        for _ in range(self.take(2 if version < 2 else 4)):
            item = self.take(2 if version < 2 else 4)
            where = self.take(2) & 15 if version else _IN_FILE
            self.take(2)
            begin = self.take(base)
            for _ in range(self.take(2)):
                self.take(index if version else 0)
                start = begin + self.take(offset)
                result.append(_Place(item, where, start, start + self.take(length)))
        return result


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
