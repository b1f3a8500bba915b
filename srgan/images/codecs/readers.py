"""The readers of all formats: Pillow's, changed where they would fail on a good photo.

Pillow reads 8 bits, libvips 16 bits of PNG and everything of TIFF and AVIF, pillow-heif HEIC.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from srgan.errors import ImageError
from srgan.images import boxes, containers
from srgan.images.codecs import heif, jxl, pixels, raw, tiff_pixels
from srgan.images.codecs.png import read_png
from srgan.images.codecs.tiff_values import TiffDirectories
from srgan.images.containers import Format
from srgan.images.metadata import jpeg, png
from srgan.images.metadata.read import icc_profile
from srgan.images.photo import Raster

_PNG_DEPTH = 24
"""Position of the bit depth: signature, chunk length and name, width, height."""
_DEEP = 16
"""Bits per channel that Pillow cannot read in full."""


class Source(io.BytesIO):
    """Bytes of a file; reading past the end is an error.

    Otherwise Pillow would fill missing pixels with gray if anything in this process has set its
    global `LOAD_TRUNCATED_IMAGES`.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data and size != 0:
            raise OSError("truncated: a read at the end of the file")
        return data

    def at_end(self) -> bool:
        return self.tell() >= len(self.data)


class _Jpeg(JpegImageFile):
    """A JPEG whose EXIF block is not parsed: Pillow would read its dpi and warn if it is odd."""

    def _read_dpi_from_exif(self) -> None:
        pass


class _Png(PngImageFile):
    """A PNG without chunks that could fail and that we do not need: texts and colour hints."""

    def __init__(self, source: Source) -> None:
        super().__init__(Source(png.picture(source.data)))
        self._profile = png.profile(source.data)
        self.info["icc_profile"] = self._profile

    def seek(self, frame: int) -> None:
        super().seek(frame)
        self.info["icc_profile"] = self._profile  # going back to the first frame forgets it


class _WebP(WebPImageFile):
    """A WebP whose frames always have alpha: a frame may leave a part of the canvas transparent.

    Pillow goes by a flag of the file, which only tells whether the covered parts have alpha.
    """

    def _open(self) -> None:
        super()._open()
        if self.is_animated:
            self.rawmode = self._mode = "RGBA"


def _read_by_pillow(image: ImageFile, source: Source) -> Raster:
    image.load()
    return pixels.read(image, 1 if image.mode == "1" else 8)


def _read_jpeg(image: ImageFile, source: Source) -> Raster:
    if not jpeg.is_whole(source.data):
        # Decoders would take what follows for pixels: the zeros of a download that has stopped, or
        # a second image.
        raise ImageError("truncated", "jpeg: the image has no end")
    return _read_by_pillow(image, source)


def _read_png(image: ImageFile, source: Source) -> Raster:
    image.load()  # also to reach metadata that comes after the pixels
    bit_depth = source.data[_PNG_DEPTH]
    if bit_depth == _DEEP and not getattr(image, "is_animated", False):
        return read_png(png.picture(source.data))
    return pixels.read(image, min(bit_depth, 8))


def _read_tiff(image: ImageFile, source: Source) -> Raster:
    assert isinstance(image, TiffImageFile)
    return tiff_pixels.read_page(image.tag_v2, source.data, icc_profile(image))


class Reader(NamedTuple):
    """How one format is read. A new format is one more entry of `READERS`."""

    open: Callable[[Source], ImageFile]
    """Reads size and metadata; ``seek`` chooses another image of the file."""
    read: Callable[[ImageFile, Source], Raster]
    """Reads the pixels of the image that is chosen, in all their bits."""
    check: Callable[[bytes, int], None] | None = None
    """Checks the bytes and the limit of pixels before a library sees them."""


# Not `Image.open`, because it asks every plugin and applies the global MAX_IMAGE_PIXELS.
READERS: dict[Format, Reader] = {
    "jpeg": Reader(_Jpeg, _read_jpeg),
    "png": Reader(_Png, _read_png, containers.check_png),
    "webp": Reader(_WebP, _read_by_pillow, containers.check_webp),
    "tiff": Reader(TiffDirectories, _read_tiff, containers.check_tiff),
    "bmp": Reader(BmpImageFile, _read_by_pillow),
    "gif": Reader(GifImageFile, _read_by_pillow, containers.check_gif),
    "jxl": Reader(jxl.Jxl, jxl.read_jxl, jxl.check_jxl),
    "raw": Reader(raw.Raw, raw.read_raw),
    "heic": Reader(heif.Heic, heif.read_heic, boxes.check_heif),
    "avif": Reader(heif.Avif, heif.read_avif, boxes.check_heif),
}
