"""Reasons that make a retraining worth its cost, and what a retraining begins with."""

import json
from datetime import UTC, datetime

import pytest

from srgan.config import GrowthConfig, RetrainConfig
from srgan.data.changes import PhotoChanges
from srgan.errors import StorageError
from srgan.promotion.drift import Difference, Drift
from srgan.promotion.reasons import (
    Baseline,
    Beginning,
    TrainingDecision,
    keep_beginning,
    read_beginning,
    should_retrain,
)
from srgan.promotion.record import VersionRecord
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from srgan.version import numerics_version
from tests.support.reports import dataset

INPUTS = {"dataset_version": "v2", "recipe": "r", "numerics_version": "1+new"}
FEW = PhotoChanges(num_before=100, new=("a", "b"), changed=("c",), removed=("d",))
MANY = FEW.model_copy(update={"removed": ("d", "e")})
CHAMPION = "version 1 of pets (champion)"
REFUSED = "version 2 of pets (which was refused)"


def record(**tags: str) -> VersionRecord:
    return VersionRecord("pets", 1, tags, datetime.now(UTC))


def known(
    changes: PhotoChanges | None = FEW, name: str = CHAMPION, age_days: float = 3.0, **tags: str
) -> Baseline:
    """A version of dataset v1, everything else as it is now."""
    return Baseline(name, record(**{**INPUTS, "dataset_version": "v1", **tags}), age_days, changes)


def decided(
    *baselines: Baseline, force: bool = False, drift: Drift | None = None, **policy: object
) -> TrainingDecision:
    config = RetrainConfig.model_validate(policy)
    return should_retrain(baselines, INPUTS, config, force=force, drift=drift)


def drift(**distances: float) -> Drift:
    found = tuple(
        Difference(statistic=name, sources=1, inputs=2, distance=each, chance=0)
        for name, each in distances.items()
    )
    return Drift(run="r", source="s3://b/p", num_sources=60, num_inputs=60, differences=found)


def test_a_model_without_a_version_is_trained() -> None:
    assert decided() == TrainingDecision(True, "There is no version of the model yet")


def test_the_same_inputs_are_not_a_reason() -> None:
    decision = decided(known(dataset_version="v2"))
    assert not decision.train
    assert decision.sentence.startswith(f"Nothing new: {CHAMPION} was made of the same dataset")


def test_force_is_a_reason_and_needs_a_new_seed() -> None:
    assert decided(known(dataset_version="v2"), force=True) == TrainingDecision(
        True, "Forced", needs_new_seed=True
    )


def test_new_changed_and_removed_photos_count_together() -> None:
    decision = decided(known(MANY))
    assert decision == TrainingDecision(
        True, f"Since {CHAMPION}: photos: 2 new, 1 changed, 2 removed, 5.0 % of 100"
    )


def test_too_few_photos_are_not_a_reason_and_are_counted_in_the_sentence() -> None:
    decision = decided(known(FEW))
    assert not decision.train
    assert decision.sentence == (
        f"Not enough new since {CHAMPION}: photos: 2 new, 1 changed, 1 removed, 4.0 % of 100, a "
        "reason from 1 and 5 % on. Use force to train anyway."
    )


@pytest.mark.parametrize(
    ("growth", "train"),
    [
        (GrowthConfig(min_changed_photos=5), True),
        (GrowthConfig(min_changed_photos=6), False),
        (GrowthConfig(min_changed_share=0.051), False),
        (GrowthConfig(min_changed_photos=5, min_changed_share=0), True),
    ],
)
def test_count_and_share_must_both_be_reached(growth: GrowthConfig, train: bool) -> None:
    assert decided(known(MANY), growth=growth).train is train


def test_a_dataset_version_that_is_gone_is_said_and_is_a_reason() -> None:
    decision = decided(known(None))
    assert decision.train
    assert "its dataset version v1 is gone, so new photos cannot be counted" in decision.sentence


def test_a_version_without_a_dataset_is_a_reason() -> None:
    tags = {name: value for name, value in INPUTS.items() if name != "dataset_version"}
    decision = decided(Baseline(CHAMPION, record(**tags), 1.0, None))
    assert decision.train
    assert "it has no dataset" in decision.sentence


def test_photos_that_are_cut_differently_are_a_reason() -> None:
    decision = decided(known(FEW.model_copy(update={"recut": True})))
    assert decision.train
    assert "photos are cut differently" in decision.sentence


def test_another_recipe_and_other_code_are_reasons_that_are_named_together() -> None:
    decision = decided(known(FEW, recipe="older", numerics_version="1+old"))
    assert decision.sentence == (f"Since {CHAMPION}: another recipe; code 1+new instead of 1+old")


def test_age_is_a_reason_where_it_is_asked_for() -> None:
    same = known(age_days=31.0, dataset_version="v2")
    assert not decided(same).train
    assert not decided(same, max_age_days=31.0).train
    decision = decided(same, max_age_days=30.0)
    assert decision == TrainingDecision(
        True, f"Since {CHAMPION}: 31.0 days old, more than 30", needs_new_seed=True
    )


