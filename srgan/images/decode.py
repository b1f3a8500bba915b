"""Bytes of a file → `Photo`, or an `ImageError` that says why not."""

import io
import struct

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from srgan.errors import ImageError
from srgan.images import containers, metadata, pixels
from srgan.images.containers import Format
from srgan.images.photo import Photo


def decode(data: bytes, *, max_pixels: int) -> Photo:
    """Decode a whole JPEG, PNG, WebP, TIFF or BMP file and verify that it is whole.

    The declared size is checked before anything is allocated for it. CMYK, palettes and 16 bits
    become 8-bit RGB or grayscale, the EXIF orientation is applied. Raises `ImageError` with the
    reason ``empty``, ``not_an_image``, ``unsupported``, ``too_large``, ``truncated`` or
    ``corrupt`` and nothing else, whatever the bytes. WebP and TIFF are also subject to Pillow's
    own limit of 179 million pixels.
    """
    kind = containers.recognise(data)
    if kind == "png":
        containers.check_png(data, max_pixels)
    if kind == "webp":
        containers.check_webp(data, max_pixels)
    if kind == "tiff":
        containers.check_tiff(data)
    source = _Source(data)
    try:
        if kind != "tiff":
            return _read(kind, source, max_pixels)
        with metadata.without_warnings():
            return _read(kind, source, max_pixels)
    except ImageError:
        raise
    # What Pillow raises on broken files has no common base: OSError, SyntaxError, ValueError,
    # TypeError, struct.error, zlib.error, MemoryError, OverflowError, AssertionError and more.
    except Exception as error:
        raise _explained(error, kind, source) from error


class _Source(io.BytesIO):
    """Bytes of a file in which a read at the end is an error.

    Pillow fills what is missing with gray when anybody in this process has set its global
    `LOAD_TRUNCATED_IMAGES`; by this it never gets so far.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and size != 0:
            raise OSError("truncated: a read at the end of the file")
        return data

    def at_end(self) -> bool:
        return self.tell() >= self.getbuffer().nbytes


class _Jpeg(JpegImageFile):
    """A JPEG whose EXIF block is left alone: Pillow parses it for dpi and warns if it is odd."""

    def _read_dpi_from_exif(self) -> None:
        pass


# Not `Image.open`: it asks every plugin and applies the global MAX_IMAGE_PIXELS.
_READERS: dict[Format, type[ImageFile]] = {
    "jpeg": _Jpeg,
    "png": PngImageFile,
    "webp": WebPImageFile,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
}


def _read(kind: Format, source: _Source, max_pixels: int) -> Photo:
    image = _READERS[kind](source)
    containers.check_size(*image.size, max_pixels)
    if getattr(image, "is_animated", False):
        raise ImageError("unsupported", f"{kind} with several images; extract the one you want")
    bit_depth = metadata.bit_depth(image, kind, source.getbuffer())
    image.load()
    rgb_or_gray, alpha = pixels.channels(image, bit_depth)
    exif = metadata.exif(image, kind)
    turn = metadata.orientation(exif) if exif else 1
    return Photo(
        pixels=pixels.upright(rgb_or_gray, turn),
        alpha=None if alpha is None else pixels.upright(alpha, turn),
        format=kind,
        bit_depth=bit_depth,
        icc_profile=metadata.icc_profile(image),
        exif=metadata.reset_orientation(exif) if exif else None,
        dpi=metadata.dpi(image, turn),
    )


def _explained(error: Exception, kind: Format, source: _Source) -> ImageError:
    what = f"{kind}: {error or type(error).__name__}"
    if isinstance(error, MemoryError | Image.DecompressionBombError):
        return ImageError("too_large", what)
    cause = error.__cause__ if isinstance(error, SyntaxError) and error.__cause__ else error
    if "truncated" in str(error).lower() or (
        isinstance(cause, struct.error | IndexError | EOFError) and source.at_end()
    ):
        return ImageError("truncated", what)
    if any(text in str(error) for text in ("cannot handle", "unknown pixel mode", "Unsupported")):
        return ImageError("unsupported", what)
    return ImageError("corrupt", what)
