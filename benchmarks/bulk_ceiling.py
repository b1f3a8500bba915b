"""Compare the batch path of bulk runs with what codecs and the object store can do at most.

    python benchmarks/bulk_ceiling.py [--formats jpeg png webp tiff] [--sizes 24x24 640x480]
        [--cpus 1 2] [--rounds 3] [--seconds 8]

The network is free: it repeats pixels, four times in both directions. So what is left of a batch
is reading from S3, decoding, passing pixels on, encoding, writing and recording. Beside it, in
turn and on the same CPUs, a bare loop in twice as many processes as CPUs: each gets an object,
decodes it, repeats its pixels, has the library encode them in the same way, and puts the result.
Sources are JPEGs. The object store may use all CPUs. Rates are medians over the rounds, which take
about so many seconds each. Needs a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from srgan.bulk.batch import BatchPipeline, num_readers
from srgan.bulk.decoders import Decoders
from srgan.bulk.join import Item
from srgan.bulk.records import Tally, tally
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.config.upscale import WAITING_BYTES_PER_CPU
from srgan.demo.photos import shipped_photos
from srgan.images import Photo
from srgan.images.codecs.libvips import use_threads
from srgan.images.files import read_photo
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.stack import Stack
from srgan.storage import Place

SCALE = 4
FORMATS = ("jpeg", "png", "webp", "tiff")
SIZES = ("24x24", "64x64", "640x480", "4000x3000")
CONFIG = UpscaleConfig()
_NUM_SOURCES = 4
_MOST_IMAGES = 1000
_MODEL = ModelRef(name="free", version=1, run="none", weights_digest="ab" * 32)

Rgb = NDArray[np.uint8]


def main() -> None:
    """Print a line for each format, size and number of CPUs."""
    options = _options()
    if options.child:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cpus[0]])
        print(json.dumps(_compare(options, options.formats[0], options.sizes[0])))
        return
    load = os.getloadavg()[0]
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} CPUs, load {load:.1f}\n")
    columns = ("output", "LR size", "CPUs", "images/s", "output MP/s", "of the bare loop")
    print("| " + " | ".join([*columns, "to 1 CPU", "ms of an image by stage"]) + " |")
    print("|---|---|---:|---:|---:|---:|---:|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up(("s3",))
            env = {**os.environ, **stack.env(), "OMP_NUM_THREADS": "1"}
            for form in options.formats:
                for size in options.sizes:
                    _lines(options, form, size, env)
        finally:
            stack.down()


def _lines(options: argparse.Namespace, form: str, size: str, env: dict[str, str]) -> None:
    first = 0.0
    for cpus in options.cpus:
        command = [sys.executable, __file__, "--child", "--formats", form, "--sizes", size]
        command += ["--cpus", str(cpus), "--rounds", str(options.rounds)]
        command += ["--seconds", str(options.seconds)]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rate = found["batch"]
        first = first or rate
        width, height = map(int, size.split("x"))
        megapixels = rate * width * height * SCALE**2 / 1e6
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in found["stages"].items())
        cells = (form, size, cpus, f"{rate:.2f}", f"{megapixels:.1f}")
        ratios = (f"{rate / found['bare']:.2f}", f"{rate / first:.2f}", stages)
        print("| " + " | ".join(map(str, (*cells, *ratios))) + " |", flush=True)


def _compare(options: argparse.Namespace, form: str, size: str) -> dict[str, object]:
    """Rates of both sides in images per second, and milliseconds of an image's stages."""
    cpus = options.cpus[0]
    store = open_store(Settings())
    width, height = map(int, size.split("x"))
    sources = [_jpeg(_photo(number, height, width)) for number in range(_NUM_SOURCES)]
    bare, batch, tallies = [], [], list[Tally]()
    context = get_context("forkserver")
    with (
        ProcessPoolExecutor(2 * cpus, context, initializer=_open) as pool,
        Decoders(num_readers(cpus)) as decoders,
    ):
        items = _put(store, size, sources, 4 * cpus)
        _bare(pool, items, form)  # processes start and load their libraries
        one_s = len(items) / _bare(pool, items, form)
        count = min(_MOST_IMAGES, max(2 * cpus, round(options.seconds / one_s * len(items))))
        items = _put(store, size, sources, count)
        for number in range(options.rounds + 1):
            rate = _bare(pool, items, form)
            run = _run(store, f"{form}-{size}-{cpus}-{number}", form)
            work = BatchPipeline(
                run,
                Free(),
                decoders.decode,
                num_cpus=cpus,
                waiting_bytes=WAITING_BYTES_PER_CPU * cpus,
            )
            begun = time.perf_counter()
            rows = work.run(0, [_into(item, run, form) for item in items])
            seconds = time.perf_counter() - begun
            assert tally(rows).num_done == len(items), rows[0]
            if number:  # the first warms up
                bare.append(rate)
                batch.append(len(items) / seconds)
                tallies.append(tally(rows))
    total = sum(tallies, Tally())
    stages = {name: 1e3 * s / total.num_done for name, s in total.seconds.items()}
    return {"bare": statistics.median(bare), "batch": statistics.median(batch), "stages": stages}


