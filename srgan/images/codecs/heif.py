"""Read HEIC and AVIF files, whose containers are the same, and write what Pillow cannot.

pillow-heif reads and writes HEIC, libvips AVIF in all its depths. Both are built on libheif, which
turns and mirrors the picture as the file says, and joins its tiles.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import pillow_heif
from PIL.ImageFile import ImageFile

from srgan.errors import ImageError
from srgan.images import boxes
from srgan.images.codecs.colour_codes import profile_of
from srgan.images.codecs.libvips import values, vips
from srgan.images.codecs.pixels import converted, divided
from srgan.images.metadata import exif_block
from srgan.images.metadata.exif_block import EXIF_PREFIX
from srgan.images.photo import Photo, Raster, Samples

_HEVC_PRESET = "ultrafast"
"""At a given quality, slower ones make files half as large, in two or three times the time."""
_CHROMA = 420
"""Colours at half resolution, as the profiles want that all readers of HEIC know."""
_AV1_EFFORT = 0
"""Fastest; the next ones take 7 and 25 times as long, and save nothing or half of the bytes."""
_MOST = 65_535
_NO_LIMIT = 2**62


class _Heif(ImageFile):
    """An upright image with its metadata; pixels are read by `read_heic` or `read_avif`."""

    declared: boxes.Declared

    def _described(
        self,
        size: tuple[int, int],
        *,
        exif: bytes | None,
        icc_profile: bytes | None,
        xmp: bytes | None,
    ) -> None:
        self._size = size
        self._mode = "RGB"  # Pillow wants one; the pixels are read elsewhere
        self.declared = boxes.declared(self.fp.data, _NO_LIMIT)  # type: ignore[union-attr]
        if exif:
            block = exif if exif.startswith(EXIF_PREFIX) else EXIF_PREFIX + exif
            # The container says how to turn the picture; the EXIF only repeats it.
            self.info["exif"] = exif_block.reset_orientation(block)
        if xmp:
            self.info["xmp"] = xmp.rstrip(b"\0")
        self.info["lost"] = self.declared.lost
        codes = self.declared.colour_codes
        profile = icc_profile or (profile_of(*codes) if codes else None)
        if profile:
            self.info["icc_profile"] = profile


class Heic(_Heif):
    """A HEIC file; one that holds several images shows its primary one."""

    image: pillow_heif.HeifImage

    def _open(self) -> None:
        found = pillow_heif.HeifFile(  # type: ignore[no-untyped-call]
            self.fp.data,  # type: ignore[union-attr]  # `Source`
            convert_hdr_to_8bit=False,
            hdr_to_16bit=False,
        )
        self.image = found[found.primary_index]
        info: dict[str, Any] = self.image.info
        self._described(
            self.image.size,
            exif=info.get("exif"),
            icc_profile=info.get("icc_profile"),
            xmp=info.get("xmp"),
        )


class Avif(_Heif):
    """An AVIF file; one that holds several images shows its primary one."""

    image: Any

    def _open(self) -> None:
        def load(page: int) -> Any:
            data = self.fp.data  # type: ignore[union-attr]  # `Source`
            return vips().Image.heifload_buffer(
                data, page=page, fail_on="warning", access="sequential"
            )

        image = load(0)
        primary = image.get("heif-primary")
        self.image = load(primary) if primary else image
        found = {
            name: self.image.get(f"{name}-data") if self.image.get_typeof(f"{name}-data") else None
            for name in ("exif", "icc-profile", "xmp")
        }
        self._described(
            (self.image.width, self.image.height),
            exif=found["exif"],
            icc_profile=found["icc-profile"],
            xmp=found["xmp"],
        )


def read_heic(image: ImageFile, source: object) -> Raster:
    """Read the pixels of a `Heic`: 8 bits, or 10 and 12 bits as 16."""
    assert isinstance(image, Heic)
    heif, info = image.image, cast(dict[str, Any], image.image.info)
    del image.image  # also below: what is not needed any more goes, because photos are large
    return _raster(np.asarray(heif), info["bit_depth"], image)


def read_avif(image: ImageFile, source: object) -> Raster:
    """Read the pixels of an `Avif`: 8 bits, or 10 and 12 bits as 16."""
    assert isinstance(image, Avif)
    heif, bit_depth = image.image, image.image.get("bits-per-sample")
    del image.image
    return _raster(values(heif), bit_depth, image, shift=16 - bit_depth)


def _raster(channels: Samples, bit_depth: int, image: _Heif, shift: int = 0) -> Raster:
    """Split channels (H, W, C) or (H, W) whose values have `bit_depth` bits.

    Values of 16 bits are shifted to the left by `shift`.
    """
    if channels.shape[:2] != (image.height, image.width):
        raise ImageError("corrupt", f"the pixels are {channels.shape[:2]}, not {image.size[::-1]}")
    if channels.dtype == np.uint16:
        most = 2**bit_depth - 1
        levels = np.minimum(np.arange(_MOST + 1, dtype=np.uint32) >> shift, most)
        channels = converted(channels, ((levels * _MOST + most // 2) // most).astype(np.uint16))
    if channels.ndim == 2:
        return Raster(channels, None, bit_depth)
    alpha = np.ascontiguousarray(channels[:, :, -1]) if channels.shape[2] in (2, 4) else None
    colours = channels[:, :, :3] if channels.shape[2] > 2 else channels[:, :, :1]
    if alpha is not None and image.declared.is_premultiplied:
        colours = divided(colours, alpha)
    if image.declared.is_gray or channels.shape[2] == 2:
        colours = colours[:, :, 0]
    return Raster(np.ascontiguousarray(colours), alpha, bit_depth)


@contextmanager
def refused(kind: str) -> Iterator[None]:
    """Raise what an encoder does not accept as `ImageError`; each has limits of its kind."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, vips().Error) as error:
        said = " ".join(str(error).split())
        raise ImageError("unsupported", f"{kind}: {said}; choose png or tiff") from error


