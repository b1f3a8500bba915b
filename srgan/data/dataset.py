"""Crops of one side of a dataset version, as training ranks and evaluations read them."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srgan.data.buffer import ShuffleBuffer
from srgan.data.crops import split_pair
from srgan.data.fetching import FetchedShards
from srgan.data.manifest import Shard, read_manifest, read_photos
from srgan.data.shards import ShardCache
from srgan.data.tables import Split
from srgan.errors import ConfigError, DataError, StorageError
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
    scale: int | None = None
    """Scale of pairs; None if there are no LR crops."""
    pictures: Sequence[str] = ()
    """Digest of each photo's HR pixels, by its number."""
    fetched: FetchedShards | None = None
    """The `shards` if they are fetched while they are read; None if all are there."""

    def __len__(self) -> int:
        return len(self.photo_of)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:  # type: ignore[override]  # no slices
        return self.view(index).copy()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[index] for index in range(len(self)))

    def view(self, index: int) -> NDArray[np.uint8]:
        """The crop in its memory-mapped shard: read-only and not copied."""
        row: NDArray[np.uint8] = self.shards[self.shard_of[index]][self.row_of[index]]
        return row if self.scale is None else split_pair(row, self.size, self.scale)[0]

    def lr(self, index: int) -> NDArray[np.uint8]:
        """LR (P / scale, P / scale, 3) of a pair: read-only and not copied."""
        assert self.scale is not None
        row = self.shards[self.shard_of[index]][self.row_of[index]]
        return split_pair(row, self.size, self.scale)[1]


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
    return _part(crops, range(first, len(crops))), _part(crops, range(first))


def leave_out(crops: Crops, pictures: Collection[str]) -> Crops:
    """The crops of all photos but those with these HR pixels."""
    kept = [i for i, photo in enumerate(crops.photo_of) if crops.pictures[photo] not in pictures]
    return _part(crops, kept)


def split_pairs(
    pairs: Crops, trained: Crops, held_out: Crops, gated: Collection[str]
) -> tuple[Crops, Crops, Crops]:
    """Pairs to train on, pairs for validation, and the crops of `trained` that may be trained on.

    `held_out` are the crops of the photos that validation measures, `gated` are the HR pixels of
    those that the gate measures. No pair shows one of these to the training, and no crop shows a
    validation's pair. Validation takes the pairs that show its photos; if there are
    none, `hold_out` chooses. `DataError` if nothing is left to train on.
    """
    pairs = leave_out(pairs, gated)
    others = leave_out(pairs, held_out.pictures)
    validated = leave_out(pairs, others.pictures)
    if not len(validated):
        others, validated = hold_out(others)
    others = leave_out(others, validated.pictures)
    trained = leave_out(trained, validated.pictures)
    if not len(others) or not len(trained):
        raise DataError(
            "pairs and photos leave nothing to train on once validation has its pairs and no pair "
            "shows what the gate measures; add pairs of other photos"
        )
    return others, validated, trained


def gated_pictures(store: ObjectStore, ref: DatasetRef) -> set[str]:
    """Digests of the pixels of the photos that are held out for the gate."""
    photos = read_photos(store, read_manifest(store, ref.key))
    return {photo.picture for photo in photos if photo.split == "eval"}


def _part(crops: Crops, kept: Sequence[int]) -> Crops:
    old = [crops.photo_of[index] for index in kept]
    number = {photo: place for place, photo in enumerate(sorted(set(old)))}
    return Crops(
        size=crops.size,
        names=[crops.names[index] for index in kept],
        photo_of=[number[photo] for photo in old],
        shards=crops.shards,
        shard_of=crops.shard_of[list(kept)],
        row_of=crops.row_of[list(kept)],
        scale=crops.scale,
        pictures=[crops.pictures[photo] for photo in number] if crops.pictures else (),
        fetched=crops.fetched,
    )


def open_crops(store: ObjectStore, ref: DatasetRef, split: Split, cache: ShardCache) -> Crops:
    """The crops of one side of `ref`; their shards are fetched into `cache` first."""
    return _arrange(store, ref, split, cache.open)


