"""Pillow's readers of the five formats, changed where they would fail on a good photo."""

import io
from collections.abc import Callable

from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from srgan.images import png
from srgan.images.containers import Format

DEEP = 16
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
        self.info["icc_profile"] = png.profile(source.data)


class _WebP(WebPImageFile):
    """A WebP whose frames always have alpha: a frame may leave a part of the canvas transparent.

    Pillow goes by a flag of the file, which only tells whether the covered parts have alpha.
    """

    def _open(self) -> None:
        super()._open()
        if self.is_animated:
            self.rawmode = self._mode = "RGBA"


class _Tiff(TiffImageFile):
    """A TIFF whose 16-bit pixels Pillow may not know (gray with alpha): `deep` reads them."""

    def _setup(self) -> None:
        try:
            super()._setup()
        except SyntaxError:
            if max(self.tag_v2.get(BITSPERSAMPLE, (1,))) != DEEP:
                raise
            self._mode = "I;16"


# Not `Image.open`, because it asks every plugin and applies the global MAX_IMAGE_PIXELS.
READERS: dict[Format, Callable[[Source], ImageFile]] = {
    "jpeg": _Jpeg,
    "png": _Png,
    "webp": _WebP,
    "tiff": _Tiff,
    "bmp": BmpImageFile,
}
