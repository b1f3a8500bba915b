"""A `SpooledPhoto` → its file, some rows at a time.

What a file says besides its pixels is taken from a photo of one pixel that `encode` writes:
whatever is kept there is kept here. libvips compresses the pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images import heads
from srgan.images.encode import check_writable, encode
from srgan.images.photo import Photo
from srgan.images.spool import Plane, SpooledPhoto
from srgan.images.vips import vips

_CHUNK_BYTES = 4 * 2**20
_VALUES = {"uint8": "uchar", "uint16": "ushort"}
_KINDS = {(1, 1): "b-w", (3, 1): "srgb", (1, 2): "grey16", (3, 2): "rgb16"}
"""libvips' names; the latter by number of colours and bytes of a value."""
_MOST_BMP_BYTES = 2**32 - 2**20
"""Sizes have 32 bits; a megabyte is for what stands before the pixels."""


def encode_into(
    file: BinaryIO,
    photo: Photo,
    *,
    format: str,
    jpeg_quality: int,
    jpeg_subsampling: str = "4:4:4",
) -> None:
    """Encode any photo to an empty file; one on the disk never comes into memory whole."""
    if isinstance(photo, SpooledPhoto):
        encode_rows(
            photo,
            file,
            format=format,
            jpeg_quality=jpeg_quality,
            jpeg_subsampling=jpeg_subsampling,
        )
    else:
        data = encode(
            photo, format=format, jpeg_quality=jpeg_quality, jpeg_subsampling=jpeg_subsampling
        )
        file.write(data)


def encode_rows(
    photo: SpooledPhoto,
    file: BinaryIO,
    *,
    format: str,
    jpeg_quality: int,
    jpeg_subsampling: str = "4:4:4",
) -> None:
    """Write to an empty file what `encode` would give, with some rows in memory at a time.

    The same pixels and metadata; bytes may differ, for libvips compresses PNG, JPEG and WebP.
    WebP's encoder alone holds the whole image all the same, and 4:2:2, which libvips has not, is
    written as 4:4:4. Raises what `encode` raises, ``too_large`` for more than 4 GiB of BMP too, and
    ``no_space`` where the disk is full.
    """
    height, width = photo.pixels.shape[:2]
    check_writable(photo, format, height, width)
    small = encode(_corner(photo), format=format, jpeg_quality=jpeg_quality)
    try:
        if format == "tiff":
            _write_tiff(photo, small, file)
        elif format == "bmp":
            _write_bmp(photo, small, file)
        elif format == "webp":
            large = _saved(_in_8_bits(_image(photo)).webpsave_buffer, Q=jpeg_quality, keep="none")
            file.write(heads.webp(small, large, width, height))
        elif format == "png":
            target = _Target(file, heads.png_pixels_at, lambda large: heads.png(small, large))
            # The fastest of the filters, and as good as trying all of them for each row.
            target.save(_image(photo).pngsave_target, filter="sub")
        else:
            target = _Target(file, heads.jpeg_pixels_at, lambda _: heads.jpeg(small))
            mode = "on" if jpeg_subsampling == "4:2:0" else "off"
            target.save(
                _in_8_bits(_image(photo)).jpegsave_target, Q=jpeg_quality, subsample_mode=mode
            )
    except OSError as error:
        raise ImageError("no_space", f"the result could not be written: {error}") from error


def _corner(photo: SpooledPhoto) -> Photo:
    """One pixel, with everything that is said of all."""
    kept = {field.name: getattr(photo, field.name) for field in fields(Photo)}
    for name in ("pixels", "alpha"):
        kept[name] = None if kept[name] is None else kept[name][:1, :1].copy()
    return Photo(**kept)


class _Target:
    """Where libvips writes a file whose description is exchanged on the way."""

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
        """Called by libvips, through which no exception would come."""
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
    """libvips' view of the pixels, to be read once from top to bottom."""
    planes = [photo.colours] + ([] if photo.opacity is None else [photo.opacity])
    images = [_opened(plane) for plane in planes]
    kind = _KINDS[images[0].bands, photo.colours.dtype.itemsize]
    return images[0].bandjoin(images[1:]).copy(interpretation=kind)


def _in_8_bits(image: Any) -> Any:
    """Rounded as `Photo.in_8_bits` does."""
    if image.format == "uchar":
        return image
    kind = _KINDS[image.bands - image.hasalpha(), 1]
    return ((image + 128) / 257).floor().cast("uchar").copy(interpretation=kind)


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


def _write_tiff(photo: SpooledPhoto, small: bytes, file: BinaryIO) -> None:
    height, width = photo.pixels.shape[:2]
    planes = (photo.colours, photo.opacity)
    size_bytes = sum(plane.values.nbytes for plane in planes if plane is not None)
    file.write(heads.tiff(small, width, height, size_bytes))
    for rows in _chunks(photo):
        file.write(_values(photo, rows).data)


def _write_bmp(photo: SpooledPhoto, small: bytes, file: BinaryIO) -> None:
    """From the last row to the first, blue before green before red, rows filled to four bytes."""
    height, width = photo.pixels.shape[:2]
    row_bytes = photo.pixels[0].size
    fill = -row_bytes % 4
    size_bytes = height * (row_bytes + fill)
    if size_bytes > _MOST_BMP_BYTES:
        raise ImageError("too_large", "a BMP ends at 4 GiB; choose png")
    file.write(heads.bmp(small, width, height, size_bytes))
    for rows in reversed(list(_chunks(photo))):
        pixels = Photo(photo.colours.read(rows)).in_8_bits().pixels[::-1]
        values = (pixels[:, :, ::-1] if pixels.ndim == 3 else pixels).reshape(len(pixels), -1)
        file.write(np.pad(values, ((0, 0), (0, fill))).data)


def _chunks(photo: SpooledPhoto) -> Iterator[slice]:
    height = photo.pixels.shape[0]
    length = max(1, _CHUNK_BYTES // photo.pixels[0].nbytes)
    for first in range(0, height, length):
        yield slice(first, min(first + length, height))


def _values(photo: SpooledPhoto, rows: slice) -> NDArray[Any]:
    """(h, W, channels) of some rows, alpha last."""
    colours = photo.colours.read(rows)
    colours = colours if colours.ndim == 3 else colours[:, :, None]
    if photo.opacity is None:
        return colours
    return np.dstack([colours, photo.opacity.read(rows)])
