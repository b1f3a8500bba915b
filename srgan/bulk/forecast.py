"""Forecast time and bytes of a run, judged by earlier runs or by a few of its images."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from srgan.bulk.decoders import Decode
from srgan.bulk.join import Item
from srgan.bulk.run import BulkRun
from srgan.bulk.sizing import Sizing
from srgan.errors import ConfigError, ImageError
from srgan.images import Photo, encode
from srgan.images.encode import own_format
from srgan.images.entries import largest_bytes
from srgan.images.photo import to_8_bits
from srgan.readable import duration, size
from srgan.refs import Ref, Sums
from srgan.resize.arrays import imresize
from srgan.storage import is_folder, prefix_of

T = TypeVar("T")

_SAMPLE = 8
_CROP = 128
_SPARE = 1.1
"""A disk has to hold the bytes to come times this, because they are an estimate."""


class Throughput(Sums):
    """Bytes and time that some images took."""

    measured_on: str = "earlier runs"
    source_bytes: int = 0
    output_bytes: int = 0
    megapixels: float = 0.0
    upscale_s: float = 0.0
    """Time in the network, summed over images."""

    @property
    def megapixels_per_s(self) -> float | None:
        """Output megapixels per second of one worker; None where nothing was measured."""
        return self.megapixels / self.upscale_s if self.upscale_s else None


class Forecast(Ref):
    """A plan in numbers; None means that there is nothing to judge by."""

    num_todo: int
    todo_bytes: int
    """Bytes of the sources to upscale."""
    num_covered: int
    num_refused: int
    num_others: int = 0
    """Sources that are known not to be photos."""
    num_failed_before: int = 0
    """Sources that failed in an earlier run and are left out (`only_new`)."""
    num_batches: int
    output_megapixels: float | None = None
    output_bytes: int | None = None
    seconds: float | None = None
    """With as many workers as the run may have, without their start."""
    judged_by: str = "nothing"
    free_bytes: int | None = None
    """Free on the destination's disk; None for S3."""

    def projected(
        self, measured: Throughput, *, max_workers: int = 1, unread_bytes: int = 0
    ) -> Self:
        """Add what is to come, projected by source bytes from what was `measured`.

        `unread_bytes` are those of `todo_bytes` that give no output.
        """
        if not measured.source_bytes:
            return self
        share = (self.todo_bytes - unread_bytes) / measured.source_bytes
        megapixels = measured.megapixels * share
        rate = measured.megapixels_per_s
        workers = min(max_workers, max(self.num_batches, 1))
        return self.model_copy(
            update={
                "output_megapixels": megapixels,
                "output_bytes": round(measured.output_bytes * share),
                "seconds": megapixels / rate / workers if rate else None,
                "judged_by": measured.measured_on,
            }
        )

    @property
    def text(self) -> str:
        """The forecast in one line."""
        parts = [
            f"{self.num_todo} images to upscale ({size(self.todo_bytes)} in "
            f"{self.num_batches} batches), {self.num_covered} done by earlier runs, "
            f"{self.num_refused} refused"
        ]
        if self.num_others:
            parts[0] += f", {self.num_others} passed over that are not photos"
        if self.num_failed_before:
            parts[0] += f", {self.num_failed_before} left out that failed before"
        if self.output_bytes is not None:
            parts.append(
                f"about {self.output_megapixels:.1f} output megapixels and "
                f"{size(self.output_bytes)} to come, judged by {self.judged_by}"
            )
        if self.seconds is not None:
            parts.append(f"about {duration(self.seconds)} of work")
        elif self.num_todo:
            parts.append("the time is not known before a first run")
        if self.free_bytes is not None:
            parts.append(f"{size(self.free_bytes)} free at the destination")
        return "; ".join(parts)

    def check_space(self, destination: str) -> None:
        """Raise `ConfigError` if the destination's disk does not hold the bytes to come."""
        if self.free_bytes is None or self.output_bytes is None:
            return
        if self.output_bytes * _SPARE > self.free_bytes:
            raise ConfigError(
                f"the disk of {destination} is too small: about {size(self.output_bytes)} "
                f"are to come (judged by {self.judged_by}), but only {size(self.free_bytes)} are "
                "free. Make room, choose another destination, or a format that takes less."
            )


def measure_some(items: Iterable[Item], run: BulkRun, decode: Decode, scale: int) -> Throughput:
    """Measure the sizes of a few outputs by encoding crops that bicubic enlarges, but no times.

    `scale` is the model's. Sources that cannot be used count as their bytes, those that are too
    large to be read do not count.
    """
    config = run.config
    measured = Throughput(measured_on="a sample of the images")
    sizing = Sizing(scale, scale=config.scale, size=config.size)
    for item in items:
        if item.size_bytes > largest_bytes(config.max_pixels):
            continue
        measured += Throughput(source_bytes=item.size_bytes)
        data = run.source.store.find(item.key)
        if data is None:
            continue
        try:
            photo = decode(data, max_pixels=config.max_pixels, salvage=config.salvage)
            size_bytes = encoded_bytes(
                photo,
                format=config.output_format,
                jpeg_quality=config.jpeg_quality,
                compression=config.compression,
                sizing=sizing,
            )
        except ImageError:
            continue
        megapixels = sizing.num_pixels(photo) / 1e6
        measured += Throughput(output_bytes=size_bytes, megapixels=megapixels)
    return measured


def spread(items: Iterable[T], num_items: int) -> Iterator[T]:
    """Pick a few of `num_items` items, evenly spread, the first one included."""
    step = max(1, num_items // _SAMPLE)
    return (item for number, item in enumerate(items) if number % step == 0)


def middle(photo: Photo) -> NDArray[np.uint8]:
    """Cut a crop to judge by from the middle of a photo, in 8 bits."""
    height, width = photo.pixels.shape[:2]
    top, left = max(0, (height - _CROP) // 2), max(0, (width - _CROP) // 2)
    return to_8_bits(np.ascontiguousarray(photo.pixels[top : top + _CROP, left : left + _CROP]))


def encoded_bytes(
    photo: Photo, *, format: str, jpeg_quality: int, compression: int, sizing: Sizing
) -> int:
    """Estimate the bytes of a photo's output by its middle, enlarged by bicubic.

    `ImageError` for a photo whose output would have a size out of bounds.
    """
    crop = middle(photo)
    body = encode(
        Photo(imresize(crop, scale=sizing.model_scale), is_lossless=photo.is_lossless),
        format=own_format(photo) if format in ("same", photo.format) else format,
        jpeg_quality=jpeg_quality,
        compression=compression,
    )
    bytes_per_pixel = len(body) / (crop.shape[0] * crop.shape[1] * sizing.model_scale**2)
    return int(photo.pixels.itemsize * bytes_per_pixel * sizing.num_pixels(photo))


def free_bytes(destination: str) -> int | None:
    """Free bytes on the disk of a folder, which need not exist yet; None for S3."""
    if not is_folder(destination):
        return None
    folder = Path(prefix_of(destination)[1])
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
