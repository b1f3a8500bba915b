"""A small real dataset for whole stages."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.refs import DatasetRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from tests.support.places import place

DrawPhoto = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def dataset(
    object_store: S3Store, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> DatasetRef:
    """Eight photos of 2×3 crops of 32 pixels, ×2."""
    for seed in range(8):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 96)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3, shard_bytes=2**20)
    return prepare_dataset(place(object_store, "raw"), object_store, "drawn", config)


@pytest.fixture
def pairs(
    object_store: S3Store, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> DatasetRef:
    """Four pairs of 2×3 crops of 32 pixels, ×2; LR is a little darker than bicubic."""
    for seed in range(20, 24):
        hr = draw_photo(seed, 64, 96)
        lr = imresize(hr, scale=0.5) // 8 * 7
        object_store.put(f"hr/{seed}.png", encode_photo(hr))
        object_store.put(f"lr/{seed}.png", encode_photo(lr))
    config = DataConfig(scale=2, crop_size=32)
    folders = place(object_store, "hr"), place(object_store, "lr")
    return prepare_pairs(*folders, object_store, "photographed", config)
