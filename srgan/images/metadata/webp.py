"""Chunks of WebP files: read metadata, and join the pixels of one file with the rest of another."""

from collections.abc import Iterator
from typing import NamedTuple

_IMAGE = (b"ALPH", b"VP8 ", b"VP8L")
_LOSSLESS, _FRAME = b"VP8L", b"ANMF"
_FRAME_HEAD = 16
_MOST_NAMED = 20
_KNOWN = {*_IMAGE, b"VP8X", b"ICCP", b"ANIM", _FRAME, b"EXIF", b"XMP "}


class Carried(NamedTuple):
    """Metadata of a WebP besides EXIF, profile and the animation, which Pillow reads."""

    xmp: bytes | None
    is_lossless: bool
    """True if the image, or a frame of an animation, was compressed without loss."""
    lost: tuple[str, ...]


def read(data: bytes) -> Carried:
    """Read a complete file."""
    xmp: bytes | None = None
    is_lossless = False
    lost: list[str] = []
    end = 8 + int.from_bytes(data[4:8], "little")
    if data[end:].strip(b"\x00\r\n "):
        lost.append("bytes after the image")
    for kind, body in _chunks(data[:end]):
        if kind == b"XMP ":
            xmp = xmp or body or None
        elif kind == _LOSSLESS:
            is_lossless = True
        elif kind == _FRAME:
            # A frame begins with its place; chunks follow, with or without one for alpha.
            inner = {name for name, _ in _chunks(body, _FRAME_HEAD)}
            is_lossless |= _LOSSLESS in inner
        elif kind not in _KNOWN and len(lost) < _MOST_NAMED:
            lost.append(f"WebP chunk {kind.decode()}" if kind.isalnum() else "WebP chunk")
    return Carried(xmp, is_lossless, tuple(lost))


def joined(small: bytes, large: bytes, width: int, height: int) -> bytes:
    """Make a file with the pixels of `large` and everything else of `small`."""
    described, pixels = dict(_chunks(small)), dict(_chunks(large))
    extended = [chunks[b"VP8X"][0] for chunks in (described, pixels) if b"VP8X" in chunks]
    body = b""
    if extended:
        flags = bytes([extended[0] | extended[-1], 0, 0, 0])
        sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        body += _chunk(b"VP8X", flags + sides)
    for kind in (b"ICCP", *_IMAGE, b"EXIF", b"XMP "):
        chunks = pixels if kind in _IMAGE else described
        if kind in chunks:
            body += _chunk(kind, chunks[kind])
    return _chunk(b"RIFF", b"WEBP" + body)


def _chunks(data: bytes, at: int = 12) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
