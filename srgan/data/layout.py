"""Place the crops of a dataset in shards, from one version to the next."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.crops import cut, cut_pairs, row_shape, side, training_crops
from srgan.data.manifest import Previous, Shard
from srgan.data.shards import Owner, ShardWriter, read_shard
from srgan.data.tables import CropSpan, CutPhoto, Split
from srgan.images.likeness import look_of
from srgan.storage import ObjectStore

_MAX_DEAD_SHARE = 0.3


class Layout:
    """Places the crops of new photos into new shards and empties shards that are mostly dead.

    Train and eval photos go into separate shards, so that evaluation does not fetch the training
    data. Rows are crops, or with `pairs` crops of HR and LR.
    """

    def __init__(
        self,
        store: ObjectStore,
        dataset: str,
        config: DataConfig,
        previous: Previous,
        *,
        pairs: bool = False,
    ) -> None:
        self._store = store
        self._dataset = dataset
        self._config = config
        self._previous = previous
        self._photos: dict[str, CutPhoto] = {}
        row = row_shape(config, pairs=pairs)
        packed = config.compress and not pairs
        self._writers: dict[Split, ShardWriter] = {
            "train": ShardWriter(store, dataset, row, config.shard_bytes, packed=packed),
            "eval": ShardWriter(store, dataset, row, config.shard_bytes, packed=packed),
        }

    def keep(self, pixels: Iterable[str]) -> None:
        """Take over photos that the previous version has."""
        self._photos |= {each: self._previous.photos[each] for each in pixels}

    def has(self, pixels: str) -> bool:
        """True if these pixels have a place, new or from the previous version."""
        if pixels not in self._photos and pixels in self._previous.photos:
            self.keep([pixels])
        return pixels in self._photos

    def add(self, pixels: str, rgb: NDArray[np.uint8]) -> None:
        """Cut a new photo (H, W, 3) and place its crops; its spans are known after `finish`.

        Held-out photos are cut whole and unshrunk, because evaluation measures all of a photo.
        """
        config = self._config
        split = self._previous.splits.get(pixels) or side(pixels, config.eval_share)
        height, width, _ = rgb.shape
        self._photos[pixels] = CutPhoto(pixels, "", split, height, width, (), look_of(rgb))
        crops = training_crops(rgb, config) if split == "train" else cut(rgb, config.crop_size)
        self._writers[split].add(pixels, crops)

    def add_pair(
        self, pixels: str, hr_pixels: str, hr: NDArray[np.uint8], lr: NDArray[np.uint8]
    ) -> None:
        """Cut a new pair (H, W, 3) and (H / scale, W / scale, 3); all pairs are trained on."""
        size, scale = self._config.crop_size, self._config.scale
        height, width, _ = hr.shape
        self._photos[pixels] = CutPhoto(
            pixels, "", "train", height, width, (), look_of(hr), hr_pixels
        )
        self._writers["train"].add(pixels, cut_pairs(hr, lr, size, scale))

    def look_at(self, pixels: str, rgb: NDArray[np.uint8]) -> None:
        """Note how a photo (H, W, 3) looks if an earlier release did not."""
        if self._photos[pixels].look is None:
            self._photos[pixels] = replace(self._photos[pixels], look=look_of(rgb))

    def photo(self, pixels: str) -> CutPhoto:
        return self._photos[pixels]

    def finish(self, photos: list[CutPhoto]) -> list[CutPhoto]:
        """Store open shards and move the live rows out of mostly dead ones."""
        new = self._flush()
        photos = [replace(p, spans=new[p.pixels]) if p.pixels in new else p for p in photos]
        dying = self._mostly_dead(photos)
        if not dying:
            return photos
        self._move(dying, photos)
        moved = self._flush()
        return [
            replace(p, spans=tuple(new for old in p.spans for new in moved.get(old, (old,))))
            for p in photos
        ]

    def shards(self, photos: list[CutPhoto]) -> tuple[Shard, ...]:
        """Every shard that a photo lies in, sorted by name."""
        every = self._previous.shards | {
            shard.sha256: shard for writer in self._writers.values() for shard in writer.shards
        }
        return tuple(every[sha256] for sha256 in sorted(_num_live(photos)))

    def _flush(self) -> dict[Owner, tuple[CropSpan, ...]]:
        spans: dict[Owner, tuple[CropSpan, ...]] = {}
        for writer in self._writers.values():
            writer.flush()
            spans |= {owner: tuple(each) for owner, each in writer.spans.items()}
            writer.spans = {}
        return spans

    def _mostly_dead(self, photos: list[CutPhoto]) -> dict[str, Shard]:
        live = _num_live(photos)
        return {
            sha256: shard
            for sha256, shard in self._previous.shards.items()
            if 0 < live[sha256] < (1 - _MAX_DEAD_SHARE) * shard.num_crops
        }

    def _move(self, dying: dict[str, Shard], photos: list[CutPhoto]) -> None:
        live: dict[str, list[tuple[Split, CropSpan]]] = {sha256: [] for sha256 in dying}
        for photo in photos:
            for span in photo.spans:
                if span.shard in live:
                    live[span.shard].append((photo.split, span))
        for sha256, shard in dying.items():
            crops = read_shard(self._store, self._dataset, shard)
            for split, span in live[sha256]:
                self._writers[split].add(span, crops[span.row : span.row + span.num_crops])


def _num_live(photos: Iterable[CutPhoto]) -> Counter[str]:
    live: Counter[str] = Counter()
    for photo in photos:
        for span in photo.spans:
            live[span.shard] += span.num_crops
    return live
