"""Files for the tests of images, made in memory."""

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from srgan.errors import ImageError
from srgan.images import Photo, decode, encode

LIMIT = 100_000
"""Pixels that a file of the tests may have; all have less."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def picture(height: int = 40, width: int = 56) -> NDArray[np.uint8]:
    """Smooth enough for JPEG, different in every quarter."""
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([y * 255 // height, x * 255 // width, (x + y) % 64 + 60]).astype(np.uint8)


def read(data: bytes, max_pixels: int = LIMIT) -> Photo:
    return decode(data, max_pixels=max_pixels)


def reason(data: bytes, max_pixels: int = LIMIT) -> str:
    """Why a file is refused, which it has to be."""
    with pytest.raises(ImageError) as caught:
        decode(data, max_pixels=max_pixels)
    return caught.value.reason


def file(pixels: NDArray[Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image file of these pixels."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@cache  # a profile carries the second in which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int, order: str = "<") -> bytes:
    """EXIF block with a maker, an orientation and bytes that only the camera understands."""
    mark = b"II" if order == "<" else b"MM"
    block = mark + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", 2)
    block += struct.pack(order + "HHI", 0x010F, 2, 4) + b"abc\x00"
    block += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\x00\x00" + block + struct.pack(order + "I", 0) + b"maker note"


def exif_dpi(x: int, y: int, unit: int = 2, orientation: int = 1, order: str = "<") -> bytes:
    """EXIF block with a resolution (unit 2: inches, 3: centimetres) and a maker note."""
    block = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 4)
    block += struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    values = 8 + 2 + 4 * 12 + 4
    block += struct.pack(order + "HHII", 0x011A, 5, 1, values)
    block += struct.pack(order + "HHII", 0x011B, 5, 1, values + 8)
    block += struct.pack(order + "HHIHH", 0x0128, 3, 1, unit, 0)
    block += struct.pack(order + "IIIII", 0, x * 10, 10, y * 10, 10)
    return b"Exif\x00\x00" + block + b"maker note"


def directory(
    at: int, tags: dict[int, tuple[int, int, bytes]], order: str = "<", link: int = 0
) -> bytes:
    """A directory of tags (kind, number of values, bytes) at an offset, with its values behind."""
    table, rest = struct.pack(order + "H", len(tags)), b""
    rest_at = at + 2 + 12 * len(tags) + 4
    for tag, (kind, num_values, values) in sorted(tags.items()):
        table += struct.pack(order + "HHI", tag, kind, num_values)
        if len(values) <= 4:
            table += values.ljust(4, b"\x00")
        else:
            table += struct.pack(order + "I", rest_at + len(rest))
            rest += values
    return table + struct.pack(order + "I", link) + rest


def camera_exif(
    orientation: int = 1, order: str = "<", *, size: tuple[int, int] = (40, 56), note: int = 30
) -> bytes:
    """EXIF of a camera: sizes in three directories, the subject, a maker note, a thumbnail."""
    height, width = size
    shorts = lambda *values: (3, len(values), struct.pack(f"{order}{len(values)}H", *values))  # noqa: E731
    longs = lambda *values: (4, len(values), struct.pack(f"{order}{len(values)}I", *values))  # noqa: E731
    preview = file(picture(*size)[::4, ::4], "jpeg")
    places = [8, 200, 500 + note, 600 + note, 700 + note]
    first = {0x010F: (2, 4, b"abc\x00"), 0x0112: shorts(orientation), 0x8769: longs(places[1])}
    exif = {
        0x9214: shorts(10, 20, 4, 8),
        0x927C: (7, note, b"maker note".ljust(note, b"!")),
        0x9286: (7, 12, b"UNICODE\x00" + struct.pack(order + "2H", 0x48, 0x69)),
        0xA002: shorts(width),
        0xA003: shorts(height),
        0xA005: longs(places[2]),
    }
    parts = [
        directory(places[0], first, order, places[3]),
        directory(places[1], exif, order),
        directory(places[2], {0x1001: shorts(width), 0x1002: longs(height)}, order),
        directory(
            places[3],
            {0x0103: shorts(6), 0x0201: longs(places[4]), 0x0202: longs(len(preview))},
            order,
        ),
        preview,
    ]
    block = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for at, part in zip(places, parts, strict=True):
        block = block.ljust(at, b"\x00") + part
    return b"Exif\x00\x00" + block


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmp:Rating="5" tiff:Orientation="1" '
    b'exif:PixelXDimension="56" hdrgm:Version="1.0"><exif:PixelYDimension>40'
    b"</exif:PixelYDimension><tiff:XResolution>720000/10000</tiff:XResolution>"
    b"<Container:Directory><rdf:Seq>gain map</rdf:Seq></Container:Directory>"
    b"</rdf:Description></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x05\x00\x05Title"
PHOTOSHOP = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC
GEO = {33550: (10.0, 20.0, 0.0), 33922: (4.0, 8.0, 0.0, 5e5, 4e6, 0.0)}


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def text_of_xmp(packet: bytes) -> bytes:
    """Content of a PNG's chunk iTXt with an XMP packet."""
    return b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + packet


