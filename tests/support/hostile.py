"""Files and names as nobody would make them on purpose who means well; the same for a seed."""

import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

Random = np.random.Generator
Spoil = Callable[[Random, bytes], bytes]

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp"}
FORMATS |= {"GIF": "gif", "AVIF": "avif", "HEIC": "heic"}
_MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "CMYK", "P", "1", "I;16"),
    "BMP": ("RGB", "L", "P", "1"),
    "GIF": ("RGB", "L", "P", "1"),
    "AVIF": ("RGB", "RGBA", "L"),
    "HEIC": ("RGB", "RGBA", "L"),
}
_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
_PNG_HEAD = 8

HOSTILE_NAMES = (
    "../outside.png",
    "../../../../etc/outside.png",
    "deep/../../outside.png",
    "..",
    ".",
    "/etc/outside.png",
    "//outside.png",
    "a//b.png",
    "./a.png",
    "C:/outside.png",
    "back\\..\\slash.png",
    "bell\x07.png",
    "new\nline.png",
    "null\x00.png",
    "escape\x1b[2J.png",
    "next\x85line.png",
    "n" * 1100 + ".png",
)


def corpus(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` pairs of relative path and content; every kind below comes up in turn."""
    random = np.random.default_rng(seed)
    kinds = [*_SPOILS.items(), *((name, _ignoring(make)) for name, make in _MADE.items())]
    for number in range(count):
        name, spoil = kinds[number % len(kinds)]
        kind = str(random.choice(list(FORMATS)))
        data = spoil(random, _picture(random, kind))
        suffix = random.choice(list(FORMATS.values())) if name == "renamed" else FORMATS[kind]
        yield f"{name}/{number:04d}.{suffix}", data


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _picture(random: Random, kind: str) -> bytes:
    height, width = (int(side) for side in random.integers(1, 60, 2))
    mode = str(random.choice(_MODES[kind]))
    if mode == "I;16":
        image = Image.fromarray(random.integers(0, 65536, (height, width), dtype=np.uint16))
    else:
        image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        image = image.convert(mode)
    buffer = BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(buffer)
        return buffer.getvalue()
    options: dict[str, Any] = {"speed": 10} if kind == "AVIF" else {}
    if kind == "TIFF":
        options["compression"] = str(random.choice(_COMPRESSIONS))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _truncated(random: Random, data: bytes) -> bytes:
    return data[: int(random.integers(1, len(data)))]


def _flipped(random: Random, data: bytes) -> bytes:
    spoiled = bytearray(data)
    for _ in range(int(random.integers(1, 30))):
        spoiled[int(random.integers(len(spoiled)))] ^= 1 << int(random.integers(8))
    return bytes(spoiled)


def _flipped_head(random: Random, data: bytes) -> bytes:
    """Where the structure is, and PNG's checksums mended so that they do not save us."""
    head = _flipped(random, data[4:64])
    return _mended(data[:4] + head + data[64:])


def _mended(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, at = [data[:_PNG_HEAD]], _PNG_HEAD
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        parts.append(chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join([*parts, data[at:]])


def _without_middle(random: Random, data: bytes) -> bytes:
    first, last = sorted(int(at) for at in random.integers(0, len(data), 2))
    return data[:first] + data[last:]


def _zeroed(random: Random, data: bytes) -> bytes:
    first, last = sorted(int(at) for at in random.integers(4, len(data), 2))
    return data[:first] + bytes(last - first) + data[last:]


def _spliced(random: Random, data: bytes) -> bytes:
    other = _picture(random, str(random.choice(list(FORMATS))))
    return data[: int(random.integers(len(data)))] + other[int(random.integers(len(other))) :]


def _declared_bomb(random: Random, data: bytes) -> bytes:
    """A size that the data do not hold: far over every limit, or a little below the tests'."""
    side = int(random.choice([990, 30_000, 65_535]))
    if data[:4] == b"\x89PNG":
        header = struct.pack(">II", side, side) + data[24:29]
        return data[:_PNG_HEAD] + chunk(b"IHDR", header) + data[33:]
    if data[:2] == b"BM":
        return data[:18] + struct.pack("<ii", side, side) + data[26:]
    if data[:4] == b"RIFF" and data[12:16] == b"VP8 ":
        return data[:26] + struct.pack("<HH", min(side, 16_383), min(side, 16_383)) + data[30:]
    if data[:3] == b"\xff\xd8\xff":
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        return data[: at + 5] + struct.pack(">HH", side, side) + data[at + 9 :]
    return data.replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 4, 2**31), 1)


_SPOILS: dict[str, Spoil] = {
    "whole": lambda _, data: data,
    "truncated": _truncated,
    "flipped": _flipped,
    "flipped-head": _flipped_head,
    "without-middle": _without_middle,
    "zeroed": _zeroed,
    "spliced": _spliced,
    "renamed": lambda _, data: data,
    "declared-bomb": _declared_bomb,
    "trailing": lambda random, data: data + random.bytes(3000),
}


def _png(size: tuple[int, int], depth: int, colour: int, *chunks: bytes, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(body) + chunk(b"IEND", b"")


def _packed_bomb(random: Random) -> bytes:
    """A few bytes that really hold 49 megapixels."""
    return _png((7000, 7000), 1, 0, rows=bytes(7000 * 876))


def _noise(random: Random) -> bytes:
    heads = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"BM", b"RIFF\x99\0\0\0WEBP"]
    return heads[int(random.integers(len(heads)))] + random.bytes(int(random.integers(1, 4000)))


def _foreign(random: Random) -> bytes:
    heads = [b"GIF89a", b"%PDF-1.7\n", b"PK\x03\x04", b"\x7fELF", b"#!/bin/sh\n", b"<svg>"]
    return heads[int(random.integers(len(heads)))] + random.bytes(200)


def _absurd_exif(random: Random) -> bytes:
    """Offsets that point anywhere, loops, counts of billions, and no orientation in 1 … 8."""
    entries = b"".join(
        struct.pack("<HHII", tag, int(random.integers(0, 14)), count, int(random.integers(2**32)))
        for tag, count in ((0x0112, 2**31), (0x8769, 1), (0x8825, 1), (0x9286, 2**32 - 1))
    )
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 4) + entries + b"\x08\0\0\0"
    exif += random.bytes(int(random.integers(0, 60_000)))
    buffer = BytesIO()
    Image.new("RGB", (9, 7)).save(buffer, str(random.choice(["JPEG", "PNG", "WEBP"])), exif=exif)
    return buffer.getvalue()


def _palette(random: Random) -> bytes:
    """Too short, too long or missing, with transparency for colours that there are not."""
    depth = int(random.choice([1, 2, 4, 8]))
    colours = int(random.choice([0, 1, 3, 256, 700]))
    palette = chunk(b"PLTE", random.bytes(3 * colours)) if colours else b""
    alpha = chunk(b"tRNS", random.bytes(int(random.integers(0, 400))))
    row = b"\0" + random.bytes(-(-16 * depth // 8))
    return _png((16, 16), depth, 3, palette, alpha, rows=row * 16)


def _broken_profile(random: Random) -> bytes:
    profile = b"\0\0\x02\x0clcms\x02\x10\0\0prtrCMYKLab " + random.bytes(500)
    buffer = BytesIO()
    image = Image.frombytes("CMYK", (12, 10), random.bytes(480))
    image.save(buffer, str(random.choice(["JPEG", "TIFF"])), icc_profile=profile)
    return buffer.getvalue()


def _huge_text(random: Random) -> bytes:
    """Text chunks: one large, one that unpacks to 20 MB, or five thousand of them."""
    texts = [
        chunk(b"tEXt", b"Comment\0" + bytes(2_000_000)),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(20_000_000))),
        chunk(b"iTXt", b"Comment\0\x01\0\0\0" + zlib.compress(bytes(20_000_000))),
        chunk(b"tEXt", b"transparency\0none") * 5000,
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(20_000_000))),
    ]
    return _png((4, 4), 8, 2, texts[int(random.integers(len(texts)))], rows=(b"\0" * 13) * 4)


def _hostile_xmp(random: Random) -> bytes:
    """Tags that are opened and never closed, or thousands of prefixes for one namespace.

    In a picture that lies on its side, so that readers change the packet too.
    """
    prefixes = (b" xmlns:p%d='http://ns.adobe.com/xmp/note/'" % n for n in range(5000))
    packets = [
        b"<xmpNote:HasExtendedXMP>" * 20_000,
        b"<xmp:Thumbnails>" * 60_000,
        b"<x HasExtendedXMP=''%b/>" % b"".join(prefixes),
    ]
    packet = packets[int(random.integers(len(packets)))]
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    turned = chunk(b"eXIf", b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + bytes(4))
    return _png((4, 4), 8, 2, turned, text, rows=(b"\0" * 13) * 4)


def _overlapping_exif(random: Random) -> bytes:
    """Ten thousand tags that all have the same bytes, hundreds of thousands."""
    size = int(random.integers(200_000, 800_000))
    number = int(random.choice([0x0112, 0x010F]))
    entries = (struct.pack("<HHII", number + n % 9000, 3, size // 2, 8) for n in range(10_000))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 10_000) + b"".join(entries)
    buffer = BytesIO()
    exif = b"Exif\0\0" + data.ljust(size + 8, b"!")
    Image.new("RGB", (9, 7)).save(buffer, str(random.choice(["PNG", "WEBP"])), exif=exif)
    return buffer.getvalue()


def _thread(random: Random) -> bytes:
    """One pixel wide (or high) and a hundred thousand long."""
    size = (1, 100_000) if random.integers(2) else (100_000, 1)
    return _png(size, 8, 0, rows=b"".join(b"\0" + bytes(size[0]) for _ in range(size[1])))


def _looping_tiff(random: Random) -> bytes:
    """Directories that follow each other in a circle, strips that lie outside of the file."""
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(273, 4, 1, int(random.integers(2**32))), (279, 4, 1, int(random.integers(2**32)))]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + directory + struct.pack("<I", 8) + random.bytes(64)


def _animated(random: Random) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    buffer = BytesIO()
    kind = str(random.choice(["PNG", "WEBP", "TIFF", "GIF"]))
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


_MADE: dict[str, Callable[[Random], bytes]] = {
    "empty": lambda _: b"",
    "packed-bomb": _packed_bomb,
    "noise": _noise,
    "foreign": _foreign,
    "absurd-exif": _absurd_exif,
    "palette": _palette,
    "broken-profile": _broken_profile,
    "huge-text": _huge_text,
    "hostile-xmp": _hostile_xmp,
    "overlapping-exif": _overlapping_exif,
    "looping-tiff": _looping_tiff,
    "animated": _animated,
    "thread": _thread,
}


def _ignoring(make: Callable[[Random], bytes]) -> Spoil:
    return lambda random, _: make(random)
