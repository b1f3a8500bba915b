"""Compare a bulk run from S3 to S3, through Prefect and Ray, with the engine alone.

    python benchmarks/upscale_bulk.py [--photos FOLDER] [--model WEIGHTS] [--tiny]
        [--megapixels 12] [--num-photos 300] [--small 100 1000 10000]
        [--sections e2e workers batches small]

Starts the whole local stack in a temporary folder and runs the deployment `upscale/upscale` as a
user would, on the same pixels. `e2e`: the engine's rate on the photos, in this process with all
threads, before the stack starts; the fixed cost of a run (a warm run of one tiny image); the rate
of the bulk run with as many workers as processors. `workers`: one against two. `batches`: the same
photos in a hundred batches. `small`: seconds per image in runs of more and more small images.
Photos of mixed sizes are drawn from a seed, or come from a folder. ``--tiny`` shows that the script
runs; its figures mean nothing. Needs a quiet machine.
"""

import argparse
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from srgan.allocator import use_large_pages
from srgan.config import GeneratorConfig
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.foreign import import_file
from srgan.models.interchange import dump_generator, load_generator
from srgan.promotion.lineage import ImportLineage
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.stack import Stack
from srgan.versions.register import Registrar

SECTIONS = ("e2e", "workers", "batches", "small")
SMALL_SIDE = 24
MAX_PIXELS = 10**9
LIMIT_S = 6 * 3600.0
_WARM_RUNS = 3
_ROUNDS = 2
_NUM_BATCHES = 100


