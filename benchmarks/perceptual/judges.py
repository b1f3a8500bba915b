"""Print what judges say of known changes to photos: ``judges.py PHOTOS --network NAME[=FILE]``.

PHOTOS is a folder of originals, such as Set5's. Without FILE a network's weights come from its
installed package or from torchvision. NIQE needs none and is always there.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.config.networks import FEATURE_LAYERS, PUBLISHED_WEIGHTS
from srgan.images import decode_in_8_bits
from srgan.measure.comparison import Distance
from srgan.measure.figures import figure_name, figure_text
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import open_distances
from srgan.resize.arrays import imresize
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch

Pixels = NDArray[np.uint8]
SCALE, BLUR, NOISE, GRID = 4, 1.2, 8, 4


def blurred(hr: Pixels) -> Pixels:
    weights = np.exp(-0.5 * (np.arange(-4, 5) / BLUR) ** 2)
    values: NDArray[np.float64] = hr.astype(np.float64)
    for axis in (0, 1):
        moved = [np.roll(values, offset, axis) for offset in range(-4, 5)]
        values = np.tensordot(weights / weights.sum(), moved, 1)
    return levels(values)


def levels(values: NDArray[np.float64] | NDArray[np.uint8]) -> Pixels:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def changed(hr: Pixels) -> dict[str, Pixels]:
    """The original, and changes that people rank: the border of 4 pixels is left out anyway."""
    lr = imresize(hr, scale=1 / SCALE)
    bicubic = imresize(lr, scale=SCALE)
    rows, columns = np.indices(hr.shape[:2])
    lines = np.where((rows % SCALE == 0) | (columns % SCALE == 0), GRID, -GRID)[..., None]
    chequers = (np.where((rows + columns) % 2, GRID, -GRID))[..., None]
    noise = np.random.default_rng(0).normal(0, NOISE, hr.shape)
    return {
        "original": hr,
        "moved by a pixel": np.roll(hr, 1, axis=1),
        f"blurred, σ {BLUR}": blurred(hr),
        f"noisy, σ {NOISE}": levels(hr + noise),
        "bicubic": bicubic,
        f"bicubic, lines ±{GRID}": levels(bicubic + lines),
        f"bicubic, chequers ±{GRID}": levels(bicubic + chequers),
        "nearest": lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1),
    }


def judges(networks: list[str]) -> list[Distance]:
    opened: list[Distance] = [Naturalness()]
    for each in networks:
        name, _, file = each.partition("=")
        network = next(known for known in FEATURE_LAYERS if known == name)
        data = fetch(Settings(), file or PUBLISHED_WEIGHTS[network].source)
        opened += open_distances(network, data, device=torch.device("cpu"))
    return opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of originals")
    parser.add_argument(
        "--network", action="append", default=[], help=f"NAME[=FILE] of {', '.join(FEATURE_LAYERS)}"
    )
    arguments = parser.parse_args()
    opened = judges(arguments.network)
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for path in sorted(arguments.photos.iterdir()):
        photo = decode_in_8_bits(path.read_bytes(), max_pixels=200_000_000).rgb
        hr = photo[: photo.shape[0] // SCALE * SCALE, : photo.shape[1] // SCALE * SCALE]
        for change, sr in changed(hr).items():
            for judge in opened:
                begin = time.process_time()
                found[judge.name][change].append(judge(hr, sr, border=SCALE))
                took = time.process_time() - begin
                seconds[judge.name].append(took * 512 * 512 / (hr.shape[0] * hr.shape[1]))
    heads = list(found[opened[0].name])
    print(f"| | {' | '.join(heads)} | CPU s for 512×512 |")
    print("|---" * (len(heads) + 2) + "|")
    for name, of in found.items():
        cells = [figure_text(name, float(np.mean(of[head]))) for head in heads]
        print(f"| {figure_name(name)} | {' | '.join(cells)} | {np.median(seconds[name]):.2f} |")


if __name__ == "__main__":
    main()