def test_drift_is_a_reason_with_few_other_photos_where_it_is_asked_for() -> None:
    far = drift(blur=0.6, noise=0.81, contrast=0.2)
    assert not decided(known(FEW), drift=far).train
    assert not decided(known(FEW), drift=far, max_drift=0.85).train
    assert not decided(known(FEW), drift=None, max_drift=0.5).train
    assert decided(known(FEW), drift=far, max_drift=0.5) == TrainingDecision(
        True,
        f"Since {CHAMPION}: photos: 2 new, 1 changed, 1 removed, 4.0 % of 100; sources of s3://b/p "
        "differ from what it was trained on: noise 0.81, blur 0.60, more than 0.5",
    )


def test_drift_alone_would_train_the_same_model_again_and_is_only_named() -> None:
    same = decided(known(dataset_version="v2"), drift=drift(blur=0.9), max_drift=0.5)
    assert same == TrainingDecision(
        False,
        f"Not enough new since {CHAMPION}: sources of s3://b/p differ from what it was trained "
        "on: blur 0.90, more than 0.5, but there are no other photos to train on. Use force to "
        "train anyway.",
    )
    refused = known(name=REFUSED, dataset_version="v2")
    assert not decided(known(FEW), refused, drift=drift(blur=0.9), max_drift=0.5).train


def test_after_a_refusal_only_something_newer_is_trained() -> None:
    refused = known(name=REFUSED, dataset_version="v2")
    decision = decided(known(MANY), refused)
    assert not decision.train
    assert decision.sentence.startswith(f"Nothing new: {REFUSED}")
    few = decided(known(MANY), known(FEW, name=REFUSED))
    assert few.sentence.startswith(f"Not enough new since {REFUSED}")


def test_an_old_refusal_of_the_same_inputs_is_trained_again_with_a_new_seed() -> None:
    refused = known(name=REFUSED, age_days=40.0, dataset_version="v2")
    decision = decided(known(MANY, age_days=50.0), refused, max_age_days=30)
    assert decision.train
    assert decision.needs_new_seed, "the stages would be reused under the same names"
    assert decision.sentence.startswith(f"Since {CHAMPION}")


def test_the_inputs_of_an_old_champion_need_a_new_seed_even_after_another_refusal() -> None:
    champion = known(age_days=50.0, dataset_version="v2")
    assert decided(champion, known(name=REFUSED, recipe="tried"), max_age_days=30).needs_new_seed


def test_a_flow_run_that_is_put_back_finds_its_beginning_and_another_does_not(
    object_store: S3Store,
) -> None:
    champion = ModelRef(name="leaves", version=3, run="pretrain-1", weights_digest="d")
    begun = Beginning(dataset=dataset(), champion=champion, reason="Forced", seed=7)
    keep_beginning(object_store, "one", begun)
    assert read_beginning(object_store, "one") == begun
    assert read_beginning(object_store, "another") is None


def test_a_beginning_is_of_one_model_dataset_and_recipe() -> None:
    data = dataset()
    begun = Beginning(model="cats", recipe="tiny", dataset=data, champion=None, reason="Forced")
    assert begun.is_of("cats", data.dataset, "tiny")
    assert not begun.is_of("dogs", data.dataset, "tiny")
    assert not begun.is_of("cats", "dogs", "tiny")
    assert not begun.is_of("cats", data.dataset, "demo")


def test_a_beginning_of_an_earlier_release_names_its_dataset_alone(
    object_store: S3Store,
) -> None:
    data = dataset()
    begun = Beginning(model="cats", recipe="tiny", dataset=data, champion=None, reason="Forced")
    written = begun.model_dump(mode="json", exclude={"model", "recipe"})
    object_store.put("retrainings/one.json", json.dumps(written).encode())
    found = read_beginning(object_store, "one")
    assert found is not None
    assert found.is_of("cats", data.dataset, "tiny")
    assert not found.is_of("cats", "dogs", "tiny")


def test_a_beginning_says_which_code_names_its_stages(object_store: S3Store) -> None:
    begun = Beginning(dataset=dataset(), champion=None, reason="Forced", numerics_version="earlier")
    keep_beginning(object_store, "one", begun)
    found = read_beginning(object_store, "one")
    assert found is not None
    assert found.numerics_version == "earlier"
    written = begun.model_dump(mode="json", exclude={"numerics_version"})
    object_store.put("retrainings/one.json", json.dumps(written).encode())
    found = read_beginning(object_store, "one")
    assert found is not None
    assert found.numerics_version == numerics_version(), "an earlier release wrote none"


def test_a_beginning_of_another_release_is_named_by_its_key(object_store: S3Store) -> None:
    object_store.put("retrainings/one.json", b'{"old": 1}')
    with pytest.raises(StorageError, match=r"retrainings/one\.json is damaged or was"):
        read_beginning(object_store, "one")
