"""A source prefix to prepare, and stores that record what was asked of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.data.prepare import prepare_dataset
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from tests.support.places import place
from tests.support.workshop import CONFIG, Prepare, Workshop


@pytest.fixture
def workshop(
    object_store: S3Store,
    tmp_path: Path,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> Workshop:
    return Workshop(object_store, tmp_path / "cache", draw_photo, encode_photo)


@pytest.fixture
def prepare(
    object_store: S3Store,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> Prepare:
    """`prepare(1, 2, crop_size=64)`: a version of exactly these photos."""

    def prepared(*seeds: int, **options: int) -> DatasetRef:
        for info in list(object_store.list("raw/")):
            object_store.delete(info.key)
        for seed in seeds:
            object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
        config = CONFIG.model_copy(update=options)
        return prepare_dataset(place(object_store, "raw"), object_store, "pets", config)

    return prepared
