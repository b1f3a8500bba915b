"""Measure how the gate's sign of a checkerboard reads drawn grids and outputs without one.

``python -m benchmarks.gate.grids PHOTOS [PHOTOS ...]``: on every third crop of the photos in the
folders and of the demo's, ×4, above the original's own pattern.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate.guards import SIDE, crops
from srgan.demo.photos import shipped_photos
from srgan.images.files import find_photos
from srgan.measure.guards import MAX_CHECKERBOARD, checkerboard
from srgan.resize.arrays import imresize

SCALE = 4


def main() -> None:
    folders = map(Path, sys.argv[1:])
    photos = [path for folder in folders for path in find_photos(folder).values()]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for number, hr in enumerate(crops([*photos, *shipped_photos().values()])):
        if number % 3 == 0:
            for name, sr in outputs(hr).items():
                levels = np.clip(np.rint(sr), 0, 255).astype(np.uint8)
                found[name].append(float(checkerboard(hr, levels, scale=SCALE)))
    for name, values in found.items():
        print(
            f"{name}, {len(values)} crops: median {np.median(values):.2f}, "
            f"highest {max(values):.2f}, "
            f"above the limit {100 * np.mean(np.array(values) > MAX_CHECKERBOARD):.0f} %"
        )


def outputs(hr: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return outputs made of bicubic's, by name."""
    bicubic = imresize(imresize(hr, scale=1 / SCALE), scale=SCALE).astype(np.float64)
    rows, columns = np.indices((SIDE, SIDE))
    grid = ((-1.0) ** (rows // 2 + columns // 2))[..., None]
    local = grid * ((-1.0) ** (rows // 32 + columns // 32))[..., None]
    noise = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE, 1))
    return {
        "bicubic": bicubic,
        "half-way to the original": (bicubic + hr) / 2,
        "noise of 12 levels": bicubic + noise,
        "grid of 2 levels": bicubic + 2 * grid,
        "local grid of 2 levels": bicubic + 2 * local,
        "local grid of 8 levels": bicubic + 8 * local,
        **{
            f"local grid of {levels} levels, {off} pixels off": bicubic
            + levels * np.roll(local, (off, off), (0, 1))
            for levels in (2, 8)
            for off in (4, 8, 12, 16)
        },
    }


if __name__ == "__main__":
    main()
