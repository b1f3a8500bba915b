"""Spec of a bulk run's job: the flow writes it, the driver and the workers read it."""

from srgan.config import Config, UpscaleConfig
from srgan.refs import ModelRef


class UpscaleSpec(Config):
    """A bulk run whose plan lies below its destination."""

    run: str
    source: str
    destination: str
    model: ModelRef
    """Version that the run began with, even if the champion has changed since."""
    config: UpscaleConfig
    trial: ModelRef | None = None
    """Version that upscales the samples too."""
    batches: tuple[int, ...]
    """Numbers of the batches that had no records when the job was submitted."""
    num_batches: int
    """Number of all batches of the run."""
    release_version: str
