"""Crops of one side of a dataset version, as training ranks and evaluations read them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from srgan.data.manifest import read_manifest, read_photos
from srgan.data.shards import ShardCache
from srgan.data.tables import CutPhoto, Split
from srgan.errors import ConfigError, StorageError
from srgan.refs import DatasetRef
from srgan.storage import ObjectStore

_PHOTOS_PER_HELD_OUT = 10
_MOST_HELD_OUT = 16
_DRAWS = 6
_COLOUR_ORDERS = [list(order) for order in permutations(range(3))]
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(eq=False)
class Crops(Sequence[NDArray[np.uint8]]):
    """HR crops, uint8 (P, P, 3) RGB, in an order that depends only on the content."""

    size: int
    """P."""
    names: Sequence[str]
    """Source key of each crop."""
    photo_of: Sequence[int]
    """Number of each crop's photo, ascending from 0."""
    shards: Sequence[NDArray[np.uint8]]
    shard_of: NDArray[np.int64]
    row_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.photo_of)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]  # no slices
        return self.view(index).copy()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[index] for index in range(len(self)))

    def view(self, index: int) -> NDArray[np.uint8]:
        """The crop in its memory-mapped shard: read-only and not copied."""
        crop: NDArray[np.uint8] = self.shards[self.shard_of[index]][self.row_of[index]]
        return crop


