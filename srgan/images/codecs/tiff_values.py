"""Decompress one page of a TIFF: the values as they are stored, whatever they mean.

libtiff decompresses, by way of libvips. libvips would also interpret the values, wrongly for gray
and alpha in planes and not at all for planes in tiles. So each page, or each of its planes, is
packed as a new TIFF whose few tags leave nothing to interpret; `tiff_pixels` does that.
Packing also checks that every strip lies in the file, and keeps odd tags away from libtiff.
"""

import lzma
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    FILLORDER,
    IMAGELENGTH,
    IMAGEWIDTH,
    JPEGTABLES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    ROWSPERSTRIP,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILELENGTH,
    TILEOFFSETS,
    TILEWIDTH,
    YCBCRSUBSAMPLING,
    TiffImageFile,
)
from PIL.TiffTags import lookup

from srgan.errors import ImageError
from srgan.images.codecs.libvips import refusal, values, vips
from srgan.images.metadata import jpeg
from srgan.images.photo import Samples

Tags = Mapping[int, Any]
"""A page's directory: a number, a tuple of numbers, bytes or text by tag."""

BLACK_IS_ZERO, RGB, INK, YCBCR = 1, 2, 5, 6
"""TIFF's numbers for kinds of colour."""
_NUM_COLOURS = {RGB: 3, INK: 4, YCBCR: 3}
"""Kinds that libtiff has to know to decompress JPEG; we call all others gray."""
JPEG = 7
_NONE, _DEFLATE, _LZMA, _ZSTD, _WEBP = 1, 8, 34925, 50000, 50001
_ONE_BIT_ONLY = {2: "CCITT run lengths", 3: "fax group 3", 4: "fax group 4"}
_EIGHT_BITS_ONLY = {JPEG: "JPEG", _WEBP: "WebP"}
_ANY_BITS = {_NONE: "none", 5: "LZW", _DEFLATE: "Deflate", 32946: "Deflate", 32773: "PackBits"}
_ANY_BITS |= {_ZSTD: "Zstandard", _LZMA: "LZMA"}
COMPRESSIONS = _ANY_BITS | _EIGHT_BITS_ONLY | _ONE_BIT_ONLY
"""Names of the compressions that are read, by TIFF's numbers."""
_FAX_OPTIONS = (292, 293)
_PLANAR = 2
_HEADER_BYTES = 16
_MOST_CHANNELS = 8
_MOST_TILE_PIXELS = 2**24
"""Tiles may be larger than the picture; libtiff allocates them whole."""
_COPIED = (FILLORDER, PREDICTOR, YCBCRSUBSAMPLING, *_FAX_OPTIONS)
_BYTES, _LONG8 = 7, 16
"""TIFF's numbers for bytes and for 64-bit values."""


