"""A small real dataset for whole stages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from srgan.config import AdversarialConfig, DataConfig, PretrainConfig
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.refs import CheckpointRef, DatasetRef
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import CheckpointManifest
from srgan.train.run import StageInputs, run_stage
from tests.support.photos import DrawPhoto
from tests.support.places import place
from tests.support.stages import CPU, Notes
from tests.support.stores import Around


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


@pytest.fixture
def train(object_store: S3Store, dataset: DatasetRef, tmp_path: Path):
    """`train(run, config, …)`: a stage from its newest checkpoint to its end."""
    cache = ShardCache(object_store, tmp_path / "cache", 2**30)

    def run(
        name: str,
        config: PretrainConfig | AdversarialConfig,
        reporter: Notes | None = None,
        init_from: CheckpointRef | None = None,
        pairs: DatasetRef | None = None,
        store: Around | None = None,
    ) -> CheckpointManifest:
        inputs = StageInputs(
            run=name,
            config=config,
            dataset=dataset,
            pairs=pairs,
            init_from=init_from,
            numerics_version="c",
            release_version="c",
        )
        return run_stage(
            store or object_store, inputs, cache, device=CPU, reporter=reporter, stall_s=600
        )

    return run
