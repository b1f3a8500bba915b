"""What `srgan upscale` is going to take on this machine, without doing it."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srgan.config import UpscaleConfig
from srgan.errors import ImageError
from srgan.images.files import file_format
from srgan.upscale.engine import Engine
from srgan.upscale.files import FileUpscaler
from srgan.upscale.forecast import Forecast, encoded_bytes, foretell, middle, spread
from srgan.upscale.records import Past


def foretell_files(files: list[tuple[Path, Path]], upscaler: FileUpscaler) -> Forecast:
    """Judged by a few of the photos, of which the engine does a small part now.

    `files` are photos and where their results go. `ConfigError` when that disk is too small.
    """
    measured = Past(what="a few of the photos")
    for path, target in spread(files, len(files)):
        measured += Past(source_bytes=path.stat().st_size)
        try:
            photo = upscaler.read(path)
            megapixels = upscaler.sizing.num_pixels(photo) / 1e6
        except ImageError:
            continue
        engine = upscaler.engine
        size_bytes = encoded_bytes(
            photo,
            format=file_format(target),
            jpeg_quality=upscaler.jpeg_quality,
            sizing=upscaler.sizing,
        )
        computed = engine.scale**2 * sum(page.num_pixels for page in (photo, *photo.pages)) / 1e6
        seconds = computed / _megapixels_per_s(engine, middle(photo))
        measured += Past(output_bytes=size_bytes, megapixels=megapixels, upscale_s=seconds)
    destination = str(files[0][1].parent.absolute())
    forecast = foretell(
        num_todo=len(files),
        todo_bytes=sum(path.stat().st_size for path, _ in files),
        num_covered=0,
        num_refused=0,
        num_batches=1,
        past=measured,
        destination=destination,
        config=UpscaleConfig(),
    )
    forecast.check_space(destination)
    return forecast


def _megapixels_per_s(engine: Engine, crop: NDArray[np.uint8]) -> float:
    """Of outputs; the first time a shape comes, kernels are made for it."""
    rgb = crop if crop.ndim == 3 else np.repeat(crop[:, :, None], 3, axis=2)
    engine.upscale(rgb)
    began = time.perf_counter()
    made = engine.upscale(rgb)
    seconds = time.perf_counter() - began
    return float(made.shape[0] * made.shape[1]) / 1e6 / seconds
