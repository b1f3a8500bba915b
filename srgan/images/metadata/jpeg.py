"""Segments of JPEG files: read what describes the photo, name what is lost, write them again."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from srgan.images.metadata import photoshop
from srgan.images.metadata.directories import read_block
from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.photo import Photo

_END = b"\xff\xd9"
LARGEST_SEGMENT = 65_533
"""Bytes after the length, which has 16 bits and counts itself."""
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
LARGEST_XMP = LARGEST_SEGMENT - len(_XMP)
LARGEST_IPTC = LARGEST_SEGMENT - len(photoshop.PREFIX) - 13
"""Without the head of a resource and its padding."""
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\x00"
_EXTENSION_HEAD = len(_EXTENSION) + 40
"""With a digest of 32 letters, the whole length and the offset of this part."""
_SEVERAL = b"MPF\x00"
_IMAGES, _IMAGE_BYTES, _PREVIEWS = 0xB002, 16, (0x010001, 0x010002)
"""Tag that lists the images, bytes of each entry, and kinds that cameras give their previews."""
_KNOWN = {
    *((0xE0, b"JFIF"), (0xE0, b"JFXX"), (0xE0, b"AVI1"), (0xE1, EXIF_PREFIX), (0xE1, _XMP)),
    *((0xE1, _EXTENSION), (0xE2, b"ICC_PROFILE\x00"), (0xE2, _SEVERAL), (0xEC, b"Ducky")),
    *((0xED, photoshop.PREFIX), (0xEE, b"Adobe")),
}
"""Segments that are read, or that describe how this file is encoded."""
_CREDENTIALS = (0xEB, b"JP")
_GAIN_MAP_ISO = b"urn:iso:std:iso:ts:21496:-1"
_GAIN_MAPS = (b"hdrgm:", b"HDRGainMap", _GAIN_MAP_ISO)
_VIDEOS = (b"ftypmp4", b"ftypisom", b"ftypqt", b"MotionPhoto_Data")
_COMMENT, _EXIF, _PHOTOSHOP = 0xFE, 0xE1, 0xED
_START, _LAST, _PIXELS = 0xD8, 0xD9, 0xDA
_ALONE = (0x01, _START)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_LUMA_AT = 7
"""Place of the first component's factors in a frame's header."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Begins a segment; within coded pixels there are only zeros and restarts after such a byte."""
_MOST_PARTS = 64 * 2**20
_BEGINNING, _TABLES = b"\xff\xd8\xff", 0xDB
_TABLE_VALUES = 64
_SUM_AT_50 = 3688
"""Sum of the table for luma in annex K of the standard, which libjpeg takes for quality 50."""


@dataclass(frozen=True, slots=True)
class Carried:
    """Metadata of a JPEG besides EXIF and profile, which Pillow reads."""

    xmp: bytes | None
    xmp_extension: bytes | None
    iptc: bytes | None
    comments: tuple[bytes, ...]
    has_more: bool
    """True if further images or a video follow the first image."""
    lost: tuple[str, ...]


def read(data: bytes) -> Carried:
    """Read a whole JPEG; damaged parts are left out."""
    xmp: bytes | None = None
    iptc: bytes | None = None
    comments: list[bytes] = []
    parts: dict[int, bytes] = {}
    lost: list[str] = []
    has_previews = False
    end = len(data)
    for segment in _segments(data):
        body = segment.body
        if segment.marker == _LAST:
            end = segment.end
        elif segment.marker == _COMMENT:
            comments.append(body)
        elif body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif body.startswith(_EXTENSION) and len(body) > _EXTENSION_HEAD:
            parts[int.from_bytes(body[_EXTENSION_HEAD - 4 : _EXTENSION_HEAD], "big")] = body
        elif segment.marker == _PHOTOSHOP and body.startswith(photoshop.PREFIX):
            found = photoshop.read(body[len(photoshop.PREFIX) :])
            iptc = iptc or found.iptc
            lost += found.lost
        elif body.startswith(_SEVERAL):
            has_previews = has_previews or _has_only_previews(body[len(_SEVERAL) :])
        elif not _is_known(segment):
            lost.append(_named(segment))
    more = ("preview",) if has_previews else _after(data[end:])
    extension = _joined(parts, xmp or b"")
    if parts and extension is None:
        lost.append("extended XMP")
    names = tuple(dict.fromkeys((*lost, *more)))  # a file has room for millions of segments
    return Carried(xmp, extension, iptc, tuple(comments), bool(more), names)


def is_whole(data: bytes) -> bool:
    """Tell whether the first image has an end; decoders take what follows it for pixels."""
    return any(segment.marker == _LAST for segment in _segments(data))


def with_end(data: bytes) -> bytes:
    """Insert the end that the first image lacks: before a second image, else at the last byte.

    Decoders end the picture there, and go on with what they have.
    """
    at = next((segment.end for segment in _segments(data) if segment.marker == _START), len(data))
    return data[:at] + _END + data[at:]


def exif(data: bytes) -> bytes | None:
    """Return the EXIF block with its prefix, as far as the first segment goes; None if missing."""
    bodies = (segment.body for segment in _segments(data) if segment.marker == _EXIF)
    return next((body for body in bodies if body.startswith(EXIF_PREFIX)), None)


def is_progressive(data: bytes) -> bool:
    """Tell whether the first image is stored in several passes."""
    return any(segment.marker == _PROGRESSIVE for segment in _segments(data))


