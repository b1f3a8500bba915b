"""A worker of a bulk run on small JPEG files: the network together with the codecs."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.on_gpu.steps import Size
from benchmarks.quality.photos import SCALE
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.join import Item
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.images import Photo, decode, encode
from srgan.inference.engine import Engine
from srgan.inference.reach import draw_probe
from srgan.models.build import build_generator
from srgan.refs import ModelRef
from srgan.services.folder import FolderStore
from srgan.storage import Place

_HEIGHT, _WIDTH = 480, 640
_MODEL = ModelRef(name="drawn", version=1, run="drawn", weights_digest="0" * 64)


def measure_photos(device: torch.device, size: Size) -> None:
    """Time one worker with all CPUs on files in a folder; decoding and encoding are part of it."""
    engine = Engine(build_generator(size.generator), device=device, precision="auto")
    num_cpus = os.cpu_count() or 1
    pixels = (draw_probe(_HEIGHT, _WIDTH)[0].permute(1, 2, 0) * 255).round().numpy()
    data = encode(Photo(pixels.astype(np.uint8)), format="jpeg", jpeg_quality=90)
    with tempfile.TemporaryDirectory(prefix="srgan-photos-") as folder:
        source, destination = (_place(Path(folder) / name) for name in ("in", "out"))
        items = []
        for number in range(size.photos):
            key, output = (f"{each.prefix}{number}.jpg" for each in (source, destination))
            token = source.store.put(key, data)
            items.append(Item(key=key, token=token, size_bytes=len(data), output=output))
        run = BulkRun("photos", source, destination, _MODEL, UpscaleConfig())
        begun = time.perf_counter()
        rows = BatchPipeline(run, engine, decode, num_cpus=num_cpus).run(0, items)
        took = time.perf_counter() - begun
    assert {row.outcome for row in rows} == {"done"}, rows[0]
    computed = sum(row.upscale_s for row in rows)
    rate = len(rows) / took
    megapixels = rate * _HEIGHT * _WIDTH * SCALE**2 / 1e6
    print(
        f"JPEG files of {_WIDTH}×{_HEIGHT} to JPEG, {num_cpus} CPUs: {rate:.1f} files/s, "
        f"{megapixels:.1f} output MP/s; the network {100 * computed / took:.0f} % of the time",
        flush=True,
    )


def _place(folder: Path) -> Place:
    folder.mkdir()
    return Place(str(folder), FolderStore(folder))
