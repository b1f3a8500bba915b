"""GAN stages that watch themselves: which checkpoint they hand on, and when they go back."""

from functools import partial

import numpy as np
import pytest
import torch

from srgan.errors import CheckpointError, StorageError, TrainingError
from srgan.keys import mirrored_key, weights_key
from srgan.measure.guards import Fault
from srgan.models.weights import publish_weights
from srgan.services.s3 import S3Store
from srgan.train.adversarial import Adversarial
from srgan.train.checkpoint import (
    CheckpointWriter,
    checkpoint_keys,
    read_manifest,
)
from srgan.train.course import Opinions
from srgan.train.validation import Validation
from tests.support.perceptual_weights import drawn_weights
from tests.support.stages import BATCH_NORM, Notes, adversarial, pretrain, unguarded
from tests.support.stores import Failing


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


def test_a_gan_stage_that_goes_on_measures_by_the_weights_of_its_start_though_others_are_mirrored(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Validation, "measure", unguarded())
    first = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    whole, broken, resumed = Notes(), Notes(stop_at=6), Notes()
    result = train("whole", adversarial(), whole)
    with pytest.raises(KeyboardInterrupt):
        train("broken", adversarial(), broken)
    publish_weights(object_store, "squeezenet1_1", drawn_weights(seed=5), "another file")
    assert train("broken", adversarial(), resumed).course == result.course
    assert resumed.validations == {8: whole.validations[8]}
    assert result.course.judge_sha256 == first.sha256


def test_a_gan_stage_whose_judge_is_gone_does_not_go_on_and_says_how_to_get_it(
    train, object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Validation, "measure", unguarded())
    mirrored = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    with pytest.raises(KeyboardInterrupt):
        train("one", adversarial(), Notes(stop_at=6))
    for key in (mirrored_key("squeezenet1_1"), weights_key(mirrored.sha256)):
        object_store.delete(key)
    data = drawn_weights("efficientnet_lite1")
    publish_weights(object_store, "efficientnet_lite1", data, "another judge")
    with pytest.raises(CheckpointError, match=r"of squeezenet1_1 .*`srgan weights mirror squ"):
        train("one", adversarial())


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
