"""What the driver of a training job refuses before anything starts."""

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from srgan.adapters.ray_train import TrainSpec, check_batch, check_inputs
from srgan.adapters.s3 import S3Store
from srgan.config import DataConfig, StageConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import CheckpointError, ConfigError, DataError
from srgan.refs import CheckpointRef, DatasetRef, to_json
from srgan.train.checkpoint import read_manifest
from srgan.train.checkpoint_writer import CheckpointWriter
from tests.train.stages import BATCH_NORM, PLAIN, adversarial, pretrain
from tests.train.test_checkpoint import manifest, parts


@pytest.fixture
def dataset(
    object_store: S3Store, draw_photo: Callable[..., object], encode_photo: Callable[..., bytes]
) -> DatasetRef:
    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
    return prepare_dataset(object_store, "raw", object_store, "drawn", config)


def spec(
    stage: StageConfig, dataset: DatasetRef, init_from: CheckpointRef | None = None
) -> TrainSpec:
    return TrainSpec(run="run", stage=stage, dataset=dataset, init_from=init_from, code_version="c")


def saved_generator(store: S3Store) -> CheckpointRef:
    """A reference to a checkpoint of a PLAIN generator."""
    with CheckpointWriter(store) as writer:
        writer.save(manifest(8, final=True), parts(8))
    return read_manifest(store, manifest(8).key).ref(None)


def test_a_fitting_stage_passes(object_store: S3Store, dataset: DatasetRef) -> None:
    check_inputs(spec(pretrain(PLAIN), dataset), object_store)
    check_batch(pretrain(batch_size=4), 2)


def test_a_batch_that_the_workers_do_not_divide_is_refused_with_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.batch_size 4 .* num_workers 3"):
        check_batch(pretrain(batch_size=4), 3)


def test_fewer_crops_than_a_batch_are_refused_with_both_numbers(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    stage = pretrain(batch_size=64)
    expected = rf"{dataset.num_train_crops} training crops.*batch_size 64"
    with pytest.raises(DataError, match=expected):
        check_inputs(spec(stage, dataset), object_store)


def test_a_dataset_of_another_scale_is_refused_with_both_scales(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    stage = pretrain(PLAIN.model_copy(update={"scale": 4}))
    with pytest.raises(ConfigError, match=r"scale 2, pretrain\.generator has 4"):
        check_inputs(spec(stage, dataset), object_store)


def test_a_patch_that_with_its_margin_exceeds_the_crops_is_refused(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    with pytest.raises(ConfigError, match=r"patch_size 32 .*crop_size 32"):
        check_inputs(spec(pretrain(patch_size=32), dataset), object_store)


def test_a_starting_point_of_another_architecture_is_refused(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    first = saved_generator(object_store)
    check_inputs(spec(adversarial(PLAIN), dataset, first), object_store)
    with pytest.raises(CheckpointError, match=r"bicubic_resnet.*srresnet"):
        check_inputs(spec(adversarial(BATCH_NORM), dataset, first), object_store)


def test_an_adversarial_stage_without_a_starting_point_is_no_spec(dataset: DatasetRef) -> None:
    with pytest.raises(ValidationError, match="init_from"):
        spec(adversarial(), dataset)


def test_a_spec_survives_its_json(object_store: S3Store, dataset: DatasetRef) -> None:
    for stage in (pretrain(), adversarial()):
        written = spec(stage, dataset, saved_generator(object_store))
        assert TrainSpec.model_validate_json(to_json(written)) == written
