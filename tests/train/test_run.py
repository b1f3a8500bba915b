"""Whole stages in one process on a real dataset and object store."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.errors import CheckpointError, ConfigError, TrainingError
from srgan.models.interchange import load_generator
from srgan.models.weights import publish_weights
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from srgan.train.checkpoint import (
    CheckpointManifest,
    read_generator,
)
from srgan.train.run import StageInputs, run_stage
from srgan.train.validation import Validation
from srgan.version import reached
from tests.support.perceptual_weights import drawn_weights
from tests.support.photos import DrawPhoto
from tests.support.places import place
from tests.support.stages import BATCH_NORM, CPU, Notes, adversarial, pretrain, unguarded
from tests.support.tracing import PACKAGE, definitions_run


def test_a_stage_ends_with_a_final_checkpoint_that_says_what_it_is(train) -> None:
    notes = Notes()
    final = train("one", pretrain(BATCH_NORM), notes)
    assert (final.step, final.final, final.generator) == (8, True, BATCH_NORM)
    assert final.metrics == notes.validations[8]
    assert final.metrics.keys() == {"psnr", "bicubic_psnr", "checkerboard"}
    assert (notes.begun_at, notes.steps) == ([0], [2, 4, 6, 8])
    assert list(notes.validations) == [4, 8]
    assert {step for _, step in notes.pictures} == {4, 8}


def test_whatever_runs_in_a_training_is_part_of_the_numerics_version_or_cut_off(
    train, object_store: S3Store
) -> None:
    mirrored = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    content = {
        "kind": "features",
        "network": "squeezenet1_1",
        "layer": "fire2",
        "feature_scale": 0.1,
        "weights": mirrored.sha256,
        "total_variation_weight": 1e-3,
    }
    real = {"noise_sigma": [1, 2], "jpeg_quality": [50, 90]}
    blur, larger = {"sides": [3, 3]}, {"up": 0.5, "down": 0, "factors": [1, 1.5]}
    twice = {
        "first": {"blur": blur, "resize": larger},
        "second": {"blur": blur, "resize": None},
        "sinc_chance": 0,
    }
    shared = {"patch_size": 24, "steps": 2, "batch_size": 2}
    with definitions_run(set(reached(PACKAGE))) as others:
        degraded = {"patch_size": 16, "degradation": {"second_order": twice}}
        first = train(
            "pretrain",
            pretrain(BATCH_NORM, loss="l1", optimizer="muon", **{**shared, **degraded}),
            Notes(),
        )
        train(
            "adversarial",
            adversarial(BATCH_NORM, content=content, degradation=real, ema_decay=0.9, **shared),
            Notes(),
            init_from=first.ref(None),
        )
    assert others == set()


def test_a_degradation_is_shown_before_the_first_step_and_not_again_on_resume(train) -> None:
    config = pretrain(degradation={"noise_sigma": [5, 9]})
    first, second = Notes(stop_at=4), Notes()
    with pytest.raises(KeyboardInterrupt):
        train("one", config, first)
    train("one", config, second)
    assert first.pictures[0] == ("degraded", 0)
    assert second.begun_at != [0]
    assert "degraded" not in {name for name, _ in second.pictures}


def test_an_untrained_bicubic_network_measures_as_bicubic(train) -> None:
    metrics = train("one", pretrain(learning_rate={"peak": 1e-12})).metrics
    assert metrics["psnr"] == pytest.approx(metrics["bicubic_psnr"], abs=0.1)


@pytest.mark.parametrize("stop_at", [2, 6, 8])
def test_an_interrupted_gan_stage_ends_bit_identical_to_an_uninterrupted_one(
    train, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Validation, "measure", unguarded())
    config = adversarial(BATCH_NORM, ema_decay=0.9, gradient_clip=1.0)
    whole = train("whole", config)
    with pytest.raises(KeyboardInterrupt):
        train("broken", config, Notes(stop_at))
    notes = Notes()
    resumed = train("broken", config, notes)
    assert notes.steps[0] == stop_at, "the last step's checkpoint had not been written"
    assert resumed.parts == whole.parts
    assert resumed.metrics == whole.metrics


def test_an_interrupted_stage_with_pairs_ends_bit_identical_to_an_uninterrupted_one(
    train, pairs: DatasetRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Validation, "measure", unguarded())
    damage = {"noise_sigma": [5, 9]}
    config = adversarial(BATCH_NORM, pair_share=0.5, degradation=damage, shuffle_colours=True)
    whole = train("whole", config, pairs=pairs)
    with pytest.raises(KeyboardInterrupt):
        train("broken", config, Notes(stop_at=6), pairs=pairs)
    resumed = train("broken", config, pairs=pairs)
    assert (resumed.parts, resumed.metrics) == (whole.parts, whole.metrics)
    assert resumed.pairs_version == pairs.version
    alone = train("alone", config.model_copy(update={"pair_share": 0.0}))
    assert alone.parts != whole.parts
    assert alone.pairs_version is None


@pytest.fixture
def scattered(
    object_store: S3Store, draw_photo: DrawPhoto, encode_photo: Callable[..., bytes]
) -> DatasetRef:
    """Twenty photos of 2×3 crops of 32 pixels, four crops in each shard, ×2."""
    for seed in range(20):
        object_store.put(f"many/{seed}.png", encode_photo(draw_photo(seed, 64, 96)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.1, shard_bytes=4 * 32 * 32 * 3)
    return prepare_dataset(place(object_store, "many"), object_store, "scattered", config)


def test_a_stage_on_a_dataset_larger_than_its_cache_resumes_bit_identical(
    object_store: S3Store, scattered: DatasetRef, tmp_path: Path
) -> None:
    shard_bytes = 4 * 32 * 32 * 3 + 128

    def train(
        run: str, reporter: Notes | None = None, *, shards: int = 16, **options
    ) -> CheckpointManifest:
        cache = ShardCache(object_store, tmp_path / run, shards * shard_bytes)
        config = pretrain(BATCH_NORM, steps=40, log_every=10, checkpoint_every=10, **options)
        inputs = StageInputs(
            run=run,
            config=config,
            dataset=scattered,
            init_from=None,
            numerics_version="c",
            release_version="c",
        )
        return run_stage(object_store, inputs, cache, device=CPU, reporter=reporter, stall_s=600)

    buffer = {"shuffle_buffer_bytes": 4 * shard_bytes}
    with pytest.raises(ConfigError, match=r"bytes of shards are needed.*shuffle_buffer_bytes"):
        train("refused")
    with pytest.raises(ConfigError, match=r"bytes of shards are needed.*shuffle_buffer_bytes"):
        train("refused", shards=13, **buffer)
    whole = train("whole", **buffer)
    with pytest.raises(KeyboardInterrupt):
        train("broken", Notes(stop_at=20), **buffer)
    resumed = train("broken", shards=40, **buffer)
    assert (resumed.parts, resumed.metrics) == (whole.parts, whole.metrics)
    assert train("all", shards=40).parts != whole.parts


def test_a_finished_stage_trains_nothing_again(train) -> None:
    final = train("one", pretrain())
    notes = Notes()
    assert train("one", pretrain(), notes) == final
    assert notes.steps == []


@pytest.mark.parametrize("stage", [pretrain, adversarial])
def test_a_stage_starts_from_the_generator_it_is_given(train, object_store: S3Store, stage) -> None:
    first = train("first", pretrain(ema_decay=0.9)).ref(None)
    second = train("second", stage(learning_rate={"peak": 1e-12}), init_from=first)
    start = load_generator(read_generator(object_store, first)).exit.weight
    end = load_generator(read_generator(object_store, second.ref(None))).exit.weight
    assert (start - end).abs().max() < 1e-9
    assert (second.init_from, second.init_run) == (first.digest, first.run)


def test_another_architecture_to_start_from_is_refused(train) -> None:
    first = train("first", pretrain(BATCH_NORM)).ref(None)
    with pytest.raises(CheckpointError, match="srresnet"):
        train("second", adversarial(), init_from=first)


def test_a_changed_config_under_a_used_run_name_is_refused(train) -> None:
    train("one", pretrain())
    with pytest.raises(CheckpointError, match="one"):
        train("one", pretrain(seed=5))


def test_losses_that_stay_infinite_end_the_stage_and_leave_its_checkpoint_good(
    train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = pretrain(steps=24, log_every=10, checkpoint_every=10, validate_every=100)
    monkeypatch.setattr("srgan.train.content.pixel_loss", lambda _, sr, hr: (sr - hr).sum() / 0)
    with pytest.raises(TrainingError, match="before step 20"):
        train("one", config)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO):
        train("one", config)
    assert "resuming one at step 10" in caplog.text
