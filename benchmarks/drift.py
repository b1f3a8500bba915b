"""Measure the statistics of photos: their cost, their false alarms, and what drift they find.

``python -m benchmarks.drift [PHOTOS ...]``: photos of the folders and of the demo, cut to pieces of
1024 pixels, at most six of each, which count as photos. ×4.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from srgan.demo.photos import shipped_photos
from srgan.images import decode
from srgan.images.files import find_photos
from srgan.images.statistics import Statistics, statistics_of
from srgan.promotion.drift import BOUND, Difference, Drift, compare
from srgan.resize.arrays import imresize

SCALE = 4
SIDE = 1024
_LEAST_SIDE = 512
_MOST_PIECES = 6
_HALVINGS = 500
_SIZES = {"640×480": (480, 640), "12 MP": (3000, 4000)}
_ROUNDS = 5
Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], tuple[Pixels, bytes]]


def main() -> None:
    folders = map(Path, sys.argv[1:])
    paths = [*shipped_photos().values()]
    paths += [path for folder in folders for path in find_photos(folder).values()]
    photos = [decode(path.read_bytes(), max_pixels=10**8).in_8_bits().rgb for path in paths]
    cost(max(photos, key=lambda photo: photo.size))
    hr = [piece for photo in photos for piece in pieces(photo)]
    inputs = [measured(piece, scale=SCALE) for piece in hr]
    print(f"{len(hr)} pieces of {len(photos)} photos", flush=True)
    for num_sources in (50, len(inputs) // 2):
        false_alarms(inputs, num_sources)
    detection(hr, inputs)


def pieces(photo: Pixels) -> list[Pixels]:
    """Cut a photo to squares, the rest of it left out; a smaller photo is one piece."""
    height, width = photo.shape[:2]
    if min(height, width) < SIDE:
        return [photo] if min(height, width) >= _LEAST_SIDE else []
    found = [
        photo[top : top + SIDE, left : left + SIDE]
        for top in range(0, height - SIDE + 1, SIDE)
        for left in range(0, width - SIDE + 1, SIDE)
    ]
    return found[:: -(-len(found) // _MOST_PIECES)]


def cost(photo: Pixels) -> None:
    """Print milliseconds for a photo as a source, and as a photo of a dataset."""
    for name, (height, width) in _SIZES.items():
        rows, columns = np.arange(height) % photo.shape[0], np.arange(width) % photo.shape[1]
        sized = np.ascontiguousarray(photo[rows][:, columns])
        file = BytesIO()
        Image.fromarray(sized).save(file, "JPEG", quality=90)
        data = file.getvalue()
        works: dict[str, Callable[[], object]] = {
            "decoding its JPEG": partial(decode, data, max_pixels=10**8),
            "statistics of a source": partial(statistics_of, sized, file=data),
            f"statistics of its LR image, ×{SCALE}": partial(statistics_of, sized, scale=SCALE),
        }
        for what, work in works.items():
            work()  # imports
            seconds = []
            for _ in range(_ROUNDS):
                began = time.process_time()
                work()
                seconds.append(time.process_time() - began)
            print(f"{name}: {what}: {1000 * float(np.median(seconds)):.1f} ms of CPU")


def false_alarms(inputs: list[Statistics], num_sources: int) -> None:
    """Print how often one part of the photos drifts against the others."""
    chance = np.random.default_rng(0)
    alarms = 0
    for _ in range(_HALVINGS):
        order = chance.permutation(len(inputs))
        parts = order[:num_sources], order[num_sources : 2 * num_sources]
        found = compare(*([inputs[i] for i in part] for part in parts))
        alarms += bool(drifting(found))
    print(
        f"{num_sources} photos against {num_sources} others of one collection: "
        f"{100 * alarms / _HALVINGS:.1f} % false alarms in {_HALVINGS}"
    )


def detection(hr: list[Pixels], inputs: list[Statistics]) -> None:
    """Print what drifts if one half of the LR images is changed, against the other half."""
    order = np.random.default_rng(1).permutation(len(hr))
    mine, others = order[: len(order) // 2], order[len(order) // 2 :]
    lr = [imresize(hr[i], scale=1 / SCALE) for i in mine]
    for name, change in changes().items():
        sources = [changed(each, change) for each in lr]
        say(name, compare(sources, [inputs[i] for i in others]))
    say("not reduced", compare([measured(hr[i]) for i in mine], [inputs[i] for i in others]))


def changes() -> dict[str, Change]:
    """Ways to change an LR image: pixels, and the file that they came in."""
    found: dict[str, Change] = {"as it is": lambda lr: (lr, b"")}
    for sigma in (0.5, 0.7, 1.0, 1.5):
        found[f"blurred, σ {sigma}"] = lambda lr, s=sigma: (blurred(lr, s), b"")  # type: ignore[misc]
    for level in (2, 4, 8, 16):
        found[f"noise, σ {level}"] = lambda lr, s=level: (noisy(lr, s), b"")  # type: ignore[misc]
    for quality in (30, 50, 75, 85, 95):
        found[f"JPEG, quality {quality}"] = lambda lr, q=quality: compressed(lr, q)  # type: ignore[misc]
    found["gray"] = lambda lr: (np.repeat(lr.mean(axis=2, keepdims=True), 3, 2).astype("u1"), b"")
    found["half as bright"] = lambda lr: ((lr // 2).astype(np.uint8), b"")
    return found


def changed(lr: Pixels, change: Change) -> Statistics:
    pixels, file = change(lr)
    return measured(pixels, file=file)


def measured(pixels: Pixels, *, scale: int = 1, file: bytes = b"") -> Statistics:
    found = statistics_of(pixels, scale=scale, file=file)
    assert found is not None
    return found


def drifting(found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    return Drift(run="", source="", num_sources=0, differences=found).beyond(BOUND)


def say(name: str, found: tuple[Difference, ...]) -> None:
    distances = ", ".join(f"{each.statistic} {each.distance:.2f}" for each in found)
    drift = ", ".join(each.statistic for each in drifting(found)) or "nothing"
    print(f"{name}: {drift} drifts ({distances})")


def blurred(lr: Pixels, sigma: float) -> Pixels:
    return np.array(Image.fromarray(lr).filter(ImageFilter.GaussianBlur(sigma)))


def noisy(lr: Pixels, sigma: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, sigma, lr.shape)
    return np.clip(np.rint(lr + noise), 0, 255).astype(np.uint8)


def compressed(lr: Pixels, quality: int) -> tuple[Pixels, bytes]:
    file = BytesIO()
    Image.fromarray(lr).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file)), file.getvalue()


if __name__ == "__main__":
    main()
