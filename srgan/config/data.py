"""How photos become HR crops and evaluation sets."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from srgan.config.base import Config, Positive, Scale
from srgan.config.degradation import DegradationConfig
from srgan.config.networks import MAX_PIXELS
from srgan.readable import Bytes


class DataConfig(Config):
    """How photos become HR crops."""

    scale: Scale = 4
    """HR pixels for each LR pixel along a side."""
    crop_size: Positive = 256
    """Side of the square HR crops in pixels. Photos smaller than that are rejected as tiny.
    Training cuts windows (patch and margin, 112 pixels at ×4) out of crops, and none across their
    edges: at 128 it reaches 4 % of a 481×321 photo's windows, at 256 78 %."""
    eval_share: float = Field(0.1, gt=0, lt=1)
    """Share of photos held out for evaluation, decided by a hash of their pixels."""
    shard_bytes: Bytes = 64 * 2**20
    """Approximate size of a shard, the object in the bucket that holds many crops."""
    compress: bool = False
    """Pack new shards without loss (`data.packing`) in the bucket; nodes unpack what they fetch.
    Does not apply to pairs."""
    max_pixels: Positive = 200_000_000
    """Photos that declare more pixels are rejected before decoding (decompression bombs)."""
    shrunk: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    """Training photos are cut a second time after shrinking by each of these factors: more detail
    per pixel, and the marks of their compression gone. Too small a result is left out."""
    least_detail: float = Field(0.0, ge=0, lt=255)
    """Training crops that lose less than this when bicubic shrinks and enlarges them (root mean
    square, in levels of 255) are left out: sky and walls teach nothing that bicubic cannot do. A
    photo without any richer crop keeps its richest. 0 keeps all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.crop_size % self.scale:
            raise ValueError(f"crop_size {self.crop_size} is not divisible by scale {self.scale}")
        return self


class SetConfig(Config):
    """How photos become an evaluation set."""

    crop_size: int | None = Field(None, ge=32)
    """Side of the square crops that are measured; None: whole photos."""
    max_pixels: Positive = 200_000_000
    """Photos that declare more pixels are rejected before decoding (decompression bombs)."""
    max_whole_pixels: Positive = MAX_PIXELS
    """Whole photos with more pixels are rejected: a perceptual network sees a photo at once."""
    degradation: DegradationConfig = DegradationConfig()
    """How LR images are made, drawn by each photo's pixels: the same at every evaluation."""
