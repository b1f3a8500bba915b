"""A registered version as the starting point of a stage."""

import hashlib

import pytest
import torch

from srgan.config import FeatureContentConfig
from srgan.errors import CheckpointError
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.teachers import Training, training_of
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import (
    CheckpointManifest,
    CheckpointWriter,
    read_generator,
    read_manifest,
)
from srgan.train.starting import publish_start
from tests.support.checkpoints import manifest, parts
from tests.support.stages import PLAIN, pretrain

LARGER = PLAIN.model_copy(update={"num_channels": 8})


def weights_of(seed: int = 0) -> bytes:
    torch.manual_seed(seed)
    return dump_generator(build_generator(PLAIN))


def version(weights: bytes, run: str = "imported") -> ModelRef:
    digest = hashlib.sha256(weights).hexdigest()
    return ModelRef(name="pets", version=3, run=run, weights_digest=digest)


def test_a_version_becomes_a_checkpoint_of_exactly_its_weights(object_store: S3Store) -> None:
    weights = weights_of()
    start = publish_start(object_store, version(weights), weights, PLAIN)
    assert start.run == f"registered-{start.digest[:16]}"
    assert read_generator(object_store, start) == weights
    assert publish_start(object_store, version(weights), weights, PLAIN) == start


def test_another_network_is_refused_with_both_named(object_store: S3Store) -> None:
    weights = weights_of()
    with pytest.raises(CheckpointError) as caught:
        publish_start(object_store, version(weights), weights, LARGER)
    assert "models:/pets/3 is a bicubic_resnet ×2 of 1 blocks and 4 channels" in str(caught.value)
    assert "trains a bicubic_resnet ×2 of 1 blocks and 8 channels" in str(caught.value)


def test_what_is_fine_tuned_has_learned_all_that_its_start_had(object_store: S3Store) -> None:
    """Through two generations: a feature loss, fine-tuned on pixels, and fine-tuned again."""
    loss = FeatureContentConfig(
        network="squeezenet1_1", layer="fire2", feature_scale=0.1, weights="00000000"
    )
    save(object_store, "taught", pretrain(patch_size=32, loss=loss).model_dump(mode="json"))
    for seed, (before, after) in enumerate([("taught", "tuned"), ("tuned", "tuned again")]):
        weights = weights_of(seed=seed)
        start = publish_start(object_store, version(weights, run=before), weights, PLAIN)
        save(object_store, after, first_run=start.run)
    assert training_of(object_store, version(b"", run="tuned again")) == Training(
        beyond_pixels=True, networks=frozenset({"squeezenet1_1"})
    )


def test_weights_that_others_published_count_as_trained_beyond_pixels(
    object_store: S3Store,
) -> None:
    weights = weights_of()
    start = publish_start(object_store, version(weights), weights, PLAIN)
    save(object_store, "tuned", first_run=start.run)
    assert training_of(object_store, version(weights, run="tuned")).beyond_pixels


def save(
    store: S3Store,
    run: str,
    config: dict[str, object] | None = None,
    *,
    first_run: str | None = None,
) -> CheckpointManifest:
    """The final checkpoint of a stage."""
    made = manifest(8, final=True).model_copy(
        update={
            "run": run,
            "config": config or pretrain().model_dump(mode="json"),
            "init_run": first_run,
        }
    )
    with CheckpointWriter(store) as writer:
        writer.save(made, parts(8))
    return read_manifest(store, made.key)
