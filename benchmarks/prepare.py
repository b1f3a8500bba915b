"""Costs of preparing photos, by part and in memory: ``python -m benchmarks.prepare [SIDE]``.

CPU milliseconds per megapixel of each part, on a drawn photo of 12 megapixels. Then the peak memory
of preparing six drawn JPEGs of SIDE × SIDE pixels (8000), with room for one of them, as the job
does, and without a bound. Shards are made, but not kept.
"""

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.upscale_plan import peak_mb, reset_peak_mb
from srgan.bulk.decoders import Decoders
from srgan.config import DataConfig
from srgan.data.crops import cut, training_crops
from srgan.data.prepare import list_photos
from srgan.data.reading import BYTES_PER_PIXEL, PhotoReader
from srgan.images import decode_in_8_bits, pixel_digest
from srgan.images.likeness import look_of
from srgan.storage import ObjectInfo, Place

UNBOUNDED = 2**50
NUM_PHOTOS = 6


def main() -> None:
    """Print the time of each part, and the memory of two processes that prepare."""
    side, *bound = [int(each) for each in sys.argv[1:]] or [8000]
    if bound:
        prepare(side, bound[0])
        return
    print_parts()
    for name, bytes_in_work in (
        ("with room for one", BYTES_PER_PIXEL * side * side),
        ("without a bound", UNBOUNDED),
    ):
        print(f"{NUM_PHOTOS} JPEGs of {side} × {side}, {name}:", flush=True)
        command = [sys.executable, "-m", "benchmarks.prepare", str(side), str(bytes_in_work)]
        subprocess.run(command, check=True)  # our own interpreter and code


def print_parts() -> None:
    """Print what each part of the work takes."""
    pixels = drawn(3000, 4000, 0)
    files = {
        "JPEG": encoded(pixels, "JPEG", quality=92),
        "PNG": encoded(pixels, "PNG"),
        "WebP": encoded(pixels, "WEBP", quality=90),
    }
    parts: dict[str, Callable[[], object]] = {
        f"decode {kind}": partial(decode_in_8_bits, data, max_pixels=10**8)
        for kind, data in files.items()
    }
    photo = decode_in_8_bits(files["JPEG"], max_pixels=10**8)
    parts |= {
        "digest of the pixels": lambda: pixel_digest(photo),
        "look": lambda: look_of(photo.pixels),
        "cut": lambda: np.stack(list(cut(photo.rgb, 256))),
        "store": lambda: stored(photo.rgb),
        "cut with least_detail": lambda: list(
            training_crops(photo.rgb, DataConfig(least_detail=2.0))
        ),
    }
    for name, part in parts.items():
        began = time.thread_time()
        part()
        seconds = time.thread_time() - began
        print(f"{name:22} {seconds / (photo.num_pixels / 1e6) * 1000:6.1f} ms per megapixel")


def drawn(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """A smooth photo with noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    tile = random.integers(0, 12, (250, 250, 1), np.uint8)
    noise = np.tile(tile, (height // 250 + 1, width // 250 + 1, 1))[:height, :width]
    return np.asarray(smooth // 2 + noise, np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    """The file of a photo."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def stored(pixels: NDArray[np.uint8]) -> str:
    """Save and hash as a shard is."""
    file = io.BytesIO()
    np.save(file, pixels)
    return hashlib.sha256(file.getvalue()).hexdigest()


def prepare(side: int, bytes_in_work: int) -> None:
    """Print the peak memory of this process and of its decoders."""
    store = Memory()
    for number in range(NUM_PHOTOS):
        data = encoded(drawn(side, side, number), "JPEG", quality=90)
        store.put(f"raw/{number}.jpg", data)
    reset_peak_mb()
    raw = Place("s3://memory/raw", store)  # type: ignore[arg-type]  # it has the methods needed
    listing = list_photos(raw, store, "large", DataConfig())  # type: ignore[arg-type]
    with Decoders(4) as decoders:
        listing.cut(PhotoReader(decoders.decode_in_8_bits, decoders.declared_pixels, bytes_in_work))
        here = peak_mb()
        there = [peak_mb(pid) for pid in decoders.pids()]
    others = " + ".join(f"{each:.0f}" for each in there)
    print(f"  {here:.0f} MiB, and decoders {others}: {here + sum(there):.0f} MiB")


class Memory:
    """An object store in this process that keeps no shards."""

    bucket = "memory"

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, body: bytes, **_: Any) -> str:
        if "/shards/" not in key:
            self._objects[key] = body
        return "t"

    def find(self, key: str) -> bytes | None:
        return self._objects.get(key)

    def head(self, key: str) -> ObjectInfo | None:
        return self._info(key) if key in self._objects else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (self._info(key) for key in sorted(self._objects) if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, "t", len(self._objects[key]))


if __name__ == "__main__":
    main()