def subsampling(data: bytes) -> tuple[int, int]:
    """Return how many columns and rows share a colour, as the frame's header tells; (1, 1) if not.

    Counts those of the first component, luma, against one of the others.
    """
    for segment in _segments(data):
        if segment.marker in _FRAMES and len(segment.body) > _LUMA_AT:
            factors = segment.body[_LUMA_AT]
            return factors >> 4, factors & 15
    return 1, 1


def quality(data: bytes) -> float:
    """Return the quality, 1–100, for which libjpeg makes a table for luma of the same sum.

    100 if the file is not a JPEG. Below 20 libjpeg limits values, and it is too high.
    """
    for segment in _segments(data) if data.startswith(_BEGINNING) else ():
        # The first byte tells the number of the table, 0 for luma, and whether values have 16 bits.
        kind, values = segment.body[:1], segment.body[1:]
        num_bytes = 2 if kind and kind[0] >> 4 else 1
        if segment.marker != _TABLES or len(values) < _TABLE_VALUES * num_bytes or kind[0] & 15:
            continue
        places = range(0, _TABLE_VALUES * num_bytes, num_bytes)
        total = sum(int.from_bytes(values[at : at + num_bytes], "big") for at in places)
        percent = 100 * total / _SUM_AT_50
        return min(100.0, max(1.0, (200 - percent) / 2 if percent <= 100 else 5000 / percent))
    return 100.0


def segments(photo: Photo) -> bytes:
    """Write EXIF, XMP, IPTC and comments; each must fit, only EXIF may take several segments."""
    written = []
    body = (photo.exif or b"").removeprefix(EXIF_PREFIX)
    step = LARGEST_SEGMENT - len(EXIF_PREFIX)
    for at in range(0, len(body), step):
        written.append(_segment(_EXIF, EXIF_PREFIX + body[at : at + step]))
    if photo.xmp:
        written.append(_segment(_EXIF, _XMP + photo.xmp))
    written += _extension_segments(photo.xmp_extension or b"")
    if photo.iptc:
        written.append(_segment(_PHOTOSHOP, photoshop.PREFIX + photoshop.write(photo.iptc)))
    written += [_segment(_COMMENT, comment) for comment in photo.comments]
    return b"".join(written)


def pixels_at(data: bytes) -> int | None:
    """Offset after the segments of metadata; None if `data` ends before it."""
    at = len(_END)
    while len(data) >= at + 4:
        if not 0xE0 <= data[at + 1] <= 0xEF and data[at + 1] != _COMMENT:
            return at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


class _Segment(NamedTuple):
    marker: int
    body: bytes
    end: int


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end of the first image, or up to the start of a second one.

    That end or start is the last that is yielded, unless the file ends before.
    """
    at = len(_END)
    has_pixels = False
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.start() + 1], found.end()
        if marker == _LAST or (has_pixels and marker == _START):
            yield _Segment(marker, b"", at if marker == _LAST else found.start())
            return
        has_pixels = has_pixels or marker == _PIXELS
        if marker not in _ALONE:
            end = at + max(2, int.from_bytes(data[at : at + 2], "big"))
            yield _Segment(marker, data[at + 2 : end], end)
            at = end


def _is_known(segment: _Segment) -> bool:
    if not 0xE0 <= segment.marker <= 0xEF or not segment.body.strip(b"\x00"):
        return True
    return any(
        segment.marker == marker and segment.body.startswith(name) for marker, name in _KNOWN
    )


def _named(segment: _Segment) -> str:
    if segment.marker == _CREDENTIALS[0] and segment.body.startswith(_CREDENTIALS[1]):
        return "content credentials"
    if segment.body.startswith(_GAIN_MAP_ISO):
        return "gain map"
    return f"JPEG segment APP{segment.marker - 0xE0}"


def _has_only_previews(index: bytes) -> bool:
    """Tell whether the further images that an index lists are smaller copies of the first one."""
    entries = read_block(EXIF_PREFIX + index).get(_IMAGES)
    values = entries.values if entries else b""
    if not isinstance(values, bytes):
        return False
    kinds = [
        int.from_bytes(values[at : at + 4], "little" if index.startswith(b"II") else "big")
        for at in range(_IMAGE_BYTES, len(values), _IMAGE_BYTES)
    ]
    return bool(kinds) and all(kind & 0xFFFFFF in _PREVIEWS for kind in kinds)


def _after(rest: bytes) -> tuple[str, ...]:
    """Name what follows the first image."""
    names = []
    if b"\xff\xd8\xff" in rest:
        names = ["gain map" if any(name in rest for name in _GAIN_MAPS) else "further images"]
    if any(name in rest for name in _VIDEOS):
        names.append("motion video")
    if not names and rest.strip(b"\x00\xff\r\n "):
        names = ["bytes after the image"]
    return tuple(names)


def _joined(parts: dict[int, bytes], xmp: bytes) -> bytes | None:
    """Join the second packet of XMP, if it is whole and the one that the first packet names."""
    whole = b"".join(parts[offset][_EXTENSION_HEAD:] for offset in sorted(parts))
    digest = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper().encode()
    return whole if parts and len(whole) <= _MOST_PARTS and digest in xmp.upper() else None


def _extension_segments(packet: bytes) -> Iterator[bytes]:
    digest = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
    step = LARGEST_SEGMENT - _EXTENSION_HEAD
    for at in range(0, len(packet), step):
        head = _EXTENSION + digest + len(packet).to_bytes(4, "big") + at.to_bytes(4, "big")
        yield _segment(_EXIF, head + packet[at : at + step])


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (2 + len(body)).to_bytes(2, "big") + body
