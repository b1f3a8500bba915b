"""How a bulk run reads, upscales and writes images."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from srgan.config.base import Config, Positive
from srgan.readable import Bytes
from srgan.refs import Gpu

SIZE_PATTERN = r"^([1-9]\d{0,5}x([1-9]\d{0,5})?|x[1-9]\d{0,5})$"
"""``4096x`` is a width, ``x2160`` a height, ``4096x2160`` a box to fit into."""

WAITING_BYTES_PER_CPU = 5 * 2**28
"""Most images and results that wait in a worker, for each of its CPUs; a larger one waits alone.

A phone's photo of 12 megapixels and its result ×4 take 1.1 GiB, so each CPU can encode one.
"""


class UpscaleConfig(Config):
    """Options of a bulk run."""

    batch_bytes: Bytes = 64 * 2**20
    """Approximate source bytes in a batch, which a worker does without a pause."""
    max_workers: Positive = Field(2, validation_alias=AliasChoices("max_workers", "max_jobs"))
    """Workers at once: as many as the cluster has CPUs (or GPUs) for; each loads the model once."""
    cpus_per_worker: Positive | None = None
    """CPUs of a worker, which read, decode, encode and write, and compute where there is no GPU.

    None: a node's CPUs divided by its GPUs, or 1 without GPUs.
    """
    gpu: Gpu = "auto"
    """Whether each worker has a GPU: ``auto`` (where there are GPUs), ``required``, ``never``."""
    output_format: Literal["same", "png", "jpeg", "webp", "tiff"] = "same"
    """Format of the outputs; ``same``: that of each source."""
    oversize: Literal["refuse", "png", "tiff"] = "refuse"
    """How to write an output with more pixels a side than its format allows."""
    jpeg_quality: int = Field(92, ge=1, le=100)
    """Quality of JPEG, WebP, HEIC and AVIF outputs."""
    jpeg_subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:4:4"
    """Resolution of the colours in JPEG outputs."""
    compression: int = Field(3, ge=0, le=9)
    """Effort of PNG and TIFF outputs, which lose nothing: 0 is fastest, 9 smallest."""
    salvage: bool = False
    """Upscale a JPEG that ends too early as viewers show it, instead of recording it as failed."""
    scale: float | None = Field(None, ge=1, le=16)
    """Scale of the outputs. None: the model's own; bicubic makes any other from it."""
    size: Annotated[str, Field(pattern=SIZE_PATTERN)] | None = None
    """Instead of `scale`: ``4096x`` wide, ``x2160`` high, or the largest within ``4096x2160``."""
    memory_bytes: Bytes = 2 * 2**30
    """Memory of a worker's process, without images that wait.

    Those take up to 1.25 GiB for each of its CPUs, less where the node has less, and a decoded
    photo for each of its readers: CPUs + 2.
    """
    tile: Positive | None = None
    """Side of a tile in LR pixels, without its context; None: as large as `memory_bytes` allows."""
    context: int | None = Field(None, ge=0)
    """LR pixels that tiles see around them, at most the network's radius; None: what it needs."""
    precision: Literal["fp32", "auto"] = "auto"
    """``auto`` computes in bf16 where the processor does so natively, within 50 dB of ``fp32``."""
    self_ensemble: bool = False
    """Average over eight flips and turns of each image: eight times the work."""
    max_pixels: Positive = 100_000_000
    """Images that declare more LR pixels are recorded as failed before decoding."""
    failure_tolerance: float = Field(0.0, ge=0, le=1)
    """Share of failed images up to which the flow still ends as Completed."""
    only_new: bool = False
    """Leave out what failed before with the same limits and has not changed; end at once if nothing
    is left to do."""

    trial: str | None = Field(None, exclude_if=lambda version: version is None)
    """Another version of the same scale, such as ``models:/NAME@challenger``. The contact sheet
    shows what it makes of the same images; it writes no output."""

    def worker_bytes(self, num_cpus: int) -> int:
        """Memory that a worker reserves where there is enough: the most that it takes."""
        return self.memory_bytes + WAITING_BYTES_PER_CPU * num_cpus

    def waiting_bytes(self, reserved_bytes: int) -> int:
        """Memory for images that wait in a worker; with 0 it has one image at a time."""
        return max(0, reserved_bytes - self.memory_bytes)

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.scale is not None and self.size is not None:
            raise ValueError("scale and size exclude each other; give one of them")
        return self
