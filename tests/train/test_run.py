"""Whole stages in one process on a real dataset and object store."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.config import AdversarialConfig, DataConfig, PretrainConfig
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.errors import CheckpointError, ConfigError, StorageError, TrainingError
from srgan.measure.guards import Fault
from srgan.models.interchange import load_generator
from srgan.models.weights import publish_weights
from srgan.progress import StageProgress
from srgan.refs import CheckpointRef, DatasetRef
from srgan.services.s3 import S3Store
from srgan.train.adversarial import Adversarial
from srgan.train.checkpoint import (
    CheckpointManifest,
    CheckpointWriter,
    checkpoint_keys,
    read_generator,
    read_manifest,
)
from srgan.train.course import Opinions
from srgan.train.run import StageInputs, run_stage
from srgan.train.validation import Validation
from srgan.version import reached
from tests.support.perceptual_weights import drawn_weights
from tests.support.places import place
from tests.support.stages import BATCH_NORM, CPU, adversarial, pretrain, unguarded
from tests.support.stores import Around, Failing
from tests.support.tracing import PACKAGE, definitions_run

DrawPhoto = Callable[..., NDArray[np.uint8]]


class Notes:
    """A reporter that remembers, and can break off at a step like a killed process."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.begun_at: list[int] = []
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.validations: dict[int, dict[str, float]] = {}
        self.pictures: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self._stop_at = stop_at

    def begin(self, step: int) -> None:
        self.begun_at.append(step)

    def progress(self, progress: StageProgress) -> None:
        self.steps.append(progress.step)
        self.rates.append(progress.learning_rate)
        if progress.step == self._stop_at:
            raise KeyboardInterrupt

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        self.validations[step] = metrics

    def picture(self, name: str, png: bytes, step: int) -> None:
        assert png.startswith(b"\x89PNG")
        self.pictures.append((name, step))

    def note(self, step: int, text: str) -> None:
        self.notes.append(text)


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


def test_a_gan_stage_hands_on_the_checkpoint_that_a_network_it_did_not_learn_from_likes_best(
    train, object_store: S3Store
) -> None:
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    notes = Notes()
    config = adversarial(keep_last=1, steps=12, learning_rate={"peak": 3e-3})
    result = train("one", config, notes)
    distances = {step: each["squeezenet_distance"] for step, each in notes.validations.items()}
    assert list(distances) == [4, 8, 12]
    assert result.metrics["bicubic_squeezenet_distance"] > 0
    nearest = min(distances, key=lambda step: distances[step])
    better = distances[nearest] < result.course.start
    assert result.step == (nearest if better else 12)
    assert notes.notes == [f"handed on: {result.ref(None).chosen}"], "no guard tripped"
    kept = [read_manifest(object_store, key).step for key in checkpoint_keys(object_store, "one")]
    assert kept == sorted({nearest if better else 0, 12})
    assert train("one", config) == result, "a finished stage hands on the same again"


