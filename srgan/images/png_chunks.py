"""What of a PNG is picture, and its profile; a reader is given nothing else.

Pillow reads texts that nobody asked for, and refuses a whole file over a compressed one or a
profile of more than 1 MiB, or over a chunk of colour hints that is too short.
"""

import zlib
from collections.abc import Iterator

_SIGNATURE_BYTES = 8
_PROFILE, _END = b"iCCP", b"IEND"
_READ = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", _END}
_RESOLUTION, _RESOLUTION_BYTES = b"pHYs", 9
_LARGEST_PROFILE = 16 * 2**20
"""As much as a JPEG has room for."""
_DEFLATE = 0


def picture(data: bytes) -> bytes:
    """The file (whole, as `check_png` finds it) without the chunks that are not read."""
    kept, start = [], 0
    for kind, begin, end in _chunks(data):
        is_resolution = kind == _RESOLUTION and end - begin - 12 == _RESOLUTION_BYTES
        if kind not in _READ and not is_resolution:
            kept.append(data[start:begin])
            start = end
    return b"".join([*kept, data[start:]]) if kept else data


def profile(data: bytes) -> bytes | None:
    """The ICC profile; None if there is none, it is damaged or has more than 16 MiB."""
    for kind, begin, end in _chunks(data):
        if kind == _PROFILE:
            _, _, packed = data[begin + 8 : end - 4].partition(b"\x00")
            return _unpacked(packed[1:]) if packed[:1] == bytes([_DEFLATE]) else None
    return None


def _unpacked(packed: bytes) -> bytes | None:
    unpacking = zlib.decompressobj()
    try:
        result = unpacking.decompress(packed, _LARGEST_PROFILE)
    except zlib.error:
        return None
    return result if unpacking.eof else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each up to the last."""
    begin, kind = _SIGNATURE_BYTES, b""
    while kind != _END:
        end = begin + 12 + int.from_bytes(data[begin : begin + 4], "big")
        kind = data[begin + 4 : begin + 8]
        yield kind, begin, end
        begin = end
