"""Read what cameras write into raw files besides the picture: EXIF, place and IPTC.

Most raw files are TIFFs, some with another mark at the beginning; Canon's newest are ISO media
files, and Fujifilm's hold a JPEG with the EXIF. Other kinds, such as CRW and X3F, are not read.
"""

from collections.abc import Callable
from typing import NamedTuple

from PIL.ExifTags import IFD

from srgan.images.boxes import walk
from srgan.images.metadata import jpeg
from srgan.images.metadata.directories import (
    LONG,
    Directory,
    Tag,
    bytes_of,
    has_maker_note,
    read_block,
    read_page,
    write_block,
)
from srgan.images.metadata.exif_block import EXIF_PREFIX

_TIFF_MARKS = (b"*\0", b"\0*", b"RO", b"RS", b"OR", b"U\0")
"""Second and third byte after the byte order: of TIFF, of Olympus and of Panasonic."""
_MEDIA = b"ftyp"
_FUJIFILM, _FUJIFILM_JPEG_AT = b"FUJIFILMCCD-RAW", 84
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
"""Kind of the box with the directories: of the picture, of EXIF, of the maker, of the place."""
_XMP, _IPTC = 700, 33723
_OF_THE_CAMERA = {270, 271, 272, 305, 306, 315, 33432, IFD.Exif, IFD.GPSInfo}
_SUBJECTS = {0x9214: "SubjectArea", 0xA214: "SubjectLocation"}


class Carried(NamedTuple):
    """Metadata of a raw file without what describes the sensor."""

    exif: bytes | None
    iptc: bytes | None
    lost: tuple[str, ...]


class _Found(NamedTuple):
    page: Directory
    """The first directory with those of EXIF and of the place."""
    has_note: bool


def read(data: bytes, *, is_turned: bool) -> Carried:
    """Read a raw file; `is_turned` tells that the developed picture is not as the sensor saw it.

    Develop settings in XMP are not carried on: programs would apply them to the result again.
    """
    try:
        found = _reader(data)(data)
    # The parsers may find anything in damaged files; the picture is still fine.
    except Exception:
        return Carried(None, None, ("damaged metadata",))
    if found is None:
        return Carried(None, None, ("EXIF",))
    lost = ["EXIF maker note"] if found.has_note else []
    lost += ["XMP"] if _XMP in found.page else []
    kept = {number: tag for number, tag in found.page.items() if number in _OF_THE_CAMERA}
    exif = kept[IFD.Exif].values if IFD.Exif in kept else b""
    if is_turned and not isinstance(exif, bytes):
        lost += [f"EXIF {name}" for tag, name in _SUBJECTS.items() if exif.pop(tag, None)]
    iptc = bytes_of(found.page.get(_IPTC), data)
    return Carried(write_block(kept) if kept else None, iptc, tuple(lost))


def _reader(data: bytes) -> Callable[[bytes], _Found | None]:
    if data[2:4] in _TIFF_MARKS:
        return _of_tiff
    if data[4:8] == _MEDIA:
        return _of_canon
    return _of_fujifilm if data.startswith(_FUJIFILM) else lambda data: None


def _of_tiff(data: bytes) -> _Found:
    at = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
    return _Found(read_page(data, at), has_maker_note(data, at))


def _of_canon(data: bytes) -> _Found | None:
    blocks = {
        inner.kind: EXIF_PREFIX + data[inner.start : inner.end]
        for movie in walk(data, 0, len(data))
        if movie.kind == b"moov"
        for box in walk(data, movie.start, movie.end)
        if box.kind == b"uuid" and data[box.start : box.start + 16] == _CANON
        for inner in walk(data, box.start + 16, box.end)
    }
    if b"CMT1" not in blocks:
        return None
    page = read_block(blocks[b"CMT1"])
    for kind, pointer in ((b"CMT2", IFD.Exif), (b"CMT4", IFD.GPSInfo)):
        if inside := read_block(blocks.get(kind, b"")):
            page[pointer] = Tag(LONG, 1, inside)
    return _Found(page, b"CMT3" in blocks)


def _of_fujifilm(data: bytes) -> _Found | None:
    at, size = (
        int.from_bytes(data[begin : begin + 4], "big")
        for begin in (_FUJIFILM_JPEG_AT, _FUJIFILM_JPEG_AT + 4)
    )
    block = jpeg.exif(data[at : at + size])
    if block is None:
        return None
    first = int.from_bytes(block[10:14], "little" if block[6:8] == b"II" else "big")
    tiff = block.removeprefix(EXIF_PREFIX)
    return _Found(read_block(block), has_maker_note(tiff, first))
