"""Measure how far apart photos and their copies are for the hash that finds near-duplicates.

``python benchmarks/gate/looks.py PHOTOS [PHOTOS ...]``: the nearest pairs of different files in the
folders, and the farthest copy of each kind.
"""

import sys
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srgan.images.files import find_photos, read_photo
from srgan.images.likeness import NEAR, bits_apart, look_of, turns_of

NUM_SHOWN = 6


def resized(image: Image.Image, factor: float) -> Image.Image:
    width, height = (max(1, int(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    data = BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


def cropped(image: Image.Image, share: float) -> Image.Image:
    left, top = (int(side * share) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


def brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda level: min(255, int(1.15 * level + 8)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 30": lambda image: jpeg(image, 30),
    "JPEG 10": lambda image: jpeg(image, 10),
    "half": lambda image: resized(image, 0.5),
    "double": lambda image: resized(image, 2),
    "quarter, JPEG 50": lambda image: jpeg(resized(image, 0.25), 50),
    "gray": lambda image: image.convert("L"),
    "brighter": brighter,
    "1 % off each side": lambda image: cropped(image, 0.01),
    "3 % off each side": lambda image: cropped(image, 0.03),
}


def main() -> None:
    files = [path for folder in map(Path, sys.argv[1:]) for path in find_photos(folder).values()]
    images = {path: Image.fromarray(read_photo(path).rgb) for path in files}
    looks = {path: look_of(np.asarray(image)) for path, image in images.items()}
    pairs = sorted((apart(looks[a], looks[b]), a, b) for a, b in combinations(files, 2))
    print(f"{len(files)} photos, {len(pairs):,} pairs; the nearest, near is {NEAR} bits or fewer:")
    for bits, one, other in pairs[:NUM_SHOWN]:
        print(
            f"  {bits:>2} bits: {one.parent.name}/{one.name} and {other.parent.name}/{other.name}"
        )
    print("copies, the farthest and how many are not near:")
    for name, copy in COPIES.items():
        found = [apart(looks[path], look_of(pixels(copy(images[path])))) for path in files]
        print(f"  {name:<18} {max(found):>2} bits, {sum(each > NEAR for each in found)}")


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def apart(look: str, other: str) -> int:
    return int(bits_apart(turns_of(look), [other]).min())


if __name__ == "__main__":
    main()
