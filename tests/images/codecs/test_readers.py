"""PNG files of every kind are read value by value, in all their bits and in 8."""

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.images import decode, decode_in_8_bits
from tests.support.image_files import PNG_MAGIC, png_chunk

Values = NDArray[np.uint16]

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8)}
DEPTHS |= {GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
ADAM7 += ((0, 1, 1, 2),)
"""First column and row of each pass, and its steps (PNG, section 8.2)."""
HEIGHT, WIDTH = 11, 13


def drawn(depth: int, num_channels: int) -> Values:
    """Values with all bits, different in every pixel and channel."""
    shape = (HEIGHT, WIDTH, num_channels)
    return np.random.default_rng(depth).integers(0, 2**depth, shape, dtype=np.uint16)


def packed(values: Values, depth: int) -> bytes:
    """Rows as a PNG stores them, each after the number of its filter: none."""
    rows = []
    for row in values.reshape(len(values), -1):
        bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows.append(b"\x00" + np.packbits(bits.astype(np.uint8)).tobytes())
    return b"".join(rows)


def written(values: Values, depth: int, colour: int, *, interlaced: bool, extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    passes = [values[y::dy, x::dx] for x, y, dx, dy in (ADAM7 if interlaced else WHOLE)]
    body = zlib.compress(b"".join(packed(part, depth) for part in passes if part.size))
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", body)
    return PNG_MAGIC + chunks + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("colour", DEPTHS)
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_png_of_every_kind_gives_the_pixels_that_were_drawn(
    colour: int, interlaced: bool, transparent: bool
) -> None:
    for depth in DEPTHS[colour]:
        values = drawn(depth, CHANNELS[colour])
        chosen, extra, alpha = values[3, 4], b"", None
        most = 65_535 if depth == 16 else 255
        if colour == PALETTE:
            table = np.random.default_rng(1).integers(0, 256, (2**depth, 3), dtype=np.uint8)
            extra = png_chunk(b"PLTE", table.tobytes())
            colours = table[values[:, :, 0]].astype(np.uint16)
        else:
            colours = values[:, :, : 1 if colour in (GRAY, GRAY_ALPHA) else 3]
            colours = colours * (most // (2**depth - 1))
        if colour in (GRAY_ALPHA, RGBA):
            alpha = values[:, :, -1]
        elif transparent and colour == PALETTE:
            opacities = np.arange(2 ** (depth - 1), dtype=np.uint8) * 2
            extra += png_chunk(b"tRNS", opacities.tobytes())
            alpha = np.append(opacities, [255] * 2 ** (depth - 1))[values[:, :, 0]]
        elif transparent:
            extra += png_chunk(b"tRNS", chosen.astype(">u2").tobytes())
            alpha = np.where((values == chosen).all(axis=2), 0, most)
        data = written(values, depth, colour, interlaced=interlaced, extra=extra)
        photo = decode(data, max_pixels=1000)
        dtype = np.uint16 if depth == 16 else np.uint8
        colours = colours[:, :, 0] if colours.shape[2] == 1 else colours
        np.testing.assert_array_equal(photo.pixels, colours.astype(dtype), strict=True)
        assert (photo.alpha is None) == (alpha is None), depth
        if alpha is not None:
            np.testing.assert_array_equal(photo.alpha, alpha.astype(dtype), strict=True)
        eight = decode_in_8_bits(data, max_pixels=1000)
        np.testing.assert_array_equal(eight.pixels, photo.in_8_bits().pixels, strict=True)
        np.testing.assert_array_equal(eight.alpha, photo.in_8_bits().alpha)
        assert photo.bit_depth == (8 if colour == PALETTE else depth)
