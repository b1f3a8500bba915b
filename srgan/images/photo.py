"""A decoded photo with what its file said about it."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Photo:
    """Upright 8-bit pixels and the metadata that a written copy has to carry."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB, or (H, W) if the photo is grayscale."""
    alpha: NDArray[np.uint8] | None = None
    """(H, W), 0 transparent … 255 opaque; None if the file has no transparency."""
    format: str = "png"
    """Of the file: ``jpeg``, ``png``, ``webp``, ``tiff`` or ``bmp``."""
    bit_depth: int = 8
    """Bits per channel in the file; pixels have 8 whatever it says."""
    icc_profile: bytes | None = None
    exif: bytes | None = None
    """EXIF block; its orientation is 1, since the pixels are upright."""
    dpi: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or not (len(shape) == 2 or shape[2:] == (3,)):
            raise ValueError(
                f"expected uint8 pixels (H, W, 3) or (H, W), got {self.pixels.dtype} {shape}"
            )
        alpha = self.alpha
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != shape[:2]):
            raise ValueError(f"expected uint8 alpha {shape[:2]}, got {alpha.dtype} {alpha.shape}")

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3), grayscale repeated three times."""
        if self.pixels.ndim == 3:
            return self.pixels
        return np.repeat(self.pixels[:, :, None], 3, axis=2)


def pixel_digest(photo: Photo) -> str:
    """SHA-256 (hex) of size and RGB pixels: the same for every file with the same picture."""
    digest = hashlib.sha256(f"{photo.pixels.shape[0]}x{photo.pixels.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(photo.rgb).data)
    return digest.hexdigest()