class Free:
    """A network that costs a copy."""

    scale = SCALE

    def upscale_photo(self, photo: Photo) -> Photo:
        return replace(photo, pixels=_repeated(photo.rgb))

    def together(self, photos: Sequence[Photo]) -> list[int]:
        return [0]

    def upscale_photos(self, photos: Sequence[Photo]) -> list[Photo]:
        return [self.upscale_photo(photo) for photo in photos]

    def held_bytes(self, photo: Photo) -> int:
        return (1 + 2 * SCALE**2) * photo.num_bytes

    def is_spooled(self, photo: Photo) -> bool:
        return False


def _bare(pool: ProcessPoolExecutor, items: Sequence[Item], form: str) -> float:
    """Images per second of the bare loop."""
    begun = time.perf_counter()
    for _ in pool.map(_one, [item.key for item in items], [form] * len(items)):
        pass
    return len(items) / (time.perf_counter() - begun)


_store: S3Store | None = None


def _open() -> None:
    global _store  # noqa: PLW0603  # of a process of the pool
    _store = open_store(Settings())
    use_threads(1)  # as in a batch


def _one(key: str, form: str) -> None:
    assert _store is not None
    data = _store.get(key)
    with Image.open(BytesIO(data)) as image:
        rgb = np.asarray(image.convert("RGB"))
    _store.put(f"bare/{key}.{form}", _encoded(_repeated(rgb), form))


def _encoded(rgb: Rgb, form: str) -> bytes:
    """Encode with the libraries and settings of bulk runs, without any metadata."""
    level, quality = CONFIG.compression, CONFIG.jpeg_quality
    if form in ("jpeg", "webp"):
        target = BytesIO()
        options = {"subsampling": CONFIG.jpeg_subsampling} if form == "jpeg" else {}
        Image.fromarray(rgb).save(target, form, quality=quality, **options)
        return target.getvalue()
    image = pyvips.Image.new_from_array(rgb)
    if form == "png":
        return bytes(image.pngsave_buffer(compression=level, filter="paeth"))
    return bytes(image.tiffsave_buffer(compression="deflate", predictor="horizontal", level=level))


def _repeated(rgb: Rgb) -> Rgb:
    # Columns first, on the smaller image. Rows are then assigned whole, which, other than a
    # repetition, is done without the GIL.
    height, width, channels = rgb.shape
    rows = rgb.repeat(SCALE, axis=1).reshape(height, 1, SCALE * width * channels)
    repeated = np.empty((height, SCALE, rows.shape[-1]), np.uint8)
    repeated[:] = rows
    return repeated.reshape(SCALE * height, SCALE * width, channels)


def _photo(number: int, height: int, width: int) -> Rgb:
    """Tiles of one of the demo's photographs."""
    paths = list(shipped_photos().values())
    rgb = read_photo(paths[number % len(paths)]).rgb
    rows, columns = -(-height // rgb.shape[0]), -(-width // rgb.shape[1])
    return np.ascontiguousarray(np.tile(rgb, (rows, columns, 1))[:height, :width])


def _jpeg(rgb: Rgb) -> bytes:
    target = BytesIO()
    Image.fromarray(rgb).save(target, "jpeg", quality=90)
    return target.getvalue()


def _put(store: S3Store, size: str, sources: Sequence[bytes], count: int) -> list[Item]:
    items = []
    for number in range(count):
        data = sources[number % len(sources)]
        key = f"photos/{size}/{number:05d}.jpg"
        items.append(Item(key=key, token=store.put(key, data), size_bytes=len(data), output=""))
    return items


def _run(store: S3Store, name: str, form: str) -> BulkRun:
    return BulkRun(
        name=name,
        source=Place(store.uri("photos"), store),
        destination=Place(store.uri(f"up/{name}"), store),
        model=_MODEL,
        config=CONFIG.model_copy(update={"output_format": form}),
    )


def _into(item: Item, run: BulkRun, form: str) -> Item:
    output = f"{run.destination.prefix}{item.key}.{form}"
    return item.model_copy(update={"output": output})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), help="LR sizes, WIDTHxHEIGHT")
    parser.add_argument("--cpus", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a round of either side")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