@dataclass(frozen=True)
class PageLayout:
    """How the values of a page are stored; `read_layout` has checked it."""

    width: int
    height: int
    bits: int
    num_channels: int
    photometric: int
    compression: int
    is_planar: bool
    is_tiled: bool
    piece_width: int
    """Pixels of a tile, or of the picture if it is stored in strips."""
    piece_height: int

    @property
    def num_planes(self) -> int:
        """1 if the channels of a pixel are next to each other."""
        return self.num_channels if self.is_planar else 1

    @property
    def num_pieces(self) -> int:
        """Strips or tiles of a plane."""
        across = math.ceil(self.width / self.piece_width)
        return across * math.ceil(self.height / self.piece_height)

    def as_column(self) -> "PageLayout":
        """Return the layout of a page whose strips are the tiles of this one, below each other."""
        height = self.num_pieces * self.piece_height
        return replace(self, width=self.piece_width, height=height, is_tiled=False)

    def tiled(self, column: Samples) -> Samples:
        """Put the values of tiles that are below each other, (H, W, channels), in their places."""
        across = math.ceil(self.width / self.piece_width)
        tiles = column.reshape(-1, across, self.piece_height, self.piece_width, column.shape[2])
        rows = tiles.swapaxes(1, 2).reshape(-1, across * self.piece_width, column.shape[2])
        return rows[: self.height, : self.width]

    def piece_bytes(self, number: int) -> int:
        """Bytes of a decompressed strip or tile of a plane; the last strip may be shorter."""
        height = self.piece_height
        if not self.is_tiled:
            height = min(height, self.height - number * height)
        return height * math.ceil(
            self.piece_width * self.bits * (self.num_channels // self.num_planes) / 8
        )


def read_layout(tags: Tags) -> PageLayout:
    """Read how a page is stored; `ImageError` if it contradicts itself or cannot be read."""
    width, height = number(tags, IMAGEWIDTH), number(tags, IMAGELENGTH)
    is_tiled = TILEWIDTH in tags
    if is_tiled:
        piece_width, piece_height = number(tags, TILEWIDTH), number(tags, TILELENGTH)
    else:
        piece_width, piece_height = width, min(number(tags, ROWSPERSTRIP, height), height)
    if min(width, height, piece_width, piece_height) < 1:
        raise ImageError("corrupt", "the TIFF has strips or tiles without pixels")
    if is_tiled and piece_width * piece_height > max(_MOST_TILE_PIXELS, 4 * width * height):
        raise ImageError("too_large", f"tiles of {piece_width}×{piece_height} pixels")
    num_channels = number(tags, SAMPLESPERPIXEL, 1)
    if not 1 <= num_channels <= _MOST_CHANNELS:
        raise ImageError("unsupported", f"{num_channels} channels; convert to gray or RGB")
    layout = PageLayout(
        width=width,
        height=height,
        bits=_bits(tags, num_channels),
        num_channels=num_channels,
        photometric=number(tags, PHOTOMETRIC_INTERPRETATION),
        compression=number(tags, COMPRESSION, _NONE),
        is_planar=num_channels > 1 and number(tags, PLANAR_CONFIGURATION, 1) == _PLANAR,
        is_tiled=is_tiled,
        piece_width=piece_width,
        piece_height=piece_height,
    )
    _check_compression(layout)
    return layout


def read_values(layout: PageLayout, tags: Tags, data: bytes) -> Samples:
    """Read uint8 or uint16 (H, W, channels); fewer than 8 bits are spread over 0 … 255.

    YCbCr becomes RGB where libtiff converts it: compressed as JPEG, or with fewer colours than
    luma. `ImageError` if the page is damaged.
    """
    order = ">" if data[:2] == b"MM" else "<"
    pieces = _planes(layout, tags, data)
    if layout.compression == JPEG and jpeg.is_progressive(bytes(pieces[0][0])):
        raise ImageError("unsupported", "progressive JPEG in a TIFF; save it with LZW")
    # libvips decompresses JPEG tiles by itself, and only those of one, three or four channels.
    if layout.is_tiled and layout.compression == JPEG:
        column = layout.as_column()
        planes = [
            layout.tiled(_decompressed(_packed(column, plane, tags, order))) for plane in pieces
        ]
    else:
        planes = [_decompressed(_packed(layout, plane, tags, order)) for plane in pieces]
    result = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    expected = (layout.height, layout.width, layout.num_channels)
    if layout.photometric == YCBCR:
        result = result[:, :, :3]  # libvips adds its own alpha
    if result.shape != expected or result.itemsize != max(layout.bits // 8, 1):
        raise ImageError("corrupt", f"the TIFF's values have shape {result.shape}, not {expected}")
    return result


class TiffDirectories(TiffImageFile):
    """The directories of a TIFF: Pillow knows only some kinds of pixels, so others read them."""

    def _setup(self) -> None:
        self._size = (number(self.tag_v2, IMAGEWIDTH), number(self.tag_v2, IMAGELENGTH))
        self._mode = "L"


def number(tags: Tags, tag: int, default: int | None = None) -> int:
    """Read a tag of one number; `ImageError` if it is missing without a `default`."""
    found = numbers(tags, tag, None if default is None else (default,))
    if not found:
        raise ImageError("corrupt", f"{lookup(tag).name} of the TIFF is empty")
    return found[0]


def numbers(tags: Tags, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Read a tag of whole numbers; `ImageError` if it is missing or holds something else."""
    value = tags.get(tag, default)
    if value is None:
        raise ImageError("corrupt", f"the TIFF has no {lookup(tag).name}")
    several = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(one, int) for one in several):
        raise ImageError("corrupt", f"{lookup(tag).name} of the TIFF is {str(value)[:40]!r}")
    return several


def _bits(tags: Tags, num_channels: int) -> int:
    found = numbers(tags, BITSPERSAMPLE, (1,))[:num_channels]
    if len(found) not in (1, num_channels) or len(set(found)) > 1:
        raise ImageError(
            "unsupported", f"{found} bits for {num_channels} channels; convert to 8 or 16 each"
        )
    bits = found[0]
    if bits not in (1, 2, 4, 8, 16):
        raise ImageError("unsupported", f"{bits} bits per channel; convert to 8 or 16")
    if bits < 8 and num_channels > 1:
        raise ImageError(
            "unsupported", f"{num_channels} channels of {bits} bits; convert to 8 bits"
        )
    return bits


def _check_compression(layout: PageLayout) -> None:
    kind, bits = layout.compression, layout.bits
    if kind not in COMPRESSIONS:
        raise ImageError("unsupported", f"compression {kind}; save the TIFF with LZW or without")
    if (kind in _ONE_BIT_ONLY and bits != 1) or (kind == _WEBP and bits != 8):
        raise ImageError(
            "corrupt", f"{COMPRESSIONS[kind]} in the TIFF is said to have {bits} bits per channel"
        )
    if kind == JPEG and bits != 8:
        raise ImageError("unsupported", f"JPEG of {bits} bits in a TIFF; save it with LZW")


def _planes(layout: PageLayout, tags: Tags, data: bytes) -> list[list[memoryview]]:
    """Cut out the strips or tiles of each plane; `ImageError` if one is not in the file."""
    count = layout.num_pieces * layout.num_planes
    starts = numbers(tags, TILEOFFSETS if layout.is_tiled else STRIPOFFSETS)
    if len(starts) < count:
        raise ImageError("corrupt", f"the TIFF has {len(starts)} strips or tiles of {count}")
    is_packed = layout.compression != _NONE or layout.photometric == YCBCR
    if not is_packed:
        sizes = [layout.piece_bytes(n % layout.num_pieces) for n in range(count)]
    else:
        rest = (len(data) - starts[0],) if count == 1 else None
        sizes = list(numbers(tags, TILEBYTECOUNTS if layout.is_tiled else STRIPBYTECOUNTS, rest))
        if len(sizes) < count or min(starts[:count]) < 1 or min(sizes[:count]) < 1:
            raise ImageError("corrupt", "a strip or tile of the TIFF is empty")
    ends = [start + size for start, size in zip(starts, sizes, strict=False)][:count]
    if max(ends) > len(data):
        missing = max(ends) - len(data)
        raise ImageError("truncated", f"{missing} bytes of the TIFF's pixels are missing")
    # Otherwise a small file could name the same bytes a million times.
    num_values = layout.height * layout.width * layout.num_channels
    if is_packed and sum(sizes[:count]) > len(data) + num_values:
        raise ImageError("corrupt", "the strips or tiles of the TIFF overlap")
    view = memoryview(data)
    pieces = [view[start:end] for start, end in zip(starts, ends, strict=False)]
    return [
        pieces[first : first + layout.num_pieces] for first in range(0, count, layout.num_pieces)
    ]


def _packed(layout: PageLayout, pieces: list[memoryview], tags: Tags, order: str) -> bytes:
    """Make a BigTIFF of one plane: header, pixels, directory."""
    compression, packed = layout.compression, list[memoryview | bytes](pieces)
    if compression in (_ZSTD, _LZMA):  # which the libtiff of libvips lacks
        compression = _DEFLATE
        packed = [
            _stored(layout.compression, piece, layout.piece_bytes(n))
            for n, piece in enumerate(pieces)
        ]
    sizes = tuple(len(piece) for piece in packed)
    starts = tuple(accumulate(sizes, initial=_HEADER_BYTES))
    num_channels = layout.num_channels // layout.num_planes
    kind = BLACK_IS_ZERO
    if layout.photometric in _NUM_COLOURS and not layout.is_planar:
        kind = layout.photometric
    entries: dict[int, tuple[int, ...] | bytes] = {
        IMAGEWIDTH: (layout.width,),
        IMAGELENGTH: (layout.height,),
        BITSPERSAMPLE: (layout.bits,) * num_channels,
        COMPRESSION: (compression,),
        PHOTOMETRIC_INTERPRETATION: (kind,),
        SAMPLESPERPIXEL: (num_channels,),
        PLANAR_CONFIGURATION: (1,),
    }
    # Unspecified, because libvips would divide the colours by an alpha.
    entries[EXTRASAMPLES] = (0,) * (num_channels - _NUM_COLOURS.get(kind, 1))
    entries |= {tag: numbers(tags, tag) for tag in _COPIED if tag in tags}
    if compression == JPEG and kind == YCBCR:
        # Writers leave the tag out, or contradict what they have compressed.
        entries[YCBCRSUBSAMPLING] = jpeg.subsampling(bytes(pieces[0]))
    if isinstance(tags.get(JPEGTABLES), bytes):
        entries[JPEGTABLES] = tags[JPEGTABLES]
    if layout.is_tiled:
        entries[TILEWIDTH], entries[TILELENGTH] = (layout.piece_width,), (layout.piece_height,)
        entries[TILEOFFSETS], entries[TILEBYTECOUNTS] = starts[:-1], sizes
    else:
        entries[ROWSPERSTRIP] = (layout.piece_height,)
        entries[STRIPOFFSETS], entries[STRIPBYTECOUNTS] = starts[:-1], sizes
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(order + "HHHQ", 43, 8, 0, starts[-1])
    return b"".join([header, *packed, _directory(entries, starts[-1], order)])


def _directory(entries: dict[int, tuple[int, ...] | bytes], at: int, order: str) -> bytes:
    """Pack a directory that begins at offset `at`; values longer than 8 bytes follow it."""
    filled = sorted((tag, value) for tag, value in entries.items() if len(value))
    beyond = at + 8 + 20 * len(filled) + 8
    directory, rest = struct.pack(order + "Q", len(filled)), b""
    for tag, value in filled:
        if isinstance(value, bytes):
            kind, packed = _BYTES, value
        else:
            kind, packed = _LONG8, struct.pack(f"{order}{len(value)}Q", *value)
        directory += struct.pack(order + "HHQ", tag, kind, len(value))
        if len(packed) <= 8:
            directory += packed.ljust(8, b"\x00")
        else:
            directory += struct.pack(order + "Q", beyond + len(rest))
            rest += packed
    return directory + bytes(8) + rest


def _stored(compression: int, piece: memoryview, size: int) -> bytes:
    """Decompress at most `size` bytes, and wrap them in deflate without compressing them.

    Wrapped, because libtiff undoes predictors only together with a compression.
    """
    try:
        if compression == _LZMA:
            plain = lzma.LZMADecompressor().decompress(piece, size)
        else:
            import pyarrow  # takes a while, for a rare compression

            plain = pyarrow.CompressedInputStream(pyarrow.py_buffer(piece), "zstd").read(size)
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise ImageError("corrupt", f"a strip or tile of the TIFF: {error}") from error
    return zlib.compress(plain, 0)


def _decompressed(file: bytes) -> Samples:
    try:
        # The limits of libvips would refuse a large strip; `read_layout` has checked the sizes.
        image = vips().Image.tiffload_buffer(
            file, access="sequential", fail_on="warning", unlimited=True
        )
    except vips().Error as error:
        raise refusal(error) from error
    return values(image)