def _breaking_at(step: int, monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    """Have the guards find a grid at the first `times` validations at `step`, and nothing else."""
    measure = Validation.measure
    left = [times]
    calls = {"step": 0}
    learn = Adversarial.step

    def counted(self: Adversarial, windows, at: int, pairs):
        calls["step"] = at + 1
        return learn(self, windows, at, pairs)

    def measured(self: Validation, generator):
        found = measure(self, generator)
        if calls["step"] != step or not left[0]:
            return found._replace(faults={})
        left[0] -= 1
        return found._replace(faults={"checkerboard": Fault("a grid", 4.0)})

    monkeypatch.setattr(Adversarial, "step", counted)
    monkeypatch.setattr(Validation, "measure", measured)


def test_a_gan_stage_goes_back_when_its_output_breaks_and_then_learns_more_slowly(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _breaking_at(8, monkeypatch, times=1)
    notes = Notes()
    result = train("one", adversarial(steps=12), notes)
    assert notes.steps == [2, 4, 6, 8, 6, 8, 10, 12]
    assert notes.notes[0] == "back from step 8 to 4 at half the learning rate: a grid"
    assert notes.rates == pytest.approx([1e-3] * 4 + [5e-4] * 4)
    assert (result.step, result.course.rate, len(result.course.returns)) == (12, 0.5, 1)


def test_a_gan_stage_that_keeps_breaking_ends_and_hands_on_its_last_good_checkpoint(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    _breaking_at(8, monkeypatch, times=9)
    notes = Notes()
    result = train("one", adversarial(steps=12, max_returns=1), notes)
    assert notes.steps == [2, 4, 6, 8, 6, 8]
    assert result.step == 4
    assert "ended early, after 1 returns, at step 8: a grid" in result.ref(None).chosen
    again = Notes()
    assert train("one", adversarial(steps=12, max_returns=1), again) == result
    assert again.steps == []


def test_a_gan_stage_that_never_passed_its_guards_hands_nothing_on_and_says_why(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _breaking_at(4, monkeypatch, times=9)
    why = r"no validation passed the guards.*ended after 1 returns, at step 4: a grid"
    for _ in range(2):  # the second time it is finished already
        notes = Notes()
        with pytest.raises(TrainingError, match=why):
            train("one", adversarial(steps=12, max_returns=1), notes)
        assert not [note for note in notes.notes if "handed on" in note]
    assert notes.steps == []


@pytest.mark.parametrize("options", [{"max_returns": 0}, {"checkpoint_every": 6}])
def test_a_gan_stage_whose_good_checkpoint_could_not_be_written_ends_as_an_undisturbed_one(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
) -> None:
    """Handed on in the one case, gone back to in the other."""
    config = adversarial(BATCH_NORM, steps=12, **options)
    _breaking_at(8, monkeypatch, times=1)
    whole = train("whole", config)
    monkeypatch.undo()
    _breaking_at(8, monkeypatch, times=1)
    writer = partial(CheckpointWriter, patience_s=0)
    monkeypatch.setattr("srgan.train.run.CheckpointWriter", writer)
    with pytest.raises(StorageError, match="000000004"):
        train("broken", config, store=Failing(object_store, "000000004.json"))
    monkeypatch.undo()
    _breaking_at(8, monkeypatch, times=1)
    resumed = train("broken", config)
    assert (resumed.parts, resumed.course) == (whole.parts, whole.course)


def test_a_network_that_taught_the_start_of_a_gan_stage_does_not_choose_its_checkpoint(
    train, object_store: S3Store
) -> None:
    mirrored = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    features = {
        "kind": "features",
        "network": "squeezenet1_1",
        "layer": "fire2",
        "feature_scale": 0.1,
        "weights": mirrored.sha256,
    }
    shared = {"patch_size": 24, "steps": 2, "batch_size": 2}
    taught = train("taught", pretrain(loss=features, **shared)).ref(None)
    alone = train("alone", pretrain(**shared)).ref(None)
    judges = [
        train(f"gan-{start.run}", adversarial(**shared), init_from=start).course.judge
        for start in (taught, alone)
    ]
    assert judges == [None, "squeezenet_distance"]


def test_a_gan_stage_that_breaks_after_its_discriminators_warm_up_does_not_hand_on_its_start(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    _breaking_at(8, monkeypatch, times=9)
    config = adversarial(steps=12, discriminator_warmup=4, patience=1, max_returns=1)
    notes = Notes()
    with pytest.raises(TrainingError, match=r"no validation.*ended after 1 returns, at step 8"):
        train("one", config, notes)
    assert notes.steps == [2, 4, 6, 8, 6, 8]
    assert notes.notes == ["back from step 8 to 4 at half the learning rate: a grid"]


def test_a_stage_judges_its_discriminator_by_the_same_steps_however_it_is_watched_and_killed(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where curves have points and when checkpoints are written is not part of its name."""
    monkeypatch.setattr(Validation, "measure", unguarded())
    seen: list[tuple[int, float, float]] = []

    def noted(opinions: Opinions) -> dict[str, Fault]:
        steps = opinions.steps
        seen.append((steps, opinions.real / steps, opinions.fake / steps))
        return {}

    monkeypatch.setattr("srgan.train.loop.saturation", noted)
    config = adversarial(validate_every=7, steps=14, discriminator_warmup=2)
    whole = train("whole", config.model_copy(update={"log_every": 1, "checkpoint_every": 100}))
    expected = list(seen)
    assert [steps for steps, _, _ in expected] == [5, 7], "not those of the discriminator alone"
    for log_every, checkpoint_every, stop_at in ((1, 3, 5), (5, 3, 6), (5, 100, 10), (1, 100, 9)):
        seen.clear()
        every = {"log_every": log_every, "checkpoint_every": checkpoint_every}
        run, watched = f"broken-{stop_at}", config.model_copy(update=every)
        with pytest.raises(KeyboardInterrupt):
            train(run, watched, Notes(stop_at))
        resumed = train(run, watched)
        assert (resumed.parts, resumed.course) == (whole.parts, whole.course)
        assert np.array(seen) == pytest.approx(np.array(expected), abs=1e-6), every


@pytest.mark.parametrize("log_every", [1, 7])
def test_a_discriminator_that_is_sure_of_the_last_step_alone_sends_no_stage_back(
    train, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    monkeypatch.setattr(Validation, "measure", unguarded())
    learn = Adversarial.step

    def sure(self: Adversarial, windows, at: int, pairs):
        opinions = {"discriminator_real": 1.0, "discriminator_fake": 0.0} if at == 6 else {}
        learned = learn(self, windows, at, pairs)
        return learned | {name: torch.tensor(value) for name, value in opinions.items()}

    monkeypatch.setattr(Adversarial, "step", sure)
    result = train("one", adversarial(steps=7, validate_every=7, log_every=log_every))
    assert result.course.returns == ()


def test_a_stage_that_is_killed_on_its_way_after_a_return_ends_bit_identical(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    _breaking_at(8, monkeypatch, times=1)
    whole = train("whole", adversarial(BATCH_NORM, steps=12))
    monkeypatch.undo()
    _breaking_at(8, monkeypatch, times=1)
    with pytest.raises(KeyboardInterrupt):
        train("broken", adversarial(BATCH_NORM, steps=12), Notes(stop_at=10))
    resumed = train("broken", adversarial(BATCH_NORM, steps=12))
    assert (resumed.parts, resumed.course) == (whole.parts, whole.course)


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
