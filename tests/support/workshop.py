"""Photos to prepare, and stores that say what was asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.dataset import Crops, open_crops
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.data.tables import Split
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from tests.support.places import place
from tests.support.stores import Around

CONFIG = DataConfig(scale=4, crop_size=32, eval_share=0.3, shard_bytes=8 * 32 * 32 * 3)

Prepare = Callable[..., DatasetRef]


class Asked(Around):
    """A store that notes which keys were read and written."""

    def __init__(self, store: S3Store) -> None:
        super().__init__(store)
        self.read: list[str] = []
        self.written: list[str] = []

    def find(self, key: str) -> bytes | None:
        self.read.append(key)
        return self.store.find(key)

    def get(self, key: str) -> bytes:
        self.read.append(key)
        return self.store.get(key)

    def put(self, key: str, body: bytes, **options: Any) -> str:
        self.written.append(key)
        return self.store.put(key, body, **options)


@dataclass
class Workshop:
    """Photos below ``raw/`` of a bucket and the dataset ``pets`` that is made of them."""

    store: S3Store
    home: Path
    draw: Callable[..., NDArray[np.uint8]]
    encode: Callable[..., bytes]

    def upload(self, *seeds: int, kind: str = "PNG", **size: int) -> None:
        for seed in seeds:
            name = f"raw/{seed:03d}.{kind.lower()}"
            self.store.put(name, self.encode(self.draw(seed, **size), kind))

    def prepare(self, config: DataConfig = CONFIG, source: Any = None, **change: Any) -> DatasetRef:
        config = config.model_copy(update=change)
        return prepare_dataset(place(source or self.store, "raw"), self.store, "pets", config)

    def crops(self, ref: DatasetRef, split: Split) -> Crops:
        return open_crops(self.store, ref, split, ShardCache(self.store, self.home, 2**30))

    def photos(self, ref: DatasetRef, split: Split) -> set[str]:
        return set(self.crops(ref, split).names)
