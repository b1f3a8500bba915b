"""How fast a training rank cuts its batches: patches per second of one process, one thread.

    python benchmarks/patches.py

Prints the median over rounds for 96×96 HR patches with their degradation margin (112×112 windows),
flipped and turned, from memory-mapped shards as a training job reads them.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from srgan.data.dataset import Crops, Patches

NUM_CROPS, CROP, BATCH, WINDOW, ROUNDS, STEPS = 1000, 256, 16, 112, 7, 400


def main() -> None:
    """Write a shard of noise, map it, and time batches."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.npy"
        noise = np.random.default_rng(0).integers(0, 256, (NUM_CROPS, CROP, CROP, 3), np.uint8)
        np.save(path, noise)
        shard = np.load(path, mmap_mode="r")
        crops = Crops(
            size=CROP,
            names=[str(index) for index in range(NUM_CROPS)],
            photo_of=range(NUM_CROPS),
            shards=[shard],
            shard_of=np.zeros(NUM_CROPS, np.int64),
            row_of=np.arange(NUM_CROPS),
        )
        patches = Patches(crops, batch_size=BATCH, window=WINDOW, seed=0, augment=True)
        rates = [_rate(patches, round_ * STEPS) for round_ in range(ROUNDS)]
    print(f"{statistics.median(rates):,.0f} windows/s of {WINDOW}×{WINDOW} (median of {ROUNDS})")


def _rate(patches: Patches, first_step: int) -> float:
    started = time.perf_counter()
    for step in range(first_step, first_step + STEPS):
        patches.batch(step, rank=0, num_ranks=1)
    return STEPS * BATCH / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
