"""What a small image's file says before its pixels, made to stand before those of a large one."""

from collections.abc import Iterator

_PNG_HEADER = slice(0, 33)
"""Signature and first chunk, which are made of size and kind of the pixels alone."""
_BMP_PIXELS_AT, _BMP_SIZES, _BMP_PIXEL_BYTES, _BMP_FILE_BYTES = 10, 18, 34, 2
_WEBP_IMAGE = (b"ALPH", b"VP8 ", b"VP8L")


def png(small: bytes, large: bytes) -> bytes:
    """Header of `large`, a file or its beginning, and what `small` says besides its pixels."""
    return large[_PNG_HEADER] + small[_PNG_HEADER.stop : png_pixels_at(small)]


def png_pixels_at(data: bytes) -> int | None:
    """Where the first chunk of pixels begins; None if `data` ends before."""
    at = _PNG_HEADER.stop
    while len(data) >= at + 8:
        if data[at + 4 : at + 8] == b"IDAT":
            return at
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def jpeg_pixels_at(data: bytes) -> int | None:
    """Where the segments that only describe (JFIF, EXIF, profile) end; None if `data` does."""
    at = 2
    while len(data) >= at + 4:
        if not 0xE0 <= data[at + 1] <= 0xEF:
            return at
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg(small: bytes) -> bytes:
    """What describes `small`, up to its quantisation."""
    return small[: jpeg_pixels_at(small)]


def webp(small: bytes, large: bytes, width: int, height: int) -> bytes:
    """A whole file: pixels of `large`, everything else of `small`."""
    described, pixels = dict(_riff(small)), dict(_riff(large))
    extended = [chunks[b"VP8X"][0] for chunks in (described, pixels) if b"VP8X" in chunks]
    body = b""
    if extended:
        flags = bytes([extended[0] | extended[-1], 0, 0, 0])
        sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        body += _riff_chunk(b"VP8X", flags + sides)
    for kind in (b"ICCP", *_WEBP_IMAGE, b"EXIF", b"XMP "):
        chunks = pixels if kind in _WEBP_IMAGE else described
        if kind in chunks:
            body += _riff_chunk(kind, chunks[kind])
    return _riff_chunk(b"RIFF", b"WEBP" + body)


def bmp(small: bytes, width: int, height: int, size_bytes: int) -> bytes:
    """Headers and palette of `small` for `size_bytes` of padded pixels."""
    head = bytearray(small[: int.from_bytes(small[_BMP_PIXELS_AT : _BMP_PIXELS_AT + 4], "little")])
    for at, value in (
        (_BMP_FILE_BYTES, len(head) + size_bytes),
        (_BMP_SIZES, width),
        (_BMP_SIZES + 4, height),
        (_BMP_PIXEL_BYTES, size_bytes),
    ):
        head[at : at + 4] = value.to_bytes(4, "little")
    return bytes(head)


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
