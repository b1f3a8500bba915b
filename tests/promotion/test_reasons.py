"""What makes a retraining worth its cost, and what does not."""

from datetime import UTC, datetime

import pytest

from srgan.config import GrowthConfig, RetrainConfig
from srgan.data.changes import PhotoChanges
from srgan.promotion.reasons import Baseline, TrainingDecision, should_retrain
from srgan.promotion.record import VersionRecord

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


def decided(*baselines: Baseline, force: bool = False, **policy: object) -> TrainingDecision:
    return should_retrain(baselines, INPUTS, RetrainConfig.model_validate(policy), force=force)


def test_a_model_without_a_version_is_trained() -> None:
    assert decided() == TrainingDecision(True, "There is no version of the model yet")


def test_the_same_inputs_are_no_reason() -> None:
    decision = decided(known(dataset_version="v2"))
    assert not decision.train
    assert decision.sentence.startswith(f"Nothing new: {CHAMPION} was made of the same dataset")


def test_force_is_a_reason_and_names_the_stages_anew() -> None:
    assert decided(known(dataset_version="v2"), force=True) == TrainingDecision(
        True, "Forced", anew=True
    )


def test_new_changed_and_removed_photos_count_together() -> None:
    decision = decided(known(MANY))
    assert decision == TrainingDecision(
        True, f"Since {CHAMPION}: photos: 2 new, 1 changed, 2 removed, 5.0 % of 100"
    )


def test_too_few_photos_are_no_reason_and_are_counted_in_the_sentence() -> None:
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
    assert "its dataset version v1 is gone, so nobody can count what is new" in decision.sentence


def test_a_version_without_a_dataset_is_a_reason() -> None:
    tags = {name: value for name, value in INPUTS.items() if name != "dataset_version"}
    decision = decided(Baseline(CHAMPION, record(**tags), 1.0, None))
    assert decision.train
    assert "it has no dataset of its own" in decision.sentence


def test_photos_that_are_cut_otherwise_are_a_reason() -> None:
    decision = decided(known(FEW.model_copy(update={"recut": True})))
    assert decision.train
    assert "photos are cut otherwise" in decision.sentence


def test_another_recipe_and_other_code_are_reasons_that_are_named_together() -> None:
    decision = decided(known(FEW, recipe="older", numerics_version="1+old"))
    assert decision.sentence == (f"Since {CHAMPION}: another recipe; code 1+new instead of 1+old")


def test_age_is_a_reason_where_it_is_asked_for() -> None:
    same = known(age_days=31.0, dataset_version="v2")
    assert not decided(same).train
    assert not decided(same, max_age_days=31.0).train
    decision = decided(same, max_age_days=30.0)
    assert decision == TrainingDecision(
        True, f"Since {CHAMPION}: 31.0 days old, more than 30", anew=True
    )


def test_what_was_refused_is_not_trained_again_without_something_newer() -> None:
    refused = known(name=REFUSED, dataset_version="v2")
    decision = decided(known(MANY), refused)
    assert not decision.train
    assert decision.sentence.startswith(f"Nothing new: {REFUSED}")
    few = decided(known(MANY), known(FEW, name=REFUSED))
    assert few.sentence.startswith(f"Not enough new since {REFUSED}")


def test_an_old_refusal_of_the_same_inputs_is_trained_anew() -> None:
    refused = known(name=REFUSED, age_days=40.0, dataset_version="v2")
    decision = decided(known(MANY, age_days=50.0), refused, max_age_days=30)
    assert decision.train
    assert decision.anew, "the stages would be reused under the same names"
    assert decision.sentence.startswith(f"Since {CHAMPION}")


def test_so_are_the_inputs_of_an_old_champion_after_something_else_was_refused() -> None:
    champion = known(age_days=50.0, dataset_version="v2")
    assert decided(champion, known(name=REFUSED, recipe="tried"), max_age_days=30).anew