def fetch_crops(store: ObjectStore, ref: DatasetRef, split: Split, cache: ShardCache) -> Crops:
    """The crops of one side of `ref`, whose shards are fetched into `cache` while they are read.

    `Crops.fetched` is a context, to be left when they have been read.
    """

    def begin(dataset: str, shards: Sequence[Shard]) -> FetchedShards:
        return FetchedShards(cache, dataset, shards)

    crops = _arrange(store, ref, split, begin)
    assert isinstance(crops.shards, FetchedShards)
    crops.fetched = crops.shards
    return crops


def _arrange(
    store: ObjectStore,
    ref: DatasetRef,
    split: Split,
    open_shards: Callable[[str, Sequence[Shard]], Sequence[NDArray[np.uint8]]],
) -> Crops:
    manifest = read_manifest(store, ref.key)
    if manifest.version != ref.version:
        raise StorageError(
            f"{store.uri(ref.key)} holds version {manifest.version} instead of {ref.version}"
        )
    photos = [photo for photo in read_photos(store, manifest) if photo.split == split]
    needed = {span.shard for photo in photos for span in photo.spans}
    shards = [shard for shard in manifest.shards if shard.sha256 in needed]
    number = {shard.sha256: index for index, shard in enumerate(shards)}
    config = manifest.config
    # Sorted by pixels: neither the layout nor the files' names change what a seed draws.
    photos = sorted(photos, key=lambda photo: photo.pixels)
    spans = [(index, photo, span) for index, photo in enumerate(photos) for span in photo.spans]
    counts = [span.num_crops for _, _, span in spans]
    return Crops(
        size=config.crop_size,
        names=[photo.name for _, photo, span in spans for _ in range(span.num_crops)],
        photo_of=[index for index, _, span in spans for _ in range(span.num_crops)],
        shards=open_shards(ref.dataset, shards),
        shard_of=np.repeat(np.array([number[s.shard] for _, _, s in spans], np.int64), counts),
        row_of=np.array([row for _, _, s in spans for row in range(s.row, s.row + s.num_crops)]),
        scale=config.scale if manifest.lr_source is not None else None,
        pictures=[photo.picture for photo in photos],
    )


