"""Develop cameras' raw files, with the library of the extra `raw`."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from srgan.errors import ImageError
from srgan.images.boxes import walk
from srgan.images.metadata.raw import read
from srgan.images.photo import Raster

_SRGB_CURVE = (2.4, 12.92)
"""Power and slope near black, as LibRaw wants them."""
_TURNED = (5, 6)
"""LibRaw's numbers of pictures on their side."""
_TIFF = (b"II*\0", b"MM\0*")
_SUB_DIRECTORIES = 330
_PIECES = ((273, 279), (324, 325))
"""TIFF tags: offsets and lengths of the strips, and of the tiles."""
_MAX_DIRECTORIES = 100
_ENDS = "Input/output error"


class Raw(ImageFile):
    """A raw file that is opened, but not developed yet."""

    raw: Any

    def _open(self) -> None:
        rawpy = _rawpy()
        data = self.fp.data  # type: ignore[union-attr]  # `Source`
        _check_whole(data)
        try:
            self.raw = rawpy.imread(io.BytesIO(data))
        except rawpy.LibRawError as error:
            raise _explained(error) from error
        sizes = self.raw.sizes
        found = read(data, is_turned=sizes.flip != 0)
        self.info = {name: value for name, value in found._asdict().items() if value is not None}
        on_its_side = sizes.flip in _TURNED
        self._size = (sizes.iheight, sizes.iwidth) if on_its_side else (sizes.iwidth, sizes.iheight)
        self._mode = "RGB"  # Pillow wants one; the pixels are read elsewhere


def read_raw(image: ImageFile, source: object) -> Raster:
    """Develop a `Raw`: 16 bits of sRGB, upright, in the camera's white balance.

    The brightness is that of the exposure: nothing is stretched, highlights are clipped.
    """
    assert isinstance(image, Raw)
    rawpy = _rawpy()
    try:
        developed = image.raw.postprocess(
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=_SRGB_CURVE,
            output_bps=16,
            no_auto_bright=True,
        )
    except rawpy.LibRawError as error:
        raise _explained(error) from error
    finally:
        image.raw.close()
    return Raster(np.ascontiguousarray(developed), None, 16)


def _check_whole(data: bytes) -> None:
    """Check that all pixels are in the file: LibRaw would fill the last ones."""
    if data[4:8] == b"ftyp":
        for _ in walk(data, 0, len(data)):
            pass
    elif data[:4] in _TIFF:
        try:
            missing = max(_ends(data), default=0) - len(data)
        except Exception:  # Pillow's parser may raise anything; LibRaw reads the file or not
            return
        if missing > 0:
            raise ImageError("truncated", f"{missing} bytes of the raw file are missing")


def _ends(data: bytes) -> Iterator[int]:
    """Yield where the strips and tiles of all images in the directories of a TIFF end."""
    waiting = [int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big")]
    seen = set[int]()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        offset = waiting.pop()
        if not offset or offset in seen:
            continue
        seen.add(offset)
        tags, stream = ImageFileDirectory_v2(data[:8]), io.BytesIO(data)
        stream.seek(offset)
        tags.load(stream)
        waiting += [tags.next, *tags.get(_SUB_DIRECTORIES, ())]
        for starts, lengths in _PIECES:
            pairs = zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False)
            yield from (start + length for start, length in pairs)


def _explained(error: Exception) -> ImageError:
    said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
    if said == _ENDS:
        return ImageError("truncated", "the raw file ends too early")
    if "nsupported" in said:
        return ImageError("unsupported", f"a camera's raw file: {said}; develop it first")
    return ImageError("corrupt", f"a camera's raw file: {said}")


def _rawpy() -> Any:
    try:
        import rawpy
    except ImportError as error:
        raise ImageError(
            "unsupported", "a camera's raw file needs the extra `raw`: pip install -e '.[raw]'"
        ) from error
    return rawpy
