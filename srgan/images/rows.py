"""Encode a `SpooledPhoto` into a file, some rows at a time.

Everything besides the pixels is taken from a one-pixel photo that `encode` writes, so both keep the
same metadata. libvips compresses the pixels.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError, reason_of
from srgan.images.codecs.libvips import vips
from srgan.images.codecs.png import FILTER
from srgan.images.codecs.tiff import write_tiff
from srgan.images.encode import COMPRESSION, check_writable, encode
from srgan.images.metadata import jpeg, webp
from srgan.images.metadata.losses import all_lost, held
from srgan.images.photo import Photo, to_8_bits
from srgan.images.spool import Plane, SpooledPhoto

_PNG_HEADER = slice(0, 33)
"""Signature and first chunk, which depend only on size and kind of the pixels."""
_BMP_PIXELS_AT, _BMP_SIZES, _BMP_PIXEL_BYTES, _BMP_FILE_BYTES = 10, 18, 34, 2
_WHOLE = ("heic", "avif")
_CHUNK_BYTES = 4 * 2**20
_VALUES = {"uint8": "uchar", "uint16": "ushort"}
_KINDS = {(1, 1): "b-w", (3, 1): "srgb", (1, 2): "grey16", (3, 2): "rgb16"}
"""libvips' names by number of channels and bytes of a value."""
_DEEP_LEVELS = 257
"""Levels of 16 bits for one level of 8."""


def encode_into(
    file: BinaryIO,
    photo: Photo,
    *,
    format: str,
    jpeg_quality: int,
    jpeg_subsampling: str = "4:4:4",
    compression: int = COMPRESSION,
) -> tuple[str, ...]:
    """Encode into an empty file as `encode` does, but a `SpooledPhoto` some rows at a time.

    A `SpooledPhoto` is never in memory as a whole, except for WebP, HEIC and AVIF, whose encoders
    need that.
    Pixels and metadata are those of `encode`. Bytes may differ, because libvips compresses PNG,
    JPEG and WebP (it subsamples colours in both directions or not at all: 4:2:2 becomes 4:4:4).
    Returns the names of what the photo's own file had and this one does not.

    Raises what `encode` raises, ``no_space`` if the disk or its quota is full, and ``system`` if
    the system or the encoder refuses anything else.
    """
    check_writable(photo, format, *photo.pixels.shape[:2])
    photo = held(photo, format)
    options: dict[str, Any] = {
        "format": format,
        "jpeg_quality": jpeg_quality,
        "jpeg_subsampling": jpeg_subsampling,
        "compression": compression,
    }
    try:
        by_rows = format not in _WHOLE and not (photo.pages and format == "webp")
        if isinstance(photo, SpooledPhoto) and by_rows:
            _encode_rows(photo, file, **options)
        else:
            file.write(encode(photo, **options))
    except OSError as error:
        raise ImageError(reason_of(error), f"the result could not be written: {error}") from error
    return all_lost(photo)


def _encode_rows(
    photo: Photo,
    file: BinaryIO,
    format: str,
    jpeg_quality: int,
    jpeg_subsampling: str,
    compression: int,
) -> None:
    if format == "tiff":
        write_tiff(file, photo, _values, compression)
        return
    assert isinstance(photo, SpooledPhoto)
    small = encode(_corner(photo), format=format, jpeg_quality=jpeg_quality)
    if format == "bmp":
        _write_bmp(photo, small, file)
    elif format == "png":
        target = _Target(file, _png_pixels_at, lambda large: _png_head(small, large))
        target.save(_image(photo).pngsave_target, filter=FILTER, compression=compression)
    elif format == "webp":
        height, width = photo.pixels.shape[:2]
        large = _saved(
            _shallow(photo).webpsave_buffer,
            Q=jpeg_quality,
            lossless=photo.is_lossless,
            exact=photo.is_lossless,
            keep="none",
        )
        file.write(webp.joined(small, large, width, height))
    else:
        target = _Target(file, jpeg.pixels_at, lambda _: _jpeg_head(small))
        mode = "on" if jpeg_subsampling == "4:2:0" else "off"
        target.save(_shallow(photo).jpegsave_target, Q=jpeg_quality, subsample_mode=mode)


def _corner(photo: SpooledPhoto) -> Photo:
    """Return a photo of one pixel with all the metadata."""
    kept = {field.name: getattr(photo, field.name) for field in fields(Photo)}
    for name in ("pixels", "alpha"):
        kept[name] = None if kept[name] is None else kept[name][:1, :1].copy()
    kept["pages"] = ()
    return Photo(**kept)


