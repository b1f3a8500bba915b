"""A small real dataset for whole stages."""

from collections.abc import Callable

import pytest

from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store


@pytest.fixture
def dataset(
    object_store: S3Store, draw_photo: Callable[..., object], encode_photo: Callable[..., bytes]
) -> DatasetRef:
    """Eight photos of 2×3 crops of 32 pixels, ×2."""
    for seed in range(8):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 96)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3, shard_bytes=2**20)
    return prepare_dataset(object_store, "raw", object_store, "drawn", config)
