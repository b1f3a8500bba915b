"""How photos become an evaluation set."""

from pydantic import Field

from srgan.config.base import Config, Positive


class SetConfig(Config):
    """How photos become an evaluation set."""

    crop_size: int | None = Field(None, ge=32)
    """Side of the square crops that are measured; None: whole photos."""
    max_pixels: Positive = 200_000_000
    """Photos that declare more pixels are rejected before decoding (decompression bombs)."""
    max_whole_pixels: Positive = 4_000_000
    """Whole photos with more pixels are rejected: a perceptual network sees a photo at once."""
