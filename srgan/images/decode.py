"""Decode the bytes of a file to a `Photo`, or raise an `ImageError` that says why not."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from srgan.errors import ImageError
from srgan.images import containers
from srgan.images.codecs import icc, pixels
from srgan.images.codecs.libvips import lacks_memory
from srgan.images.codecs.readers import READERS, Source
from srgan.images.containers import Format, RawFileError
from srgan.images.metadata import exif_block, jpeg, read
from srgan.images.photo import Photo

_MAX_PAGES = 10_000
_SUBFILE_KIND, _PREVIEW = 254, 1  # TIFF tag for the purpose of a page, and its bit for previews
_DNG_VERSION = 50706  # TIFF tag that only camera raws have


def decode(data: bytes, *, max_pixels: int, salvage: bool = False) -> Photo:
    """Decode a photo of any format in `READERS` and verify that it is complete.

    16 bits stay 16. All pages of a TIFF and all frames of an animated WebP, GIF or PNG are kept,
    but not reduced previews; a TIFF with only previews is a camera's raw file. JPEG XL and raw
    files are ``unsupported`` without the extras that read them. CMYK and palettes become RGB or
    grayscale. The EXIF orientation is applied. The declared size of all pages together is checked
    before anything is allocated. Whatever the bytes, the only exception is `ImageError` with the
    reason ``empty``, ``not_an_image``, ``unsupported``, ``too_large``, ``truncated`` or
    ``corrupt``. Pillow's own limit of 179 million pixels also applies to WebP.

    With `salvage`, a JPEG that ends too early is read as viewers show it, the rest gray, and says
    so in `Photo.lost`.
    """
    try:
        return _decode(data, max_pixels, several=True)
    except ImageError as error:
        if not salvage or error.reason != "truncated" or containers.recognise(data) != "jpeg":
            raise
        photo = _salvaged(data, max_pixels)
        if photo is None:
            raise
        return photo


def _salvaged(data: bytes, max_pixels: int) -> Photo | None:
    """Read a JPEG up to where it ends; None if that is before its pixels."""
    try:
        photo = _decode(jpeg.with_end(data), max_pixels, several=True)
    except ImageError:
        return None
    return replace(photo, lost=("end of the file", *photo.lost))


def decode_in_8_bits(data: bytes, *, max_pixels: int) -> Photo:
    """Decode and round to 8 bits, for training and evaluation; several images are ``unsupported``.

    The same picture as `decode` gives, so that a model learns and is judged on what it upscales.
    """
    return _decode(data, max_pixels, several=False).in_8_bits()


def declared_pixels(data: bytes, *, max_pixels: int) -> int:
    """Return the pixels of the first image by the file's header, and decode nothing.

    `ImageError` if the header cannot be read, with a reason that `decode` may find better.
    """
    kind = containers.recognise(data)
    check = READERS[kind].check
    if check is not None:
        check(data, max_pixels)
    source = Source(data)
    try:
        with read.without_warnings():
            image = READERS[kind].open(source)
            if isinstance(image, TiffImageFile) and (
                _DNG_VERSION in image.tag_v2 or _is_preview(image)
            ):
                image = READERS["raw"].open(source)
    except ImageError:
        raise
    except Exception as error:  # as in `_of_kind`
        raise _explained(error, kind, source) from error
    return image.width * image.height


def _decode(data: bytes, max_pixels: int, *, several: bool) -> Photo:
    kind = containers.recognise(data)
    try:
        return _of_kind(kind, data, max_pixels, several=several)
    except RawFileError:
        return _of_kind("raw", data, max_pixels, several=several)


def _of_kind(kind: Format, data: bytes, max_pixels: int, *, several: bool) -> Photo:
    check = READERS[kind].check
    if check is not None:
        check(data, max_pixels)
    source = Source(data)
    try:
        if kind not in ("tiff", "raw"):
            return _read(kind, source, max_pixels, several=several)
        with read.without_warnings():
            return _read(kind, source, max_pixels, several=several)
    except (ImageError, RawFileError):
        raise
    # Pillow's exceptions on broken files have no common base: OSError, SyntaxError, ValueError,
    # TypeError, struct.error, zlib.error, MemoryError, OverflowError, AssertionError and more.
    except Exception as error:
        raise _explained(error, kind, source) from error


def _read(kind: Format, source: Source, max_pixels: int, *, several: bool) -> Photo:
    image = READERS[kind].open(source)
    containers.check_size(*image.size, max_pixels)
    if isinstance(image, TiffImageFile) and _DNG_VERSION in image.tag_v2:
        raise RawFileError
    if not getattr(image, "is_animated", False):
        if _is_preview(image):
            raise RawFileError
        return _page(image, kind, source)
    if not several:
        raise ImageError("unsupported", f"{kind} with several images; extract the one you want")
    pages = []
    for number in _pages(image, max_pixels):
        image.seek(number)
        page = _page(image, kind, source)
        if kind != "tiff":
            page = replace(page, duration_ms=round(image.info.get("duration", 0)))
        pages.append(page)
    if kind != "tiff":
        pages = _without_idle_alpha(pages)
        is_lossless = pages[0].is_lossless or kind != "webp"
        num_loops = _num_loops(image, kind)
        pages[0] = replace(pages[0], num_loops=num_loops, is_lossless=is_lossless)
    return replace(pages[0], pages=tuple(pages[1:]))


def _num_loops(image: ImageFile, kind: Format) -> int:
    """How often an animation plays; 0 means for ever."""
    loop = int(image.info.get("loop", -1))
    if kind == "gif" and loop:
        return 1 + max(loop, 0)  # a GIF tells the repetitions, or nothing if it plays once
    return loop


def _without_idle_alpha(frames: list[Photo]) -> list[Photo]:
    """Drop the alpha of an animation if every pixel of every frame is opaque."""
    if any(frame.alpha is not None and frame.alpha.min() < 255 for frame in frames):
        return frames
    return [replace(frame, alpha=None) for frame in frames]


def _pages(image: ImageFile, max_pixels: int) -> list[int]:
    """List the numbers of all pages that are not previews, and check their total size."""
    total = 0
    numbers = []
    for number in _numbers(image):
        if number == _MAX_PAGES:
            raise ImageError("unsupported", f"more than {_MAX_PAGES} pages; split the file")
        if _is_preview(image):
            continue
        numbers.append(number)
        containers.check_size(*image.size, max_pixels)
        total += image.width * image.height
        if total > max_pixels:
            raise ImageError(
                "too_large",
                f"all pages together declare more than the limit of {max_pixels} pixels",
            )
    if not numbers:
        raise RawFileError
    return numbers


def _is_preview(image: ImageFile) -> bool:
    if isinstance(image, PngImageFile):
        return bool(image.info.get("default_image")) and image.tell() == 0
    kind = image.tag_v2.get(_SUBFILE_KIND) if isinstance(image, TiffImageFile) else None
    return isinstance(kind, int) and bool(kind & _PREVIEW)


def _numbers(image: ImageFile) -> Iterator[int]:
    """Yield 0, 1, … with the image at that page; `n_frames` would take quadratic time."""
    number = 0
    while True:
        yield number
        number += 1
        try:
            image.seek(number)
        except EOFError:
            return


def _page(image: ImageFile, kind: Format, source: Source) -> Photo:
    raster = READERS[kind].read(image, source)
    exif, profile = read.exif(image, source.data), read.icc_profile(image)
    if isinstance(image, TiffImageFile):
        turn = read.tiff_orientation(image)
    else:
        turn = exif_block.orientation(exif) if exif else 1
    colours = pixels.upright(raster.colours, turn)
    carried = read.carried(image, kind, source.data, exif, turn, colours)
    fitting = None if raster.was_ink else icc.fitting(profile, colours)
    carried["lost"] = (*carried["lost"], *raster.lost)
    if profile and not fitting and not raster.was_ink:
        carried["lost"] = (*carried["lost"], "ICC profile")
    return Photo(
        pixels=colours,
        alpha=None if raster.alpha is None else pixels.upright(raster.alpha, turn),
        format=kind,
        bit_depth=raster.bit_depth,
        icc_profile=fitting,
        dpi=read.dpi(image, exif, turn),
        **carried,
    )


def _explained(error: Exception, kind: Format, source: Source) -> ImageError:
    what = f"{kind}: {error or type(error).__name__}"
    if isinstance(error, MemoryError | Image.DecompressionBombError) or lacks_memory(what):
        return ImageError("too_large", what)
    cause = error.__cause__ if isinstance(error, SyntaxError) and error.__cause__ else error
    if "truncated" in str(error).lower() or (
        isinstance(cause, struct.error | IndexError | EOFError) and source.at_end()
    ):
        return ImageError("truncated", what)
    if any(text in str(error) for text in ("cannot handle", "unknown pixel mode", "Unsupported")):
        return ImageError("unsupported", what)
    return ImageError("corrupt", what)
