"""Measure how near good outputs come to the limits of the gate's guards.

``python benchmarks/gate/guards.py GENERATOR PHOTOS [PHOTOS ...]``: worst artifacts of bicubic and
of a generator (safetensors) on crops of the photos in the folders and of the demo's.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srgan.demo.photos import shipped_photos
from srgan.images.files import find_photos, read_photo
from srgan.inference.engine import Engine
from srgan.measure.guards import Artifacts, measure_artifacts
from srgan.models.interchange import load_generator
from srgan.resize.arrays import imresize

SIDE = 128


def main() -> None:
    weights, *folders = map(Path, sys.argv[1:])
    engine = Engine(load_generator(weights.read_bytes()), tile=SIDE)
    photos = list(shipped_photos().values())
    photos += [path for folder in folders for path in find_photos(folder).values()]
    found: dict[str, list[Artifacts]] = {"bicubic": [], weights.name: []}
    for hr in crops(photos):
        lr = imresize(hr, scale=1 / engine.scale)
        bicubic = imresize(lr, scale=engine.scale)
        for name, sr in zip(found, (bicubic, engine.upscale(lr)), strict=True):
            found[name].append(measure_artifacts(hr, sr, bicubic, scale=engine.scale))
    for name, artifacts in found.items():
        print(
            f"{name}, {len(artifacts)} crops: "
            f"contrast {min(each.contrast for each in artifacts):.2f}, "
            f"brightness {max(abs(each.brightness_shift) for each in artifacts):.2f}, "
            f"colour {max(abs(each.colour_shift) for each in artifacts):.2f}, "
            f"checkerboard {max(each.checkerboard for each in artifacts):.2f}"
        )


def crops(photos: list[Path]) -> Iterator[NDArray[np.uint8]]:
    """Cut squares that do not overlap, without flat ones."""
    for path in photos:
        image = read_photo(path).rgb
        for top in range(0, image.shape[0] - SIDE + 1, SIDE):
            for left in range(0, image.shape[1] - SIDE + 1, SIDE):
                crop = image[top : top + SIDE, left : left + SIDE]
                if (crop != crop[0, 0]).any():
                    yield crop


if __name__ == "__main__":
    main()
