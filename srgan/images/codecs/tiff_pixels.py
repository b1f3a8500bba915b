"""Turn the values of a TIFF's page into RGB or gray with plain alpha."""

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import (
    COLORMAP,
    EXTRASAMPLES,
    REFERENCEBLACKWHITE,
    SAMPLEFORMAT,
    YCBCRSUBSAMPLING,
)

from srgan.errors import ImageError
from srgan.images.codecs import icc
from srgan.images.codecs.pixels import divided
from srgan.images.codecs.tiff_values import (
    BLACK_IS_ZERO,
    INK,
    JPEG,
    RGB,
    YCBCR,
    PageLayout,
    Tags,
    number,
    numbers,
    read_layout,
    read_values,
)
from srgan.images.containers import RawFileError
from srgan.images.photo import Raster, Samples, to_8_bits

_WHITE_IS_ZERO, _PALETTE = 0, 3
_NUM_COLOURS = {_WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, _PALETTE: 1, INK: 4, YCBCR: 3}
_OTHER_COLOURS = {4: "a mask", 8: "Lab colours", 9: "Lab colours", 10: "Lab colours"}
_RAW_VALUES = (32803, 34892)
_OTHER_COLOURS |= {32844: "LogLuv colours", 32845: "LogLuv colours"}
_UNSIGNED = (1, 4)
"""Formats of values: unsigned and, in old files, not defined."""
_OTHER_FORMATS = {2: "signed integers", 3: "floating-point numbers"}
_INK_SET, _CMYK = 332, 1
_YCBCR_COEFFICIENTS, _USUAL_COEFFICIENTS = 529, (0.299, 0.587, 0.114)
_USUAL_BLACK_AND_WHITE = (0, 255, 128, 255, 128, 255)
_UNSPECIFIED, _PREMULTIPLIED, _PLAIN = 0, 1, 2
_ALPHAS = (_PREMULTIPLIED, _PLAIN, 999)
"""Kinds of extra channels that are alpha; the last one is Corel Draw's."""
_MOST = 65_535


