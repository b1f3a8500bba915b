"""Speed and size of PNG files by writer, filter and level: ``python benchmarks/png.py [PHOTOS]``.

Megapixels per second of CPU time (the median of rounds in which all take turns) and bytes against
Pillow's, on the photographs of the demo or of a folder, enlarged four times by bicubic as results
are. `srgan.images.codecs.png.FILTER` and `srgan.images.encode.COMPRESSION` rest on it.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from srgan.demo.photos import shipped_photos
from srgan.images.codecs.libvips import vips
from srgan.images.files import find_photos, read_photo
from srgan.resize.arrays import imresize

ROUNDS, SIDE, MAX_PHOTOS = 5, 160, 4
Pixels = NDArray[np.uint8]


def main() -> None:
    """Print a line for each way of writing."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    paths = find_photos(folder) if folder else shipped_photos()
    photos = [enlarged(path) for path in list(paths.values())[:MAX_PHOTOS]]
    megapixels = sum(photo.shape[0] * photo.shape[1] for photo in photos) / 1e6
    ways: dict[str, Callable[[Pixels], bytes]] = {"Pillow, level 6": by_pillow}
    for level in (6, 3, 1):
        for name in ("sub", "paeth", "all"):
            ways[f"libvips, {name}, level {level}"] = partial(by_vips, name, level)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    sizes = {name: sum(len(way(photo)) for photo in photos) for name, way in ways.items()}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.process_time()
            for photo in photos:
                way(photo)
            seconds[name].append(time.process_time() - begun)
    for name, each in seconds.items():
        share = sizes[name] / sizes["Pillow, level 6"]
        print(f"{name:24} {megapixels / statistics.median(each):6.2f} MP/s  {share:5.2f} × bytes")


def enlarged(path: Path) -> Pixels:
    """Enlarge the middle of a photo."""
    rgb = read_photo(path).rgb
    top, left = ((side - SIDE) // 2 for side in rgb.shape[:2])
    return imresize(rgb[top : top + SIDE, left : left + SIDE], scale=4)


def by_pillow(photo: Pixels) -> bytes:
    """Write as it was done before."""
    data = io.BytesIO()
    Image.fromarray(photo).save(data, "png", compress_level=6)
    return data.getvalue()


def by_vips(name: str, level: int, photo: Pixels) -> bytes:
    """Write with one filter for all rows, or the best of all for each."""
    image = vips().Image.new_from_memory(photo.data, photo.shape[1], photo.shape[0], 3, "uchar")
    image = image.copy(interpretation="srgb")
    data: bytes = image.pngsave_buffer(filter=name, keep="none", compression=level)
    return data


if __name__ == "__main__":
    main()
