"""Read JPEG XL files, with the libraries of the extra `jxl`.

pillow-jxl-plugin reads 8 bits, 16 bits of gray, profiles and EXIF; imagecodecs colours with more
than 8 bits, which the first would round.
"""

import importlib
import io
from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from srgan.errors import ImageError
from srgan.images.boxes import walk
from srgan.images.codecs import pixels
from srgan.images.containers import check_size
from srgan.images.metadata import exif_block
from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.photo import Raster

_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIDE_BITS = (9, 13, 18, 30)
_DEPTHS = (8, 10, 12)
_TIFF = (b"II*\0", b"MM\0*")
_CHANNELS = {"L": 1, "I;16": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_HEAD_BYTES = 256
"""More than size and depth take."""


class Jxl(ImageFile):
    """A JPEG XL file, decoded as it is opened; one made from a JPEG is that JPEG."""

    info_of_pixels: Any
    decoded: bytes
    jpeg: JpegImageFile | None = None
    bit_depth: int

    def _open(self) -> None:
        data = self.fp.data  # type: ignore[union-attr]  # `Source`
        self.bit_depth = _Header(data).bit_depth
        is_jpeg, self.info_of_pixels, self.decoded, profile, boxes = _decoded(data)
        if is_jpeg:
            self.jpeg = JpegImageFile(io.BytesIO(self.decoded))
            self._size, self._mode, self.info = self.jpeg.size, self.jpeg.mode, self.jpeg.info
            return
        self._size = (self.info_of_pixels.width, self.info_of_pixels.height)
        self._mode = "RGB"  # Pillow wants one; the pixels are read elsewhere
        if profile:
            self.info["icc_profile"] = profile
        for box in boxes:
            # Four bytes tell where the block begins; pillow-jxl-plugin leaves them out.
            begin = next((at for at in (4, 0) if box.data[at : at + 4] in _TIFF), None)
            if box.box_type == b"Exif" and begin is not None and "exif" not in self.info:
                # The picture is upright already.
                self.info["exif"] = exif_block.reset_orientation(EXIF_PREFIX + box.data[begin:])


def check_jxl(data: bytes, max_pixels: int) -> None:
    """Check the declared size; refuse animations and floating-point numbers (``unsupported``)."""
    header = _Header(data)
    check_size(header.width, header.height, max_pixels)
    if header.is_animated:
        raise ImageError("unsupported", "an animated JPEG XL; extract the frames first")
    if header.is_float:
        raise ImageError("unsupported", "floating-point numbers; convert to 8 or 16 bits")


def read_jxl(image: ImageFile, source: object) -> Raster:
    """Read the pixels of a `Jxl`; more than 8 bits become 16."""
    assert isinstance(image, Jxl)
    if image.jpeg is not None:
        image.jpeg.load()
        return pixels.read(image.jpeg, 8)
    num_channels = _CHANNELS.get(image.info_of_pixels.mode, 0)
    if not num_channels:
        raise ImageError("unsupported", f"pixels of kind {image.info_of_pixels.mode}")
    is_deep = image.bit_depth > 8
    if is_deep and num_channels > 2:
        channels = _deep_colours(image.fp.data, image.bit_depth)  # type: ignore[union-attr]
    else:
        kind = np.dtype(np.uint16 if is_deep else np.uint8)
        channels = np.frombuffer(image.decoded, kind)
    channels = channels.reshape(image.height, image.width, num_channels)
    alpha = np.ascontiguousarray(channels[:, :, -1]) if num_channels in (2, 4) else None
    colours = channels[:, :, 0] if num_channels < 3 else channels[:, :, :3]
    return Raster(np.ascontiguousarray(colours), alpha, image.bit_depth)


def _deep_colours(data: bytes, bit_depth: int) -> Any:
    values = _library("imagecodecs").jpegxl_decode(data, numthreads=1)
    if values.dtype != np.uint16:
        raise ImageError("corrupt", f"declares {bit_depth} bits, but has {values.dtype} values")
    most = 2**bit_depth - 1
    if bit_depth < 16:
        levels = np.minimum(np.arange(65_536, dtype=np.uint32), most)
        table = ((levels * 65_535 + most // 2) // most).astype(np.uint16)
        values = pixels.converted(values, table)
    return values


def _decoded(data: bytes) -> Any:
    decoder = _library("pillow_jxl").Decoder(num_threads=0)
    try:
        return decoder(data)
    except RuntimeError as error:
        raise _explained(data) from error


def _explained(data: bytes) -> ImageError:
    """Find out why a file cannot be decoded, which only imagecodecs says."""
    try:
        _library("imagecodecs").jpegxl_decode(data, numthreads=1)
    except RuntimeError as error:
        if "NEED_MORE_INPUT" in str(error):
            return ImageError("truncated", "the JPEG XL ends too early")
    return ImageError("corrupt", "the JPEG XL cannot be decoded")


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImageError(
            "unsupported", "JPEG XL needs the extra `jxl`: pip install -e '.[jxl]'"
        ) from error


class _Header:
    """Size, depth and kind that a file declares, ISO/IEC 18181-1 annexes C and D."""

    is_animated = False
    is_float = False
    bit_depth = 8

    def __init__(self, data: bytes) -> None:
        codestream = _codestream(data)
        if not codestream.startswith(_CODESTREAM):
            raise ImageError("corrupt", "the JPEG XL has no codestream")
        self._bits = int.from_bytes(codestream[2:_HEAD_BYTES], "little")
        self._left = 8 * len(codestream[2:_HEAD_BYTES])
        self.height, self.width = self._size()
        if not self._take(1):
            self._metadata()

    def _metadata(self) -> None:
        if self._take(1):
            self._take(3)  # orientation
            if self._take(1):
                self._size()  # intended for display
            if self._take(1):
                raise ImageError("unsupported", "a JPEG XL with a preview; save it without one")
            if self._take(1):
                self.is_animated = True
                return
        self.is_float = bool(self._take(1))
        choice = self._take(2)
        self.bit_depth = _DEPTHS[choice] if choice < 3 else 1 + self._take(6)
        if self.bit_depth > 16 and not self.is_float:
            raise ImageError("unsupported", f"{self.bit_depth} bits; convert to 8 or 16")

    def _size(self) -> tuple[int, int]:
        is_small = self._take(1)
        height = self._side(is_small)
        ratio = self._take(3)
        if not ratio:
            return height, self._side(is_small)
        over, under = _RATIOS[ratio - 1]
        return height, height * over // under

    def _side(self, is_small: int) -> int:
        if is_small:
            return 8 * (1 + self._take(5))
        return 1 + self._take(_SIDE_BITS[self._take(2)])

    def _take(self, num_bits: int) -> int:
        self._left -= num_bits
        if self._left < 0:
            raise ImageError("truncated", "the JPEG XL ends in its header")
        value = self._bits & ((1 << num_bits) - 1)
        self._bits >>= num_bits
        return value


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream; of a container, from its boxes."""
    if data.startswith(_CODESTREAM):
        return data[:_HEAD_BYTES]
    found = b""
    for box in walk(data, 0, len(data)):
        if box.kind == b"jxlc":
            return data[box.start : min(box.end, box.start + _HEAD_BYTES)]
        if box.kind == b"jxlp":  # a number precedes the bytes of each part
            found += data[box.start + 4 : min(box.end, box.start + 4 + _HEAD_BYTES)]
    return found