def read_page(tags: Tags, data: bytes, profile: bytes | None) -> Raster:
    """Read one page: 8 or 16 bits, chunky or planar, gray, RGB, CMYK, YCbCr or palette.

    `profile`, the page's ICC profile, converts its inks. `ImageError` with ``unsupported`` for
    other numbers and colours, before anything is decompressed.
    """
    _check_format(tags)
    layout = read_layout(tags)
    num_colours = _num_colours(layout, tags)
    kinds = _extra_kinds(layout, tags, num_colours)
    lost = () if all(kind in _ALPHAS for kind in kinds) else ("further channels",)
    values = read_values(layout, tags, data)
    colours, alpha = values[:, :, :num_colours], None
    for kind, extra in zip(kinds, np.moveaxis(values[:, :, num_colours:], 2, 0), strict=True):
        if kind in _ALPHAS:
            alpha = np.ascontiguousarray(extra)
            colours = divided(colours, alpha) if kind == _PREMULTIPLIED else colours
    if layout.photometric == _PALETTE:
        table = _palette(tags, layout.bits)
        colours = table[colours[:, :, 0] // max(255 // (2**layout.bits - 1), 1)]
        return Raster(colours, _like(colours, alpha), 8 * colours.itemsize, lost=lost)
    colours = _converted(colours, layout, tags, profile)
    return Raster(colours, alpha, layout.bits, was_ink=layout.photometric == INK, lost=lost)


def _check_format(tags: Tags) -> None:
    for kind in numbers(tags, SAMPLEFORMAT, (1,)):
        if kind not in _UNSIGNED:
            name = _OTHER_FORMATS.get(kind, f"values of format {kind}")
            raise ImageError("unsupported", f"{name}; convert to 8 or 16 bits without sign")


def _num_colours(layout: PageLayout, tags: Tags) -> int:
    """Count the channels that are colours; `ImageError` for kinds that are not read."""
    kind = layout.photometric
    count = _NUM_COLOURS.get(kind)
    if kind in _RAW_VALUES:
        raise RawFileError
    if count is None:
        name = _OTHER_COLOURS.get(kind, f"colours of kind {kind}")
        raise ImageError("unsupported", f"{name} cannot be read; convert to gray or RGB")
    if kind == INK and number(tags, _INK_SET, _CMYK) != _CMYK:
        raise ImageError("unsupported", "inks other than CMYK; convert to RGB")
    if kind == YCBCR:
        _check_ycbcr(layout, tags)
    if layout.num_channels < count:
        raise ImageError("corrupt", f"{layout.num_channels} channels for {count} colours")
    return count


def _check_ycbcr(layout: PageLayout, tags: Tags) -> None:
    if layout.num_channels != 3 or layout.bits != 8 or layout.is_planar:
        raise ImageError("unsupported", "YCbCr in planes or with alpha; convert to RGB")
    if layout.compression == JPEG:
        return  # always the usual ones
    for tag, usual in (
        (_YCBCR_COEFFICIENTS, _USUAL_COEFFICIENTS),
        (REFERENCEBLACKWHITE, _USUAL_BLACK_AND_WHITE),
    ):
        given = tags.get(tag, usual)
        if not np.allclose(np.array(given, float), usual, atol=1e-3):
            raise ImageError("unsupported", "YCbCr of an unusual kind; convert to RGB")


def _extra_kinds(layout: PageLayout, tags: Tags, num_colours: int) -> tuple[int, ...]:
    """List the kinds of the channels after the colours; at most one of them is alpha."""
    count = layout.num_channels - num_colours
    # Writers that leave the tag out mean alpha, but beside inks it may be a spot colour.
    usual = (_PLAIN,) if count == 1 and layout.photometric != INK else ()
    given = numbers(tags, EXTRASAMPLES, usual)[:count]
    kinds = given + (_UNSPECIFIED,) * (count - len(given))
    num_alphas = sum(kind in _ALPHAS for kind in kinds)
    if num_alphas > 1 or (num_colours == 1 and count > 1):
        raise ImageError(
            "unsupported",
            f"{layout.num_channels} channels, {num_alphas} of them alpha; keep gray or RGB, "
            "and one alpha at most",
        )
    if _PREMULTIPLIED in kinds and layout.photometric in (_WHITE_IS_ZERO, _PALETTE):
        raise ImageError(
            "unsupported",
            "a palette, or gray whose 0 is white, multiplied by alpha; save it with plain alpha",
        )
    return kinds


def _palette(tags: Tags, bits: int) -> Samples:
    """Read the colours (2^bits, 3): uint16 if they have more than 8 bits, else uint8.

    Entries have 16 bits. Programs fill them from 8 bits by 257 or by 256, and some leave 8 bits.
    """
    entries = numbers(tags, COLORMAP)
    if len(entries) != 3 * 2**bits or not 0 <= min(entries) <= max(entries) <= _MOST:
        raise ImageError("corrupt", f"the palette of the TIFF has {len(entries)} entries")
    table = np.array(entries, np.uint16).reshape(3, -1).T
    high, low = table >> 8, table & 255
    if not high.any():
        return low.astype(np.uint8)
    if np.array_equal(high, low) or not low.any():
        return high.astype(np.uint8)
    return np.ascontiguousarray(table)


def _like(colours: Samples, alpha: Samples | None) -> Samples | None:
    """Give alpha the type of `colours`."""
    if alpha is None or alpha.dtype == colours.dtype:
        return alpha
    return to_8_bits(alpha) if colours.dtype == np.uint8 else alpha * np.uint16(257)


def _converted(colours: Samples, layout: PageLayout, tags: Tags, profile: bytes | None) -> Samples:
    kind = layout.photometric
    if kind == INK:
        return icc.from_ink(colours, profile)
    if (
        kind == YCBCR
        and layout.compression != JPEG
        and numbers(tags, YCBCRSUBSAMPLING, (2, 2)) == (1, 1)
    ):
        size = (layout.width, layout.height)  # libtiff has converted all others
        return np.array(Image.frombuffer("YCbCr", size, colours.tobytes()).convert("RGB"))
    if kind in (RGB, YCBCR):
        return np.ascontiguousarray(colours)
    gray = np.ascontiguousarray(colours[:, :, 0])
    return ~gray if kind == _WHITE_IS_ZERO else gray
