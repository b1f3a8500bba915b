"""How a bulk run works."""

from typing import Literal

from pydantic import Field

from srgan.config.base import Config, Positive


class UpscaleConfig(Config):
    """How a bulk run writes its images."""

    batch_bytes: Positive = 64 * 2**20
    """About how many source bytes go into a batch; one batch is one Ray job."""
    max_jobs: Positive = 2
    """Ray jobs submitted at once: as many as the cluster has CPUs (or GPUs) for them."""
    output_format: Literal["same", "png", "jpeg", "webp"] = "same"
    jpeg_quality: int = Field(92, ge=1, le=100)
    memory_bytes: Positive = 2 * 2**30
    """Of a batch job's process, without the up to 1 GiB of images that wait for their turn."""
    tile: Positive | None = None
    """Side of a tile in LR pixels, without its context; None takes what `memory_bytes` allow."""
    precision: Literal["fp32", "auto"] = "auto"
    """``auto`` computes in bf16 where the processor does so natively, within 50 dB of ``fp32``."""
    max_pixels: Positive = 100_000_000
    """Images that declare more LR pixels are recorded as failed before decoding."""
    failure_tolerance: float = Field(0.0, ge=0, le=1)
    """Share of failed images up to which the flow still ends as Completed."""
