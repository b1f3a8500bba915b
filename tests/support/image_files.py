"""Files for the tests of images, made in memory."""

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def picture(height: int = 40, width: int = 56) -> NDArray[np.uint8]:
    """Smooth enough for JPEG, different in every quarter."""
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([y * 255 // height, x * 255 // width, (x + y) % 64 + 60]).astype(np.uint8)


def file(pixels: NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
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


def dng(
    linear: NDArray[np.uint16],
    *,
    neutral: tuple[float, float, float] = (1.0, 1.0, 1.0),
    orientation: int = 1,
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