def write_heic(photo: Photo, quality: int) -> bytes:
    """Write a HEIC file; 16 bits become the 10 or 12 of the photo's own file."""
    channels, depth = _levels(photo)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels.shape[2]]
    mode += "" if depth == 8 else f";{depth}"
    height, width = channels.shape[:2]
    target = io.BytesIO()
    image = pillow_heif.from_bytes(mode=mode, size=(width, height), data=channels.tobytes())
    with refused("HEIC"):
        image.save(
            target,
            quality=quality,
            chroma=_CHROMA,
            bit_depth=depth,
            enc_params={"preset": _HEVC_PRESET},
            exif=photo.exif,
            icc_profile=photo.icc_profile,
            xmp=photo.xmp,
        )
    return target.getvalue()


def write_deep_avif(photo: Photo, quality: int, subsampling: str) -> bytes:
    """Write a 16-bit photo as an AVIF of 10 or 12 bits; gray becomes RGB."""
    channels, depth = _levels(photo)
    channels = channels << np.uint16(16 - depth)
    height, width, num_channels = channels.shape
    image = vips().Image.new_from_memory(channels.data, width, height, num_channels, "ushort")
    image = image.copy(interpretation="rgb16" if num_channels > 2 else "grey16")
    metadata = {"exif": photo.exif, "icc-profile": photo.icc_profile, "xmp": photo.xmp}
    for name, content in metadata.items():
        if content:
            image.set_type(vips().GValue.blob_type, f"{name}-data", content)
    with refused("AVIF"):
        result: bytes = image.heifsave_buffer(
            compression="av1",
            Q=quality,
            bitdepth=depth,
            effort=_AV1_EFFORT,
            subsample_mode="on" if subsampling == "4:2:0" else "off",
        )
    return result


def _levels(photo: Photo) -> tuple[Samples, int]:
    """Colours and alpha as (H, W, C), rounded to the depth that is returned."""
    channels = np.dstack([photo.pixels] if photo.alpha is None else [photo.pixels, photo.alpha])
    if not photo.is_deep:
        return channels, 8
    depth = 10 if photo.bit_depth == 10 else 12
    levels = np.arange(_MOST + 1, dtype=np.uint32)
    most = 2**depth - 1
    return converted(channels, ((levels * most + _MOST // 2) // _MOST).astype(np.uint16)), depth
