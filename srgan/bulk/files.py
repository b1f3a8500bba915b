"""Upscale photos of this disk by the steps of a bulk run, and forecast time and bytes."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srgan.bulk.decoders import Decode, check_file_size
from srgan.bulk.forecast import Forecast, Throughput, encoded_bytes, free_bytes, middle, spread
from srgan.bulk.names import Oversize, reroute_suffix
from srgan.bulk.sizing import Sizing, target_format
from srgan.errors import ImageError
from srgan.images.files import MAX_PIXELS, file_format, write_photo
from srgan.images.photo import Photo
from srgan.inference.engine import Engine


@dataclass(frozen=True, slots=True)
class FileUpscaler:
    """Upscales one file after the other with the same engine and options."""

    engine: Engine
    decode: Decode
    sizing: Sizing
    oversize: Oversize
    jpeg_quality: int
    jpeg_subsampling: str
    compression: int
    own_format: bool
    """Results have the format of their photos, whatever the suffix; else that of their suffix."""
    salvage: bool

    def __call__(self, source: Path, target: Path) -> tuple[Path, tuple[str, ...]]:
        """Write the result to `target`, or beside it if it is too large for its format.

        Returns where the result is, and the names of what it lost. `ImageError`, before the network
        runs, for a photo that cannot be read or written.
        """
        photo = self.read(source)
        wanted = self.format(photo, target)
        format = target_format(photo, wanted, self.oversize, self.sizing)
        if format != wanted:
            target = target.with_name(target.name + reroute_suffix(self.oversize))
        lost = write_photo(
            target,
            self.sizing.fitted(self.engine.upscale_photo(photo), photo),
            format=format,
            jpeg_quality=self.jpeg_quality,
            jpeg_subsampling=self.jpeg_subsampling,
            compression=self.compression,
        )
        return target, lost

    def format(self, photo: Photo, target: Path) -> str:
        """Format of the result of a photo, unless it is too large for it."""
        return photo.format if self.own_format else file_format(target)

    def read(self, source: Path) -> Photo:
        """Read the photo in its own depth and with all its pages; `ImageError` with the reason."""
        try:
            check_file_size(source.stat().st_size, MAX_PIXELS)
            data = source.read_bytes()
        except OSError as error:
            raise ImageError("unreadable", str(error)) from error
        return self.decode(data, max_pixels=MAX_PIXELS, salvage=self.salvage)


def forecast_files(files: list[tuple[Path, Path]], upscaler: FileUpscaler) -> Forecast:
    """Forecast time and bytes from a few of the photos; the engine upscales a small part of each.

    `files` are photos and the paths of their results. `ConfigError` if that disk is too small.
    """
    measured = Throughput(measured_on="a few of the photos")
    for path, target in spread(files, len(files)):
        measured += Throughput(source_bytes=path.stat().st_size)
        try:
            photo = upscaler.read(path)
            megapixels = upscaler.sizing.num_pixels(photo) / 1e6
        except ImageError:
            continue
        engine = upscaler.engine
        size_bytes = encoded_bytes(
            photo,
            format=upscaler.format(photo, target),
            jpeg_quality=upscaler.jpeg_quality,
            compression=upscaler.compression,
            sizing=upscaler.sizing,
        )
        computed = engine.scale**2 * sum(page.num_pixels for page in (photo, *photo.pages)) / 1e6
        seconds = computed / _megapixels_per_s(engine, middle(photo))
        measured += Throughput(output_bytes=size_bytes, megapixels=megapixels, upscale_s=seconds)
    destination = str(files[0][1].parent.absolute())
    forecast = Forecast(
        num_todo=len(files),
        todo_bytes=sum(path.stat().st_size for path, _ in files),
        num_covered=0,
        num_refused=0,
        num_batches=1,
        free_bytes=free_bytes(destination),
    ).projected(measured)
    forecast.check_space(destination)
    return forecast


def _megapixels_per_s(engine: Engine, crop: NDArray[np.uint8]) -> float:
    """Measure output megapixels per second on the second pass; the first one compiles kernels."""
    rgb = crop if crop.ndim == 3 else np.repeat(crop[:, :, None], 3, axis=2)
    engine.upscale(rgb)
    began = time.perf_counter()
    made = engine.upscale(rgb)
    seconds = time.perf_counter() - began
    return float(made.shape[0] * made.shape[1]) / 1e6 / seconds