class Patches:
    """Random windows of random crops or pairs, a stateless function of seed, step and position.

    A photo is drawn first, then one of its crops, so a large photo counts no more than a small one.
    Photos within a batch are distinct if there are enough (section 3.2); otherwise each is drawn
    equally often, give or take one. With `buffer_bytes`, crops of more bytes are drawn from a part
    of them that moves with the step (`data.buffer`).
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
        buffer_bytes: int | None = None,
    ) -> None:
        if window > crops.size:
            raise ConfigError(
                f"windows of {window} pixels (patch_size and its margin) do not fit into crops "
                f"of {crops.size}; raise data.crop_size or lower patch_size"
            )
        if not len(crops):
            raise ConfigError("there are no crops to train on; prepare the dataset again")
        self.batch_size = batch_size
        self._crops = crops
        self._grid = crops.scale or 1
        """Windows of pairs lie on whole LR pixels."""
        self._window = window
        self._seed = seed
        self._augment = augment
        self._shuffle_colours = shuffle_colours
        self._num_crops = np.bincount(crops.photo_of)
        self._first_crop = np.concatenate(([0], np.cumsum(self._num_crops)[:-1]))
        sizes = crops.fetched.sizes if crops.fetched is not None else ()
        self.needed_bytes = sum(sizes) if batch_size else 0
        """Size of the shards that have to be on the disk at a time."""
        self.buffer: ShuffleBuffer | None = None
        """None if steps draw from all crops."""
        if buffer_bytes is not None and buffer_bytes < self.needed_bytes:
            self.buffer = ShuffleBuffer(
                crops.photo_of,
                crops.shard_of,
                sizes,
                buffer_bytes=buffer_bytes,
                batch_size=batch_size,
                order=self._random(0, len(sizes), of_order=True),
            )
            self.needed_bytes = self.buffer.needed_bytes

    def batch(self, step: int, *, rank: int, num_ranks: int) -> NDArray[np.uint8]:
        """This rank's share of the global batch of `step`, uint8 (share, 3, window, window).

        Joined in the order of ranks, the shares are the same batch for any number of ranks.
        """
        return self.cut(step, share_of(self.batch_size, rank, num_ranks))

    def cut(self, step: int, places: range) -> NDArray[np.uint8]:
        """HR at these places of the global batch of `step`, uint8 (N, 3, window, window)."""
        draws = self._draw(step)
        self._bring(step, [draws.crops[place] for place in places])
        return self._cut(draws, places, self._window, self._crops.view)

    def cut_pairs(self, step: int, places: range) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """LR and HR of pairs at these places, each (N, 3, side, side); the crops must be pairs.

        Both are cut at the same place, and flipped, turned and coloured alike.
        """
        draws = self._draw(step)
        self._bring(step, [draws.crops[place] for place in places])
        small = _Draws(
            draws.crops,
            [y // self._grid for y in draws.ys],
            [x // self._grid for x in draws.xs],
            draws.turns,
            draws.orders,
        )
        lr = self._cut(small, places, self._window // self._grid, self._crops.lr)
        return lr, self._cut(draws, places, self._window, self._crops.view)

    def _bring(self, step: int, crops: list[int]) -> None:
        """Wait until the shards of these crops are there."""
        shards = self._crops.fetched
        if shards is None or not crops:
            return
        needed = set(self._crops.shard_of[crops].tolist())
        held = self.buffer.section(step).shards if self.buffer else range(len(shards))
        shards.hold(held, first=needed)
        shards.bring(needed)

    def _cut(
        self,
        draws: "_Draws",
        places: range,
        side: int,
        crop: Callable[[int], NDArray[np.uint8]],
    ) -> NDArray[np.uint8]:
        batch = np.empty((len(places), 3, side, side), np.uint8)
        for out, index in zip(batch, places, strict=True):
            y, x = draws.ys[index], draws.xs[index]
            patch = crop(draws.crops[index])[y : y + side, x : x + side].transpose(2, 0, 1)
            out[_COLOUR_ORDERS[draws.orders[index]]] = _turned(patch, draws.turns[index])
        return batch

    def _draw(self, step: int) -> "_Draws":
        raw = self._random(step, _DRAWS * self.batch_size).reshape(_DRAWS, self.batch_size)
        bits = (raw & _LOW).astype(np.int64)
        if self.buffer is None:
            photos = _distinct(bits[0].tolist(), len(self._num_crops))
            crops = self._first_crop[photos] + _below(bits[1], self._num_crops[photos])
        else:
            crops = self.buffer.draw(step, raw[0].tolist(), bits[1])
        places = (self._crops.size - self._window) // self._grid + 1
        as_it_is = np.zeros(self.batch_size, np.int64)
        turns = bits[4] >> 29 if self._augment else as_it_is
        orders = _below(bits[5], len(_COLOUR_ORDERS)) if self._shuffle_colours else as_it_is
        ys, xs = (self._grid * _below(bits[row], places) for row in (2, 3))
        return _Draws(crops.tolist(), ys.tolist(), xs.tolist(), turns.tolist(), orders.tolist())

    def _random(self, step: int, count: int, *, of_order: bool = False) -> NDArray[np.uint64]:
        """Random bits of a step, or with `of_order` those that arrange the shards."""
        # Philox is a counter-based generator: its key is all its state. Raw bits instead of
        # Generator's methods, because their streams may differ between releases of numpy.
        key = np.array([self._seed % 2**64, step], np.uint64)
        # Pairs begin elsewhere in the stream, or they would take the turns of the other patches.
        counter = np.array([0, 0, self._grid - 1, of_order], np.uint64)
        raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(count)
        return raw


class _Draws(NamedTuple):
    """Place and changes of each patch of a global batch."""

    crops: list[int]
    ys: list[int]
    xs: list[int]
    turns: list[int]
    """0–7."""
    orders: list[int]
    """Order of colours, 0–5."""


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


def shares_of(batch_size: int, num_pairs: int, rank: int, num_ranks: int) -> tuple[range, range]:
    """Places of a rank among the pairs and among the other patches of a global batch.

    Each rank has its part of the pairs, give or take one: batch norm normalises per rank.
    """
    share = share_of(batch_size, rank, num_ranks)
    first, last = (at * num_pairs // batch_size for at in (share.start, share.stop))
    return range(first, last), range(share.start - first, share.stop - last)


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
