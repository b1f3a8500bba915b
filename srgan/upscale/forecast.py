"""What a run is going to take: time and bytes, judged by earlier runs or by a few of its images."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from srgan.config import UpscaleConfig
from srgan.errors import ConfigError, ImageError
from srgan.images import Photo, encode
from srgan.images.photo import to_8_bits
from srgan.readable import duration, size
from srgan.refs import Ref
from srgan.storage import ObjectStore, is_folder, prefix_of
from srgan.upscale.decoders import Decode
from srgan.upscale.file_size import largest_bytes
from srgan.upscale.join import Item
from srgan.upscale.records import Past
from srgan.upscale.sizing import Sizing

T = TypeVar("T")

_SAMPLE = 8
_CROP = 128
_SPARE = 1.1
"""A disk has to hold that many times the bytes to come, since those are an estimate."""


class Forecast(Ref):
    """A plan in numbers. None where nothing is known that it could be judged by."""

    num_todo: int
    todo_bytes: int
    """Of the sources."""
    num_covered: int
    num_refused: int
    num_batches: int
    output_megapixels: float | None = None
    output_bytes: int | None = None
    seconds: float | None = None
    """With as many jobs at once as the run may have, their start-up left out."""
    judged_by: str
    free_bytes: int | None = None
    """Of the destination's disk; None for S3."""

    @property
    def text(self) -> str:
        """For people, in one line."""
        parts = [
            f"{self.num_todo} images to upscale ({size(self.todo_bytes)} in "
            f"{self.num_batches} batches), {self.num_covered} done by earlier runs, "
            f"{self.num_refused} refused"
        ]
        if self.output_bytes is not None:
            parts.append(
                f"about {self.output_megapixels:.1f} output megapixels and "
                f"{size(self.output_bytes)} to come, judged by {self.judged_by}"
            )
        if self.seconds is not None:
            parts.append(f"about {duration(self.seconds)} of work")
        elif self.num_todo:
            parts.append("how long it takes is not known before a first run")
        if self.free_bytes is not None:
            parts.append(f"{size(self.free_bytes)} free at the destination")
        return "; ".join(parts)

    def check_space(self, destination: str) -> None:
        """`ConfigError` when the destination's disk does not hold the bytes to come."""
        if self.free_bytes is None or self.output_bytes is None:
            return
        if self.output_bytes * _SPARE > self.free_bytes:
            raise ConfigError(
                f"the disk of {destination} is too small: about {size(self.output_bytes)} "
                f"are to come (judged by {self.judged_by}), {size(self.free_bytes)} are "
                "free. Make room, choose another destination, or a format that takes less."
            )


def foretell(
    *,
    num_todo: int,
    todo_bytes: int,
    unread_bytes: int = 0,
    num_covered: int,
    num_refused: int,
    num_batches: int,
    past: Past,
    destination: str,
    config: UpscaleConfig,
) -> Forecast:
    """The plan's numbers, projected by source bytes from what was measured before.

    `unread_bytes` are those of `todo_bytes` from which nothing will come.
    """
    known = past.source_bytes > 0
    share = (todo_bytes - unread_bytes) / past.source_bytes if known else 0.0
    megapixels = past.megapixels * share if known else None
    rate = past.megapixels_per_s
    jobs = min(config.max_jobs, max(num_batches, 1))
    return Forecast(
        num_todo=num_todo,
        todo_bytes=todo_bytes,
        num_covered=num_covered,
        num_refused=num_refused,
        num_batches=num_batches,
        output_megapixels=megapixels,
        output_bytes=round(past.output_bytes * share) if known else None,
        seconds=megapixels / rate / jobs if megapixels is not None and rate else None,
        judged_by=past.what if known else "nothing",
        free_bytes=_free_bytes(destination),
    )


def measure_some(
    items: Iterable[Item], store: ObjectStore, decode: Decode, config: UpscaleConfig, scale: int
) -> Past:
    """Sizes of the outputs of a few sources, by encoding crops that bicubic enlarges.

    How long it takes is not measured. Sources that cannot be used count as their bytes, those that
    are too large to be read do not count.
    """
    measured = Past(what="a sample of the images")
    sizing = Sizing(scale, scale=config.scale, size=config.size)
    for item in items:
        if item.size_bytes > largest_bytes(config.max_pixels):
            continue
        measured += Past(source_bytes=item.size_bytes)
        data = store.find(item.key)
        if data is None:
            continue
        try:
            photo = decode(data, max_pixels=config.max_pixels)
            size_bytes = encoded_bytes(
                photo, format=config.output_format, jpeg_quality=config.jpeg_quality, sizing=sizing
            )
        except ImageError:
            continue
        measured += Past(output_bytes=size_bytes, megapixels=sizing.num_pixels(photo) / 1e6)
    return measured


def spread(items: Iterable[T], num_items: int) -> Iterator[T]:
    """A few of them, evenly from the first on."""
    step = max(1, num_items // _SAMPLE)
    return (item for number, item in enumerate(items) if number % step == 0)


def middle(photo: Photo) -> NDArray[np.uint8]:
    """The middle of a photo in 8 bits, as much of it as is judged by."""
    height, width = photo.pixels.shape[:2]
    top, left = max(0, (height - _CROP) // 2), max(0, (width - _CROP) // 2)
    return to_8_bits(np.ascontiguousarray(photo.pixels[top : top + _CROP, left : left + _CROP]))


def encoded_bytes(photo: Photo, *, format: str, jpeg_quality: int, sizing: Sizing) -> int:
    """About how many bytes the output of a photo takes, by its middle enlarged by bicubic.

    `ImageError` for a photo whose output has a size out of reach.
    """
    # It brings torch, seconds that a plan without samples need not pay.
    from srgan.resize import imresize

    crop = middle(photo)
    body = encode(
        Photo(imresize(crop, scale=sizing.model_scale)),
        format=photo.format if format == "same" else format,
        jpeg_quality=jpeg_quality,
    )
    bytes_per_pixel = len(body) / (crop.shape[0] * crop.shape[1] * sizing.model_scale**2)
    return int(photo.pixels.itemsize * bytes_per_pixel * sizing.num_pixels(photo))


def _free_bytes(destination: str) -> int | None:
    if not is_folder(destination):
        return None
    folder = Path(prefix_of(destination)[1])
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
