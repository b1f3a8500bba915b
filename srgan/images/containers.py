"""Check a file's bytes before anything is decoded: format, declared size, completeness.

Pillow checks less, later, or depending on its global switches (`MAX_IMAGE_PIXELS`,
`LOAD_TRUNCATED_IMAGES`), which other users of Pillow in this process may set.
"""

import zlib
from typing import Literal

from srgan.errors import ImageError

Format = Literal["jpeg", "png", "webp", "tiff", "bmp", "gif", "heic", "avif", "jxl", "raw"]

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
_CR2 = b"II*\0\x10\0\0\0CR\x02"  # a TIFF header; its first image is a preview not marked as one
_BIG_ENDIAN_BIGTIFF = b"MM\x00+"
_SUPPORTED = "JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or AVIF"
_FOREIGN = {
    b"8BPS": "Photoshop",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"v/1\x01": "OpenEXR",
    b"qoif": "QOI",
    **{b"P%d%c" % (kind, end): "Netpbm" for kind in range(1, 8) for end in b"\n\r "},
}
_JXL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_RAW = (
    _CR2,
    b"FUJIFILMCCD-RAW",
    b"FOVb",  # X3F
    b"IIU\x00",  # RW2
    *(b"IIRO", b"IIRS", b"MMOR"),  # ORF
    b"II\x1a\x00\x00\x00HEAPCCDR",  # CRW
)
_BRANDS: dict[Format, set[bytes]] = {
    "avif": {b"avif", b"avis"},
    "heic": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"},
}
"""Brands of ISO media files that hold photos; the others are videos."""
_ANY_CODEC = (b"mif1", b"msf1")
"""Brands of HEIF with any codec."""


def recognise(data: bytes) -> Format:
    """Tell the format by the content; file names are not trusted."""
    if not data:
        raise ImageError("empty", "the file is empty")
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(_PNG_MAGIC):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(_JXL):
        return "jxl"
    if data.startswith(_RAW):
        return "raw"
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            raise ImageError("unsupported", f"{name} cannot be read; convert it to {_SUPPORTED}")
    if data[4:8] == b"ftyp":
        found = _media_format(data)
        if found:
            return found
    raise ImageError("not_an_image", f"the first bytes are {data[:8]!r}, not {_SUPPORTED}")


def _media_format(data: bytes) -> Format | None:
    """Tell which photo an ISO media file holds; None for a video."""
    end = min(int.from_bytes(data[:4], "big"), len(data))
    # The brand of the writer, a version, and brands of what readers must know.
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    if brands[0] == b"crx ":
        return "raw"  # CR3
    for kind, known in _BRANDS.items():
        if brands[0] in known or (brands[0] in _ANY_CODEC and known & set(brands)):
            return kind
    if brands[0] in _ANY_CODEC:
        raise ImageError("unsupported", f"a HEIF without HEVC or AV1; convert it to {_SUPPORTED}")
    return None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a declared size that is empty or larger than `max_pixels`."""
    if width < 1 or height < 1:
        raise ImageError("corrupt", f"declares {width}×{height} pixels")
    if width * height > max_pixels:
        raise ImageError(
            "too_large", f"declares {width}×{height} pixels, more than the limit of {max_pixels}"
        )


def check_png(data: bytes, max_pixels: int) -> None:
    """Check the size, and every chunk up to IEND with its checksum."""
    position, first = len(_PNG_MAGIC), True
    while True:
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        end = position + 12 + length
        if first and len(data) >= position + 16 and kind == b"IHDR":
            width, height = data[position + 8 : position + 12], data[position + 12 : position + 16]
            check_size(int.from_bytes(width, "big"), int.from_bytes(height, "big"), max_pixels)
        elif first and len(kind) == 4 and kind != b"IHDR":
            raise ImageError("corrupt", f"the PNG begins with chunk {kind!r} instead of IHDR")
        if end > len(data):
            raise ImageError("truncated", f"{end - len(data)} bytes of the PNG are missing")
        if zlib.crc32(data[position + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]:
            raise ImageError("corrupt", f"wrong checksum in PNG chunk {kind!r}")
        if kind == b"IEND":
            return
        position, first = end, False


def check_webp(data: bytes, max_pixels: int) -> None:
    """Check the declared canvas and length: libwebp allocates the canvas when it opens a file."""
    kind, body = data[12:16], data[20:30]
    if len(data) < 30:
        raise ImageError("truncated", f"the WebP ends in its header, after {len(data)} bytes")
    if kind == b"VP8X":
        size = [1 + int.from_bytes(body[i : i + 3], "little") for i in (4, 7)]
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        size = [1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)]
    elif kind == b"VP8 ":
        size = [int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8)]
    else:
        raise ImageError("corrupt", f"the WebP begins with chunk {kind!r}")
    check_size(size[0], size[1], max_pixels)
    missing = 8 + int.from_bytes(data[4:8], "little") - len(data)
    if missing > 0:
        raise ImageError("truncated", f"{missing} bytes of the WebP are missing")


def check_gif(data: bytes, max_pixels: int) -> None:
    """Check the declared canvas: Pillow allocates it when it opens a file."""
    if len(data) < 10:
        raise ImageError("truncated", f"the GIF ends in its header, after {len(data)} bytes")
    sides = [int.from_bytes(data[at : at + 2], "little") for at in (6, 8)]
    check_size(sides[0], sides[1], max_pixels)


class RawFileError(Exception):
    """A TIFF is a camera's raw file: readers of TIFF find only its small preview."""


def check_tiff(data: bytes, max_pixels: int) -> None:
    """Check that the directory is whole: most writers put it last, so truncation hits it first.

    The number of pixels is not checked, because it stands in the directory.
    """
    if data.startswith(_BIG_ENDIAN_BIGTIFF):  # Pillow takes it for a small one
        raise ImageError(
            "unsupported", "BigTIFF in big-endian order; save it in little-endian order"
        )
    if data[2:4] not in (b"*\x00", b"\x00*"):
        return  # BigTIFF has a different header
    order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
    directory = int.from_bytes(data[4:8], order)
    num_entries = int.from_bytes(data[directory : directory + 2], order)
    missing = directory + 2 + 12 * num_entries - len(data)
    if missing > 0:
        raise ImageError("truncated", f"{missing} bytes of the TIFF's directory are missing")