def main() -> None:
    """Start the stack, measure the sections, stop the stack."""
    options = _options()
    print(
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}, {torch.get_num_threads()} threads",
        flush=True,
    )
    generator = _generator(options)
    photos: dict[str, bytes] = {}
    engine_rate = 0.0
    if {"e2e", "workers", "batches"} & set(options.sections):
        photos = _folder(options.photos) if options.photos else _drawn(options)
        # Before the services start, because they take their share of the machine.
        engine_rate = _engine_rate(generator, photos)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up()
            stack.deploy()
            # For the clients of Prefect and MLflow in this process.
            os.environ |= {**stack.env(), "PATH": _path()}
            _measure(options, Bench(_register(generator)), photos, engine_rate)
        finally:
            stack.down()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path, help="folder of photos, instead of drawn ones")
    parser.add_argument("--model", type=Path, help="weights file; default: SRResNet 16×64, random")
    parser.add_argument(
        "--megapixels", type=float, default=12.0, help="LR megapixels of the drawn photos"
    )
    parser.add_argument("--num-photos", type=int, default=300)
    parser.add_argument("--small", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    options = parser.parse_args()
    if options.tiny:
        options.megapixels, options.num_photos, options.small = 0.2, 12, [10, 30]
    return options


class Bench:
    """A stack with a model and photos in its bucket; runs the deployment."""

    def __init__(self, model: str) -> None:
        self.store: S3Store = open_store(Settings())
        self.model = model
        self._num_runs = 0

    def put(self, prefix: str, photos: dict[str, bytes]) -> None:
        with ThreadPoolExecutor(8) as pool:
            keys = (f"{prefix}/{name}" for name in photos)
            list(pool.map(self.store.put, keys, photos.values()))

    def run(
        self, prefix: str, *, max_workers: int, **config: object
    ) -> tuple[float, dict[str, Any]]:
        """Run the deployment; return seconds from request to end, and the run's summary."""
        from prefect.deployments import run_deployment

        self._num_runs += 1
        destination = f"out-{self._num_runs}"
        began = time.perf_counter()
        flow_run: Any = run_deployment(
            "upscale/upscale",
            parameters={
                "source": self.store.uri(prefix),
                "destination": self.store.uri(destination),
                "model": self.model,
                "config": {"max_workers": max_workers, **config},
            },
            timeout=LIMIT_S,
            poll_interval=0.2,
        )
        seconds = time.perf_counter() - began
        assert flow_run.state.is_completed(), flow_run.state
        (key,) = [
            info.key
            for info in self.store.list(f"{destination}/_srgan/")
            if info.key.endswith("/summary.json")
        ]
        return seconds, json.loads(self.store.get(key))


def _measure(
    options: argparse.Namespace, bench: Bench, photos: dict[str, bytes], engine_rate: float
) -> None:
    num_workers = os.cpu_count() or 1
    bench.put("one", {"tiny.png": _png(np.zeros((8, 8, 3), np.uint8))})
    bench.run("one", max_workers=1)  # fills file caches
    warm = [bench.run("one", max_workers=1)[0] for _ in range(_WARM_RUNS)]
    fixed_s = statistics.median(warm)
    print(
        f"fixed cost, warm runs of one tiny image: {fixed_s:.1f} s "
        f"(median of {', '.join(f'{each:.1f}' for each in warm)})",
        flush=True,
    )
    if photos:
        bench.put("photos", photos)
    if {"e2e", "workers"} & set(options.sections):
        _end_to_end(options, bench, engine_rate, fixed_s, num_workers)
    if "batches" in options.sections:
        _many_batches(bench, photos, num_workers)
    if "small" in options.sections:
        _small(options, bench, fixed_s, num_workers)


def _end_to_end(
    options: argparse.Namespace,
    bench: Bench,
    engine_rate: float,
    fixed_s: float,
    num_workers: int,
) -> None:
    rates: dict[int, float] = {}
    counts = [num_workers] if "workers" not in options.sections else sorted({1, 2, num_workers})
    for each in counts:
        seconds, summary = bench.run("photos", max_workers=each)
        made = summary["counts"]["output_megapixels"]
        rates[each] = made / (seconds - fixed_s)
        stages = ", ".join(f"{k} {v:.1f}" for k, v in summary["counts"]["seconds"].items())
        print(
            f"bulk run, {each} workers: {seconds:.1f} s, {made / seconds:.3f} output MP/s; "
            f"without the fixed cost {rates[each]:.3f}, {rates[each] / engine_rate:.2f} of the "
            f"engine; seconds by stage: {stages}",
            flush=True,
        )
    if 1 in rates and 2 in rates:
        print(f"2 workers against 1: {rates[2] / rates[1]:.2f}")


def _many_batches(bench: Bench, photos: dict[str, bytes], num_workers: int) -> None:
    """Compare runs of a few batches with runs of a hundred, in turn."""
    few, many = [], []
    batch_bytes = sum(map(len, photos.values())) // _NUM_BATCHES
    for _ in range(_ROUNDS):
        few.append(bench.run("photos", max_workers=num_workers)[0])
        many.append(bench.run("photos", max_workers=num_workers, batch_bytes=batch_bytes)[0])
    seconds, others = statistics.median(few), statistics.median(many)
    print(
        f"{_NUM_BATCHES} batches: {others:.1f} s, {(others / seconds - 1) * 100:.1f} % more than "
        f"{seconds:.1f} s in batches of the usual size (medians of {_ROUNDS})",
        flush=True,
    )


def _engine_rate(generator: Generator, photos: dict[str, bytes]) -> float:
    """Measure output megapixels per second of the engine with all threads."""
    use_large_pages()
    engine = Engine(load_generator(dump_generator(generator)), precision="auto")
    decoded = [decode(data, max_pixels=MAX_PIXELS) for data in photos.values()]
    engine.upscale_photo(decoded[0])
    began = time.perf_counter()
    made = 0
    for photo in decoded:
        output = engine.upscale_photo(photo)
        made += output.pixels.shape[0] * output.pixels.shape[1]
    seconds = time.perf_counter() - began
    pixels = sum(photo.pixels.shape[0] * photo.pixels.shape[1] for photo in decoded)
    print(
        f"{len(photos)} photos, {pixels / 1e6:.1f} LR megapixels, "
        f"{sum(map(len, photos.values())) / 1e6:.1f} MB; engine alone: "
        f"{made / 1e6 / seconds:.3f} output MP/s",
        flush=True,
    )
    return made / 1e6 / seconds


def _small(options: argparse.Namespace, bench: Bench, fixed_s: float, num_workers: int) -> None:
    random = np.random.default_rng(1)
    for count in options.small:
        pictures = {
            f"{number:06d}.png": _png(
                random.integers(0, 256, (SMALL_SIDE, SMALL_SIDE, 3), dtype=np.uint8)
            )
            for number in range(count)
        }
        bench.put(f"small-{count}", pictures)
        seconds, _ = bench.run(f"small-{count}", max_workers=num_workers)
        print(
            f"{count:,} images of {SMALL_SIDE}×{SMALL_SIDE}: {seconds:.1f} s, without the fixed "
            f"cost {(seconds - fixed_s) / count * 1e3:.1f} ms each",
            flush=True,
        )


def _generator(options: argparse.Namespace) -> Generator:
    if options.model:
        return import_file(options.model).generator
    torch.manual_seed(0)
    if options.tiny:
        return build_generator(GeneratorConfig(num_blocks=2, num_channels=16))
    return build_generator(GeneratorConfig())


def _register(generator: Generator) -> str:
    weights = dump_generator(generator)
    lineage = ImportLineage(
        source_file="benchmark",
        source_sha256="00" * 32,
        source_format="benchmark",
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    return Registrar(Settings()).register_import("benchmark", weights, lineage).uri


def _drawn(options: argparse.Namespace) -> dict[str, bytes]:
    """Draw JPEGs whose areas spread over two orders of magnitude and add up to --megapixels."""
    random = np.random.default_rng(0)
    areas = 10 ** random.uniform(0, 2, options.num_photos)
    areas *= options.megapixels * 1e6 / areas.sum()
    photos = {}
    for number, area in enumerate(areas):
        ratio = random.uniform(0.6, 1.6)
        height, width = max(8, round((area * ratio) ** 0.5)), max(8, round((area / ratio) ** 0.5))
        coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        noise = random.integers(-10, 11, (height, width, 3))
        pixels = np.clip(np.asarray(smooth, np.int16) + noise, 0, 255).astype(np.uint8)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        photos[f"{number:05d}.jpg"] = buffer.getvalue()
    return photos


def _folder(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


if __name__ == "__main__":
    main()