class _Target:
    """Output of libvips; replaces the head of the file with one that has the metadata."""

    def __init__(
        self,
        file: BinaryIO,
        pixels_at: Callable[[bytes], int | None],
        head: Callable[[bytes], bytes],
    ) -> None:
        self._file = file
        self._pixels_at = pixels_at
        self._head = head
        self._begin: bytes | None = b""
        self._error: OSError | None = None

    def save(self, save: Callable[..., Any], **options: Any) -> None:
        target = vips().TargetCustom()
        target.on_write(self._write)
        try:
            _saved(save, target, keep="none", **options)
        except ImageError:
            if self._error is not None:
                raise self._error from None
            raise

    def _write(self, data: bytes) -> int:
        """Called by libvips, which would swallow an exception."""
        try:
            if self._begin is None:
                self._file.write(data)
                return len(data)
            self._begin += data
            at = self._pixels_at(self._begin)
            if at is not None:
                self._file.write(self._head(self._begin))
                self._file.write(self._begin[at:])
                self._begin = None
        except OSError as error:
            self._error = error
            return -1
        return len(data)


def _saved(save: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return save(*arguments, **options)
    except vips().Error as error:
        said = " ".join(str(error).split())
        raise ImageError("unsupported", f"{said}; choose another format") from error


def _image(photo: SpooledPhoto) -> Any:
    """Open the pixels in libvips, to be read once from top to bottom."""
    planes = [photo.colours] + ([] if photo.opacity is None else [photo.opacity])
    images = [_opened(plane) for plane in planes]
    kind = _KINDS[images[0].bands, photo.colours.dtype.itemsize]
    return images[0].bandjoin(images[1:]).copy(interpretation=kind)


def _shallow(photo: SpooledPhoto) -> Any:
    """Open the pixels in libvips, rounded to 8 bits."""
    image = _image(photo)
    if not photo.is_deep:
        return image
    kind = "b-w" if photo.pixels.ndim == 2 else "srgb"
    return (image / _DEEP_LEVELS).rint().cast("uchar").copy(interpretation=kind)


def _opened(plane: Plane) -> Any:
    height, width, *channels = plane.shape
    return vips().Image.rawload(
        plane.path,
        width,
        height,
        channels[0] if channels else 1,
        format=_VALUES[plane.dtype.name],
        access="sequential",
    )


def _write_bmp(photo: SpooledPhoto, small: bytes, file: BinaryIO) -> None:
    """Write from the last row to the first, blue, green, red; pad rows to four bytes."""
    height, width = photo.pixels.shape[:2]
    fill = -photo.pixels[0].size % 4
    size_bytes = height * (photo.pixels[0].size + fill)
    file.write(_bmp_head(small, width, height, size_bytes))
    length = max(1, _CHUNK_BYTES // photo.pixels[0].nbytes)
    for first in reversed(range(0, height, length)):
        rows = slice(first, min(first + length, height))
        values = to_8_bits(_values(photo, rows))[::-1, :, ::-1]
        values = values.reshape(rows.stop - rows.start, -1)
        file.write(np.pad(values, ((0, 0), (0, fill))).data)


def _values(photo: Photo, rows: slice) -> NDArray[Any]:
    """Read some rows as (h, W, channels), alpha last."""
    assert isinstance(photo, SpooledPhoto)  # either all pages of a photo are spooled, or none
    colours = photo.colours.read(rows)
    colours = colours if colours.ndim == 3 else colours[:, :, None]
    if photo.opacity is None:
        return colours
    return np.dstack([colours, photo.opacity.read(rows)])


def _png_head(small: bytes, large: bytes) -> bytes:
    """Join the header of `large`, a file or its beginning, with the metadata of `small`."""
    return large[_PNG_HEADER] + small[_PNG_HEADER.stop : _png_pixels_at(small)]


def _png_pixels_at(data: bytes) -> int | None:
    """Offset of the first chunk of pixels; None if `data` ends before it."""
    at = _PNG_HEADER.stop
    while len(data) >= at + 8:
        if data[at + 4 : at + 8] == b"IDAT":
            return at
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def _jpeg_head(small: bytes) -> bytes:
    """Return the metadata segments of `small`, which precede its quantisation tables."""
    return small[: jpeg.pixels_at(small)]


def _bmp_head(small: bytes, width: int, height: int, size_bytes: int) -> bytes:
    """Headers and palette of `small`, changed for `size_bytes` of padded pixels."""
    head = bytearray(small[: int.from_bytes(small[_BMP_PIXELS_AT : _BMP_PIXELS_AT + 4], "little")])
    for at, value in (
        (_BMP_FILE_BYTES, len(head) + size_bytes),
        (_BMP_SIZES, width),
        (_BMP_SIZES + 4, height),
        (_BMP_PIXEL_BYTES, size_bytes),
    ):
        head[at : at + 4] = value.to_bytes(4, "little")
    return bytes(head)