def laden(kind: str) -> bytes:
    """A file with all the metadata that its format can have and a result can keep."""
    block, profile = camera_exif(), srgb_profile()
    if kind == "jpeg":
        extra = jpeg_segment(0xED, b"Photoshop 3.0\x00" + PHOTOSHOP)
        options: dict[str, Any] = {"extra": extra, "comment": b"hello", "xmp": XMP}
        return file(picture(), kind, exif=block, icc_profile=profile, dpi=(72, 72), **options)
    if kind == "png":
        row = b"\x00" + np.ascontiguousarray(picture(1, 56).astype(">u2") * 257).tobytes()
        return png(
            *(56, 40, 16, 2, row * 40),
            png_chunk(b"cICP", bytes([9, 16, 0, 1])),
            png_chunk(b"iCCP", b"name\x00\x00" + zlib.compress(profile)),
            png_chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
            png_chunk(b"eXIf", block[6:]),
            png_chunk(b"tEXt", b"parameters\x00a cat"),
            png_chunk(b"iTXt", text_of_xmp(XMP)),
        )
    if kind == "webp":
        return file(picture(), kind, exif=block, icc_profile=profile, xmp=XMP, lossless=True)
    if kind == "tiff":
        tags = {700: XMP, 33723: IPTC, 270: "scene", **GEO}
        return file(picture(), kind, tiffinfo=tags, icc_profile=profile, dpi=(72, 72))
    if kind == "avif":
        photo = Photo(picture(), exif=block, icc_profile=profile, xmp=XMP)
        return encode(photo, format=kind, jpeg_quality=90)
    if kind == "heic":
        image = pillow_heif.from_pillow(Image.fromarray(picture()))
        target = io.BytesIO()
        image.save(target, exif=block, icc_profile=profile, xmp=XMP, quality=90)
        return target.getvalue()
    return file(picture(), kind, dpi=(72, 72))


def dng(
    linear: NDArray[np.uint16],
    *,
    neutral: tuple[float, float, float] = (1.0, 1.0, 1.0),
    orientation: int = 1,
    xmp: bytes = b"",
) -> bytes:
    """A raw file of a sensor with the colours of linear sRGB (H, W, 3), red first."""
    import tifffile

    sensor = linear[:, :, 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]
    from_xyz = (32_405, -15_371, -4_985, -9_693, 18_760, 416, 556, -2_040, 10_572)
    balance = [part for value in neutral for part in (round(value * 1000), 1000)]
    tags = [
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # a DNG of version 1.4
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50708, "s", 0, "Drawn", True),
        (50714, "H", 1, 0, True),
        (50717, "H", 1, 65_535, True),
        (50721, "2i", 9, tuple(part for value in from_xyz for part in (value, 10_000)), True),
        (50728, "2I", 3, tuple(balance), True),
        (50778, "H", 1, 21, True),
        (271, "s", 0, "Drawn by a test", True),
        (274, "H", 1, orientation, True),
    ]
    if xmp:
        tags.append((700, "B", len(xmp), xmp, True))
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        writer.write(sensor, photometric=32_803, extratags=tags, metadata=None)
    return target.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG by hand: `rows` with their filter bytes, `extra` chunks before the pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    image = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return PNG_MAGIC + header + b"".join(extra) + image
