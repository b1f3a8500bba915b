"""Photos to train and measure on: crops of a folder, and sets of HR and LR images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.crops import training_crops
from srgan.data.dataset import Crops
from srgan.data.tables import CutPhoto
from srgan.errors import ConfigError, DataError
from srgan.images import Photo, pixel_digest
from srgan.images.files import find_photos, read_photo
from srgan.images.likeness import NEAR, bits_apart, look_of, turns_of
from srgan.images.resample import shrink
from srgan.measure.overlap import SharedScene, find_overlap
from srgan.measure.sets import SetPhoto
from srgan.refs import digest

SCALE = 4
ORIGINALS = "HR"
"""Folder of a set."""
_HELD_SIDE = 192


@dataclass(frozen=True)
class Pair:
    """One image of an evaluation set."""

    name: str
    hr: Photo
    lr: Photo


def training_photos(folder: Path, held: Iterable[Pair]) -> tuple[list[Path], list[SharedScene]]:
    """Split a folder into photos for training and those that show an evaluation image."""
    photos = list(find_photos(folder).values())
    trained = []
    for path in photos:
        photo = read_photo(path)
        height, width = photo.pixels.shape[:2]
        look = look_of(photo.rgb)
        trained.append(CutPhoto(pixel_digest(photo), path.name, "train", height, width, (), look))
    shown = [
        SetPhoto(
            name=pair.name,
            pixels=pixel_digest(pair.hr),
            look=look_of(pair.hr.rgb),
            height=pair.hr.pixels.shape[0],
            width=pair.hr.pixels.shape[1],
        )
        for pair in held
    ]
    seen = find_overlap(shown, trained)
    names = {each.trained for each in seen}
    return [path for path in photos if path.name not in names], seen


def pictures_of(sets: Mapping[str, Sequence[Pair]]) -> dict[str, str]:
    """Picture that each image shows, as the ``SET/IMAGE`` that shows it first, by ``SET/IMAGE``.

    Two images show one picture if their looks are near, also mirrored or turned. Set5's `head` and
    Set14's `face` do.
    """
    pictures: dict[str, str] = {}
    looks: dict[str, str] = {}
    for name, pairs in sets.items():
        for pair in pairs:
            image, look = f"{name}/{pair.name}", look_of(pair.hr.rgb)
            pictures[image] = _nearest(look, looks) or image
            if look and pictures[image] == image:
                looks[image] = look
    return pictures


def _nearest(look: str, looks: Mapping[str, str]) -> str | None:
    """Name of the nearest of `looks`, if it is near enough to show the same picture."""
    if not look or not looks:
        return None
    bits = bits_apart(turns_of(look), list(looks.values())).min(axis=0)
    nearest = int(bits.argmin())
    return list(looks)[nearest] if bits[nearest] <= NEAR else None


def hold_out(photos: Sequence[Path], count: int) -> tuple[list[Path], list[Pair]]:
    """Split training photos into those to train on and `count` on which choices are made.

    The names' hashes decide, so the same folder is always split alike. Choices see the square in
    the middle of a photo, because each validation measures all of them.
    """
    by_hash = sorted(photos, key=lambda path: digest(path.name))
    held = by_hash[:count]
    if len(held) == len(photos):
        raise DataError(f"{len(photos)} photos leave none to train on beside {count} held out")
    pairs = [pair_of(path.stem, _middle(read_photo(path))) for path in held]
    return [path for path in photos if path not in held], pairs


def pair_of(name: str, photo: Photo) -> Pair:
    """Crop a photo to multiples of the scale, and make its LR side."""
    height, width = (side - side % SCALE for side in photo.pixels.shape[:2])
    hr = Photo(pixels=photo.pixels[:height, :width], format=photo.format)
    return Pair(name, hr, shrink(hr, SCALE))


def _middle(photo: Photo) -> Photo:
    top, left = (max(0, (side - _HELD_SIDE) // 2) for side in photo.pixels.shape[:2])
    pixels = photo.pixels[top : top + _HELD_SIDE, left : left + _HELD_SIDE]
    return Photo(pixels=pixels, format=photo.format)


def open_training_crops(photos: Sequence[Path], out: Path, config: DataConfig) -> Crops:
    """Cut photos as a dataset cuts them for training; map the crops from a file in `out`.

    Photos smaller than a crop are left out.
    """
    cut = (config.crop_size, *config.shrunk, config.least_detail, len(photos))
    name = "-".join(map(str, cut))
    shard, owners = out / f"crops-{name}.npy", out / f"crops-{name}-photos.npy"
    if not owners.exists():
        crops, photo_of = list[NDArray[np.uint8]](), list[int]()
        for path in photos:
            pixels = read_photo(path).rgb
            if min(pixels.shape[:2]) < config.crop_size:
                continue
            mine = list(training_crops(pixels, config))
            photo_of += [photo_of[-1] + 1 if photo_of else 0] * len(mine)
            crops += mine
        if not crops:
            raise DataError(f"no photo for training holds a crop of {config.crop_size} pixels")
        np.save(shard, np.stack(crops))
        np.save(owners, np.array(photo_of))  # last: a reader that finds it also finds the crops
    numbers = np.load(owners).tolist()
    return Crops(
        size=config.crop_size,
        names=[str(number) for number in numbers],
        photo_of=numbers,
        shards=[np.load(shard, mmap_mode="r")],
        shard_of=np.zeros(len(numbers), np.int64),
        row_of=np.arange(len(numbers)),
    )


def claim(out: Path, photos: Sequence[Path]) -> None:
    """Raise `ConfigError` if `out` holds trainings on other photos than these."""
    names = [[path.name, path.stat().st_size] for path in photos]
    mark = out / "photos.sha256"
    if not mark.exists():
        mark.write_text(digest(names))
    elif mark.read_text() != digest(names):
        raise ConfigError(
            f"{out} holds trainings on other photos than these {len(photos)}; choose another "
            "folder with --out"
        )


def open_set(folder: Path) -> list[Pair]:
    """Open the images of ``HR`` with the LR images of ``LRx4``, or our own if there are none."""
    originals = find_photos(folder / ORIGINALS)
    published = find_photos(folder / f"LRx{SCALE}") if (folder / f"LRx{SCALE}").is_dir() else {}
    if published and published.keys() != originals.keys():
        raise DataError(f"{folder}: HR and LRx{SCALE} do not hold the same images")
    pairs = []
    for name, path in originals.items():
        hr = read_photo(path)
        lr = read_photo(published[name]) if published else shrink(hr, SCALE)
        pairs.append(Pair(name, hr, lr))
    return pairs
