"""A decoded photo with its metadata."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""Pixel values in uint8 or uint16; both use their whole range."""

GeoTag = tuple[int, Any]
"""Number of a GeoTIFF's tag and its value: a text, or a tuple of numbers."""


class Raster(NamedTuple):
    """Pixels of one image of a file, as they are stored: not yet upright."""

    colours: Samples
    """uint8 or uint16 (H, W, 3) RGB, or (H, W) gray."""
    alpha: Samples | None
    """(H, W) of the same type, not multiplied into the colours; None if there is none."""
    bit_depth: int
    """Bits per channel in the file; with a palette, those of its colours."""
    was_ink: bool = False
    """True if the colours were converted from CMYK, so that the file's profile is not theirs."""
    lost: tuple[str, ...] = ()
    """Names of what is not in the other fields."""


@dataclass(frozen=True, eq=False)
class Photo:
    """Upright pixels with 8 or 16 bits and the metadata that a written copy must keep."""

    pixels: Samples
    """uint8 or uint16 (H, W, 3) RGB, or (H, W) if the photo is grayscale."""
    alpha: Samples | None = None
    """(H, W) of the same type, 0 transparent … 255 or 65535 opaque; None if there is no alpha."""
    format: str = "png"
    """Format of the file, such as ``jpeg``."""
    bit_depth: int = 8
    """Bits per channel in the file."""
    icc_profile: bytes | None = None
    exif: bytes | None = None
    """EXIF block; its orientation is 1, because the pixels are upright."""
    dpi: tuple[float, float] | None = None
    xmp: bytes | None = None
    xmp_extension: bytes | None = None
    """Second XMP packet of a JPEG, to which the first one points."""
    iptc: bytes | None = None
    """IPTC records, as in a TIFF's tag 33723."""
    comments: tuple[bytes, ...] = ()
    """Comments of a JPEG."""
    chunks: tuple[tuple[str, bytes], ...] = ()
    """Name and content of a PNG's chunks about its colours, and of its texts."""
    geo: tuple[GeoTag, ...] = ()
    """GeoTIFF tags: where the picture lies."""
    described: tuple[int, int] | None = None
    """Height and width that EXIF, XMP and `geo` speak of; None if it is those of `pixels`."""
    is_lossless: bool = False
    """True for a WebP whose pixels were compressed without loss."""
    lost: tuple[str, ...] = ()
    """Names of what the file has and this photo does not."""
    pages: tuple["Photo", ...] = ()
    """Further pages of a TIFF or further frames of an animation."""
    duration_ms: int | None = None
    """How long a frame of an animation is shown; None if the photo is not animated."""
    num_loops: int = 0
    """How often an animation plays; 0 means for ever."""

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        shape, dtype = pixels.shape, pixels.dtype
        if dtype not in (np.uint8, np.uint16) or not (len(shape) == 2 or shape[2:] == (3,)):
            raise ValueError(
                f"expected uint8 or uint16 pixels (H, W, 3) or (H, W), got {dtype} {shape}"
            )
        if alpha is not None and (alpha.dtype != dtype or alpha.shape != shape[:2]):
            raise ValueError(f"expected {dtype} alpha {shape[:2]}, got {alpha.dtype} {alpha.shape}")

    @property
    def rgb(self) -> Samples:
        """(H, W, 3), grayscale repeated three times."""
        if self.pixels.ndim == 3:
            return self.pixels
        return np.repeat(self.pixels[:, :, None], 3, axis=2)

    @property
    def is_deep(self) -> bool:
        """True if the pixels have 16 bits."""
        return bool(self.pixels.dtype == np.uint16)

    @property
    def num_pixels(self) -> int:
        """Number of pixels of this page."""
        return int(self.pixels.shape[0]) * int(self.pixels.shape[1])

    @property
    def num_bytes(self) -> int:
        """Bytes of pixels and alpha, without further pages."""
        return self.pixels.nbytes + (0 if self.alpha is None else self.alpha.nbytes)

    def in_8_bits(self) -> "Photo":
        """Return the photo with each value rounded to the nearest of 256 levels."""
        if not self.is_deep:
            return self
        alpha = None if self.alpha is None else to_8_bits(self.alpha)
        return replace(self, pixels=to_8_bits(self.pixels), alpha=alpha)


def to_8_bits(values: Samples) -> NDArray[np.uint8]:
    """Round uint16 to the nearest of 256 levels; return uint8 unchanged."""
    if values.dtype == np.uint8:
        return values
    # 65535 is 255 · 257, so levels are multiples of 257. Values above 65535 − 128 would overflow
    # 16 bits, so they are clipped; their level stays the same.
    return ((np.minimum(values, 65_407) + np.uint16(128)) // np.uint16(257)).astype(np.uint8)


def pixel_digest(photo: Photo) -> str:
    """SHA-256 (hex) of size and RGB pixels: the same for every file that shows the same picture."""
    digest = hashlib.sha256(f"{photo.pixels.shape[0]}x{photo.pixels.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(photo.rgb).data)
    return digest.hexdigest()


def luma(rgb: Samples) -> Samples:
    """Full-range BT.601 luma (H, W) of RGB (H, W, 3); gray stays the same gray.

    Computed in whole numbers, whose sums are the same whatever the tile.
    """
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(rgb.dtype)
