"""Rate of patches: warm from mapped shards, in a running training, and cold from S3."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.training.measure import Size
from benchmarks.training.steps import CPU, options
from srgan.config import PretrainConfig
from srgan.data.dataset import Crops, Patches
from srgan.data.shards import ShardCache, ShardWriter
from srgan.keys import shard_key
from srgan.services.s3 import S3Store, open_store
from srgan.stack import Stack
from srgan.train.batches import Batches
from srgan.train.run import build_stage

CROP = 256
SHARD_BYTES = 64 * 2**20
NUM_SHARDS = 8
NUM_CONNECTIONS = 8  # as many as the cache uses


def warm(size: Size) -> None:
    """Measure patches per second of one thread, and how long a training step waits for data."""
    with _noise(size) as crops:
        for window in (size.patch, size.patch + 16):
            patches = Patches(crops, batch_size=size.batch, window=window, seed=0, augment=True)
            rates = [_rate(patches, number * size.loader_batches, size) for number in range(7)]
            print(
                f"loader, warm: {statistics.median(rates):,.0f} patches/s of {window}×{window} "
                f"with flips and turns, one thread"
            )
        _waiting(crops, size)


def _rate(patches: Patches, first: int, size: Size) -> float:
    begun = time.perf_counter()
    for step in range(first, first + size.loader_batches):
        patches.batch(step, rank=0, num_ranks=1)
    return size.loader_batches * size.batch / (time.perf_counter() - begun)


def _waiting(crops: Crops, size: Size) -> None:
    config = PretrainConfig.model_validate(options(size))
    stage = build_stage(config, device=CPU, initial=None)
    patches = Patches(crops, batch_size=size.batch, window=stage.window, seed=0, augment=True)
    with Batches(patches, CPU) as batches:
        stage.step(batches.take(0).windows, 0)
        waited, begun = batches.wait_s, time.perf_counter()
        for step in range(1, 1 + size.rounds * size.steps):
            stage.step(batches.take(step).windows, step)
        share = (batches.wait_s - waited) / (time.perf_counter() - begun)
    print(f"loader, share of an SRResNet step spent waiting for data: {share:.2%}")


@contextmanager
def _noise(size: Size) -> Iterator[Crops]:
    """Map crops of noise from a shard, as the cache does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        shape = (size.crops, CROP, CROP, 3)
        np.save(path, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        yield Crops(
            size=CROP,
            names=[str(index) for index in range(size.crops)],
            photo_of=range(size.crops),
            shards=[np.load(path, mmap_mode="r")],
            shard_of=np.zeros(size.crops, np.int64),
            row_of=np.arange(size.crops),
        )


def cold(size: Size) -> None:
    """Measure a cache that fetches shards from a local S3, beside plain reads of the same."""
    num_shards = NUM_SHARDS if size.rounds > 1 else 2
    shard_bytes = SHARD_BYTES if size.rounds > 1 else 2**20
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        stack.up(("s3",))
        try:
            store = open_store(stack.settings())
            store.ensure_bucket()
            writer = ShardWriter(store, "noise", (CROP, CROP, 3), shard_bytes)
            random = np.random.default_rng(0)
            while len(writer.shards) < num_shards:
                writer.add("noise", random.integers(0, 256, (8, CROP, CROP, 3), np.uint8))
            fetched, read = [], []
            for number in range(min(3, size.rounds)):
                cache = ShardCache(store, Path(folder) / f"cache-{number}", 2**40)
                begun = time.perf_counter()
                cache.open("noise", writer.shards)
                fetched.append(time.perf_counter() - begun)
                read.append(_plain_read(store, [s.sha256 for s in writer.shards]))
        finally:
            stack.down()
    megabytes = sum(shard.size_bytes for shard in writer.shards) / 1e6
    ours, plain = (megabytes / statistics.median(each) for each in (fetched, read))
    print(f"loader, cold: {ours:.0f} MB/s from S3 into the cache, verified")
    print(f"loader, cold: {plain:.0f} MB/s read by {NUM_CONNECTIONS} plain GETs at once")


def _plain_read(store: S3Store, names: list[str]) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(NUM_CONNECTIONS) as pool:
        for _ in pool.map(lambda name: len(store.get(shard_key("noise", name))), names):
            pass
    return time.perf_counter() - begun
