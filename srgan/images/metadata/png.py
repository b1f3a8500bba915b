"""Chunks of PNG files: read and write metadata."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.photo import Photo

_SIGNATURE_BYTES = 8
_HEADER_BYTES = _SIGNATURE_BYTES + 25
"""Signature and first chunk."""
_PROFILE, _END = b"iCCP", b"IEND"
_READ = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", _END}
_FRAME = b"fdAT"
"""Pixels of a frame after the first; without any, an animation is a still."""
_ANIMATION = {b"acTL", b"fcTL", _FRAME}
_RESOLUTION, _RESOLUTION_BYTES = b"pHYs", 9
_LARGEST_PROFILE = 16 * 2**20
"""A JPEG has room for as much."""
_DEFLATE = 0
COLOURS = {"cICP": 4, "mDCV": 24, "mDCv": 24, "cLLI": 8, "cLLi": 8, "sRGB": 1, "gAMA": 4}
COLOURS |= {"cHRM": 32}
"""Chunks that say how the numbers are shown, and their bytes; two have an older name too."""
TEXTS = ("tEXt", "zTXt", "iTXt")
_OF_THE_FILE = {*_READ, _PROFILE, _RESOLUTION, b"hIST", b"sBIT", b"sPLT", b"tIME", b"iDOT"}
_OF_THE_FILE |= {b"acTL", b"fcTL", b"fdAT"}
"""Read, or about how and when this file was written."""
_MOST_NAMED = 20
_XMP = b"XML:com.adobe.xmp\x00"
_PLAIN_XMP = bytes(4)
"""Not compressed, in no language, with no translated name."""
_LARGEST_XMP = 16 * 2**20
_INCHES_PER_METRE = 1 / 0.0254
_PADDING = b"paDd"
"""Ancillary and private by the case of its letters."""
PADDING_BYTES = 12


def picture(data: bytes) -> bytes:
    """Drop the chunks that are not read from a complete file that `check_png` has checked."""
    kept, start = [], 0
    is_animated = any(kind == _FRAME for kind, _, _ in _chunks(data))
    read = _READ | _ANIMATION if is_animated else _READ
    for kind, begin, end in _chunks(data):
        is_resolution = kind == _RESOLUTION and end - begin - 12 == _RESOLUTION_BYTES
        if kind not in read and not is_resolution:
            kept.append(data[start:begin])
            start = end
    return b"".join([*kept, data[start:]]) if kept else data


def profile(data: bytes) -> bytes | None:
    """Return the ICC profile; None if there is none, it is damaged or larger than 16 MiB."""
    for kind, begin, end in _chunks(data):
        if kind == _PROFILE:
            _, _, packed = data[begin + 8 : end - 4].partition(b"\x00")
            return _unpacked(packed[1:]) if packed[:1] == bytes([_DEFLATE]) else None
    return None


class Carried(NamedTuple):
    """Metadata of a PNG besides EXIF, resolution and profile."""

    xmp: bytes | None
    chunks: tuple[tuple[str, bytes], ...]
    """Name and content of chunks about colours, and of texts."""
    lost: tuple[str, ...]


def read(data: bytes) -> Carried:
    """Read a complete file that `check_png` has checked."""
    xmp: bytes | None = None
    chunks: list[tuple[str, bytes]] = []
    lost: list[str] = []
    seen: set[str] = set()
    end = 0
    for kind, begin, end in _chunks(data):
        name, body = kind.decode("latin-1"), data[begin + 8 : end - 4]
        is_first = name not in seen
        seen.add(name)
        if kind == b"iTXt" and body.startswith(_XMP) and xmp is None:
            xmp = _xmp(body[len(_XMP) :])
        elif name in TEXTS or (COLOURS.get(name) == len(body) and is_first):
            chunks.append((name, body))
        elif kind not in _OF_THE_FILE and is_first and len(lost) < _MOST_NAMED:
            lost.append(f"PNG chunk {name}" if kind.isalpha() else "PNG chunk")
        elif kind == _PROFILE and is_first and profile(data) is None:
            lost.append("ICC profile")
    if data[end:].strip(b"\x00\r\n "):
        lost.append("bytes after the image")
    return Carried(xmp, tuple(chunks), tuple(lost))


def _xmp(text: bytes) -> bytes | None:
    """Read a text after its name: whether it is compressed and how, two more names, the packet."""
    is_packed, (*_, packet) = text[:1] == b"\x01", text[2:].split(b"\x00", 2)
    return _unpacked(packet, _LARGEST_XMP) if is_packed else packet or None


def _unpacked(packed: bytes, most: int = _LARGEST_PROFILE) -> bytes | None:
    unpacking = zlib.decompressobj()
    try:
        result = unpacking.decompress(packed, most)
    except zlib.error:
        return None
    return result if unpacking.eof else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of each chunk up to the last."""
    begin, kind = _SIGNATURE_BYTES, b""
    while kind != _END:
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        kind = data[begin + 4 : begin + 8]
        yield kind, begin, end
        begin = end


def with_metadata(data: bytes, photo: Photo) -> bytes:
    """Insert everything besides the pixels after the header, where all chunks are allowed.

    Profile and EXIF are kept to the byte, which libvips would rewrite.
    """
    rest = data[_HEADER_BYTES:]
    if rest[4:8] == _RESOLUTION:  # libvips writes a resolution whether there is one or not
        rest = rest[12 + _RESOLUTION_BYTES :]
    return data[:_HEADER_BYTES] + _metadata(photo) + rest


def padded(data: bytes, size_bytes: int, filling: bytes) -> bytes:
    """Make a PNG `size_bytes` long by a chunk that readers skip, filled with `filling` repeated.

    It takes `PADDING_BYTES` more than `data` has at least.
    """
    room = size_bytes - len(data) - PADDING_BYTES
    assert room >= 0, f"{len(data)} bytes do not fit into {size_bytes}"
    end = next(begin for kind, begin, _ in _chunks(data) if kind == _END)
    body = (filling * (room // len(filling) + 1))[:room]
    return data[:end] + _chunk(_PADDING, body) + data[end:]


def _metadata(photo: Photo) -> bytes:
    written = [_chunk(name.encode("latin-1"), body) for name, body in photo.chunks]
    if photo.icc_profile:
        packed = b"ICC Profile\x00\x00" + zlib.compress(photo.icc_profile)
        written.append(_chunk(_PROFILE, packed))
    if photo.dpi:
        per_metre = [round(value * _INCHES_PER_METRE).to_bytes(4, "big") for value in photo.dpi]
        written.append(_chunk(_RESOLUTION, b"".join(per_metre) + b"\x01"))
    if photo.exif:
        written.append(_chunk(b"eXIf", photo.exif.removeprefix(EXIF_PREFIX)))
    if photo.xmp:
        written.append(_chunk(b"iTXt", _XMP + _PLAIN_XMP + photo.xmp))
    written += [_chunk(b"tEXt", b"Comment\x00" + _plain(text)) for text in photo.comments]
    return b"".join(written)


def _plain(text: bytes) -> bytes:
    """Turn a comment into Latin-1 without zeros."""
    with suppress(UnicodeDecodeError):  # not UTF-8, so Latin-1 already
        text = text.decode().encode("latin-1", "replace")
    return text.replace(b"\x00", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")