def hold_out(crops: Crops) -> tuple[Crops, Crops]:
    """Training crops without some photos for validation, and these photos' crops.

    One photo in ten, at least one and at most 16: the first by the digests of their pixels. Crops
    of a single photo are both.
    """
    num_photos = crops.photo_of[-1] + 1 if len(crops) else 0
    if num_photos < 2:
        return crops, crops
    held_out = min(_MOST_HELD_OUT, max(1, num_photos // _PHOTOS_PER_HELD_OUT))
    first = crops.photo_of.index(held_out)
    return _part(crops, slice(first, None)), _part(crops, slice(first))


def _part(crops: Crops, part: slice) -> Crops:
    photo_of = crops.photo_of[part]
    return Crops(
        size=crops.size,
        names=crops.names[part],
        photo_of=[photo - photo_of[0] for photo in photo_of],
        shards=crops.shards,
        shard_of=crops.shard_of[part],
        row_of=crops.row_of[part],
    )


def open_crops(store: ObjectStore, ref: DatasetRef, split: Split, cache: ShardCache) -> Crops:
    """The crops of one side of `ref`; their shards are fetched into `cache` first."""
    manifest = read_manifest(store, ref.key)
    if manifest.version != ref.version:
        raise StorageError(
            f"{store.uri(ref.key)} holds version {manifest.version} instead of {ref.version}"
        )
    photos = [photo for photo in read_photos(store, manifest) if photo.split == split]
    needed = {span.shard for photo in photos for span in photo.spans}
    shards = [shard for shard in manifest.shards if shard.sha256 in needed]
    number = {shard.sha256: index for index, shard in enumerate(shards)}
    arrays = cache.open(ref.dataset, shards)
    return _arrange(photos, manifest.config.crop_size, arrays, number)


def _arrange(
    photos: list[CutPhoto],
    size: int,
    arrays: Sequence[NDArray[np.uint8]],
    number: dict[str, int],
) -> Crops:
    # Sorted by pixels: neither the layout nor the files' names change what a seed draws.
    photos = sorted(photos, key=lambda photo: photo.pixels)
    spans = [(index, photo, span) for index, photo in enumerate(photos) for span in photo.spans]
    counts = [span.num_crops for _, _, span in spans]
    return Crops(
        size=size,
        names=[photo.name for _, photo, span in spans for _ in range(span.num_crops)],
        photo_of=[index for index, _, span in spans for _ in range(span.num_crops)],
        shards=arrays,
        shard_of=np.repeat(np.array([number[s.shard] for _, _, s in spans], np.int64), counts),
        row_of=np.array([row for _, _, s in spans for row in range(s.row, s.row + s.num_crops)]),
    )


class Patches:
    """Random windows of random crops, a stateless function of seed, step and position.

    A photo is drawn first, then one of its crops, so a large photo counts no more than a small one.
    Photos within a batch are distinct if there are enough (section 3.2); otherwise each is drawn
    equally often, give or take one.
    """

    def __init__(
        self,
        crops: Crops,
        *,
        batch_size: int,
        window: int,
        seed: int,
        augment: bool,
        shuffle_colours: bool = False,
    ) -> None:
        if window > crops.size:
            raise ConfigError(
                f"windows of {window} pixels (patch_size and its margin) do not fit into crops "
                f"of {crops.size}; raise data.crop_size or lower patch_size"
            )
        if not len(crops):
            raise ConfigError("there are no crops to train on; prepare the dataset again")
        self._crops = crops
        self._batch_size = batch_size
        self._window = window
        self._seed = seed
        self._augment = augment
        self._shuffle_colours = shuffle_colours
        self._num_crops = np.bincount(crops.photo_of)
        self._first_crop = np.concatenate(([0], np.cumsum(self._num_crops)[:-1]))

    def batch(self, step: int, *, rank: int, num_ranks: int) -> NDArray[np.uint8]:
        """This rank's share of the global batch of `step`, uint8 (share, 3, window, window).

        Joined in the order of ranks, the shares are the same batch for any number of ranks.
        """
        share = share_of(self._batch_size, rank, num_ranks)
        crops, ys, xs, turns, orders = self._draw(step)
        batch = np.empty((len(share), 3, self._window, self._window), np.uint8)
        for out, index in zip(batch, share, strict=True):
            y, x = ys[index], xs[index]
            patch = self._crops.view(crops[index])[y : y + self._window, x : x + self._window]
            out[_COLOUR_ORDERS[orders[index]]] = _turned(patch.transpose(2, 0, 1), turns[index])
        return batch

    def _draw(self, step: int) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
        """Crop, y, x, turn (0–7) and order of colours (0–5) of every patch of the global batch."""
        # Philox is a counter-based generator: its key is all its state. Raw bits instead of
        # Generator's methods, because their streams may differ between releases of numpy.
        key = np.array([self._seed % 2**64, step], np.uint64)
        raw = np.random.Philox(key=key).random_raw(_DRAWS * self._batch_size)
        bits = (raw & _LOW).astype(np.int64).reshape(_DRAWS, self._batch_size)
        photos = _distinct(bits[0].tolist(), len(self._num_crops))
        crops = self._first_crop[photos] + _below(bits[1], self._num_crops[photos])
        places = self._crops.size - self._window + 1
        as_it_is = np.zeros(self._batch_size, np.int64)
        turns = bits[4] >> 29 if self._augment else as_it_is
        orders = _below(bits[5], len(_COLOUR_ORDERS)) if self._shuffle_colours else as_it_is
        ys, xs = _below(bits[2], places), _below(bits[3], places)
        return crops.tolist(), ys.tolist(), xs.tolist(), turns.tolist(), orders.tolist()


def share_of(batch_size: int, rank: int, num_ranks: int) -> range:
    """Places of a rank in the global batch; if they do not divide evenly, the first ranks get one
    more. More ranks than places are a `ConfigError`."""
    if num_ranks > batch_size:
        raise ConfigError(
            f"batch_size {batch_size} leaves nothing for some of {num_ranks} workers; "
            "raise it or use fewer workers"
        )
    least, more = divmod(batch_size, num_ranks)
    first = rank * least + min(rank, more)
    return range(first, first + least + (rank < more))


def _below(bits: NDArray[np.int64], limit: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """32 random bits each → an integer in [0, limit), limit < 2³¹."""
    return (bits * limit) >> 32


def _distinct(bits: list[int], limit: int) -> list[int]:
    """One integer in [0, limit) for each draw; each block of `limit` is a permutation."""
    if len(bits) > limit:
        blocks = math.ceil(len(bits) / limit)
        return [
            value
            for block in range(blocks)
            for value in _distinct(bits[block * limit : (block + 1) * limit], limit)
        ]
    # Fisher–Yates shuffle of 0 … limit − 1 that keeps only the swapped entries.
    swapped: dict[int, int] = {}
    values = []
    for index, draw in enumerate(bits):
        other = index + ((draw * (limit - index)) >> 32)
        values.append(swapped.get(other, other))
        swapped[other] = swapped.get(index, index)
    return values


def _turned(image: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """One of the eight flips and quarter turns of (3, W, W), as a view."""
    if turn & 1:
        image = image[:, ::-1]
    if turn & 2:
        image = image[:, :, ::-1]
    return image.transpose(0, 2, 1) if turn & 4 else image
