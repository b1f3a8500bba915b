"""Size and speed of shards by codec: ``python benchmarks/shards.py [PHOTOS]``.

Bytes against those of the bare ``.npy``, and megabytes of crops per second of CPU time for packing
and unpacking (the best of rounds), on crops of the photographs of the demo or of a folder.
`srgan.data.shards` and `data.compress` rest on it. Crops do not overlap here: those of small
photographs do in a dataset, and zstd finds what they share.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from srgan.data.shards import pack, unpack
from srgan.demo.photos import shipped_photos
from srgan.images.codecs.libvips import vips
from srgan.images.files import find_photos, read_photo

ROUNDS, CROP, MAX_CROPS = 3, 256, 100
GRAY = {"brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "moon.png"}
"""Left out, because red and blue less green would be nothing."""
Crops = NDArray[np.uint8]
ZSTD = pa.Codec("zstd", compression_level=1)


def main() -> None:
    """Print a line for each codec."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    paths = find_photos(folder) if folder else shipped_photos()
    found = [crop for name, path in paths.items() if name not in GRAY for crop in grid(path)]
    crops = np.stack(found[:MAX_CROPS])
    print(f"{len(crops)} crops of {CROP}×{CROP}, {crops.nbytes / 1e6:.0f} MB", flush=True)
    measure("zstd, level 1", crops, by_zstd, undo_zstd)
    measure("differences, zstd", crops, pack, unpack)
    measure("PNG, sub, level 1", crops, by_png, undo_png)


def grid(path: Path) -> list[Crops]:
    """Whole crops of a photo beside each other."""
    rgb = read_photo(path).rgb
    tops, lefts = (range(0, side - CROP + 1, CROP) for side in rgb.shape[:2])
    return [rgb[top : top + CROP, left : left + CROP] for top in tops for left in lefts]


def measure(
    name: str, crops: Crops, do: Callable[[Crops], bytes], undo: Callable[[bytes], Crops]
) -> None:
    """Print what a codec makes of the crops, after a look that they come back."""
    packing, unpacking = [], []
    for _ in range(ROUNDS):
        begun = time.process_time()
        packed = do(crops)
        middle = time.process_time()
        again = undo(packed)
        packing.append(middle - begun)
        unpacking.append(time.process_time() - middle)
    assert np.array_equal(again.reshape(crops.shape), crops), f"{name} altered the crops"
    megabytes = crops.nbytes / 1e6
    print(
        f"{name:18} {len(packed) / crops.nbytes:.3f} × bytes, packs "
        f"{megabytes / min(packing):.0f} MB/s, unpacks {megabytes / min(unpacking):.0f} MB/s",
        flush=True,
    )


def by_zstd(crops: Crops) -> bytes:
    """Compress the pixels as they are."""
    packed: bytes = ZSTD.compress(crops, asbytes=True)
    return len(crops).to_bytes(8, "little") + packed


def undo_zstd(packed: bytes) -> Crops:
    """Undo `by_zstd`."""
    num_values = int.from_bytes(packed[:8], "little") * CROP * CROP * 3
    return np.frombuffer(ZSTD.decompress(packed[8:], num_values), np.uint8)


def by_png(crops: Crops) -> bytes:
    """Write one image of all crops below each other."""
    image = vips().Image.new_from_memory(crops.data, CROP, len(crops) * CROP, 3, "uchar")
    data: bytes = image.pngsave_buffer(filter="sub", keep="none", compression=1)
    return data


def undo_png(packed: bytes) -> Crops:
    """Undo `by_png`."""
    return np.frombuffer(vips().Image.new_from_buffer(packed, "").write_to_memory(), np.uint8)


if __name__ == "__main__":
    main()
