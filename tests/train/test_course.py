"""Which checkpoint an adversarial stage hands on, when it goes back and when it ends."""

from collections.abc import Mapping

import pytest

from srgan.errors import TrainingError
from srgan.measure.guards import Fault
from srgan.refs import to_json
from srgan.train.course import Course, saturation


def grid(levels: float) -> dict[str, Fault]:
    text = f"a checkerboard of {levels:.1f} levels, more than 1.5 on 1 of 8 crops"
    return {"checkerboard": Fault(text, levels)}


GRID = grid(4.0)


def begin(judge: str | None = "judge", faults: Mapping[str, Fault] = {}, first: int = 0) -> Course:
    return Course.begin(judge, {"judge": 2.0} if judge else {}, faults, first=first)


def validated(
    course: Course,
    *distances: float,
    faults: Mapping[str, Fault] = {},
    patience: int | None = None,
    max_returns: int = 2,
) -> Course:
    """The course after validations at steps 10, 20, …"""
    for number, distance in enumerate(distances, 1):
        course = course.after(
            10 * number, {"judge": distance}, faults, patience=patience, max_returns=max_returns
        )
    return course


def test_the_lowest_distance_is_handed_on_and_not_the_newest() -> None:
    course = validated(begin(), 1.8, 1.5, 1.9)
    assert (course.result_step, course.stale) == (20, 1)
    assert course.chosen == "step 20, lowest judge at a validation, 1.5000 (start 2.0000)"


def test_the_newest_is_handed_on_if_none_was_better_than_the_start() -> None:
    course = validated(begin(), 2.1, 2.2)
    assert course.result_step == 20
    assert "never below the start's" in course.chosen


def test_the_newest_is_handed_on_if_no_network_may_judge() -> None:
    course = validated(begin(judge=None), 0, 0)
    assert course.result_step == 20
    assert "no mirrored network" in course.chosen


def test_a_broken_output_is_never_the_best_and_sends_the_stage_back() -> None:
    course = validated(begin(), 1.8)
    course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert (course.best_step, course.good_step, course.rate) == (10, 10, 0.5)
    assert course.returns[0].line() == (
        "back from step 20 to 10 at half the learning rate: a checkerboard of 4.0 levels, more "
        "than 1.5 on 1 of 8 crops"
    )
    assert "back from step 20" in course.chosen


def test_a_stage_ends_when_it_has_gone_back_often_enough() -> None:
    course = validated(begin(), 1.8)
    for _ in range(2):
        course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
        assert course.ended is None
    course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert (len(course.returns), course.rate) == (2, 0.25)
    assert course.ended is not None
    assert course.ended.startswith("after 2 returns, at step 20: a checkerboard")
    assert course.result_step == 10


@pytest.mark.parametrize("judge", ["judge", None])
def test_a_stage_whose_every_validation_broke_has_nothing_to_hand_on(judge: str | None) -> None:
    course = begin(judge)
    for step in (10, 10, 10):
        assert course.ended is None
        course = course.after(step, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert course.result_step == 0
    with pytest.raises(TrainingError, match=r"no validation passed.*after 2 returns, at step 10: "):
        course.refuse_without_result()


def test_a_stage_with_one_good_validation_has_something_to_hand_on() -> None:
    validated(begin(), 2.1).refuse_without_result()


@pytest.mark.parametrize("judge", ["judge", None])
def test_a_copy_of_the_start_is_gone_back_to_and_never_handed_on(judge: str | None) -> None:
    course = validated(begin(judge, first=10), 2.0)
    assert course.good_step == 10
    for _ in range(3):
        assert course.ended is None
        course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert [each.to for each in course.returns] == [10, 10]
    assert course.result_step == 0
    why = r"no validation after the discriminator's 10 steps alone passed.*at step 20: a checkerb"
    with pytest.raises(TrainingError, match=why):
        course.refuse_without_result()
    again = validated(begin(judge, first=10), 2.0, 2.1)
    again.refuse_without_result()
    assert again.result_step == 20


def test_validations_of_the_start_do_not_use_up_patience_and_are_never_the_best() -> None:
    """On a GPU rounding makes the start's distance a little lower or higher each time."""
    course = validated(begin(first=20), 1.9999, 2.0001, patience=1)
    assert (course.stale, course.best_step, course.ended) == (0, 0, None)
    course = course.after(30, {"judge": 2.1}, {}, patience=1, max_returns=2)
    assert course.ended == "1 validations in a row without a lower judge"
    assert course.result_step == 30


@pytest.mark.parametrize(
    ("levels", "goes_back"), [(1.0, False), (1.6, False), (1.99, False), (2.01, True), (8.0, True)]
)
def test_what_is_wrong_with_the_start_may_become_a_quarter_worse(
    levels: float, goes_back: bool
) -> None:
    start = begin(faults=grid(1.6))
    course = start.after(10, {"judge": 1.0}, grid(levels), patience=None, max_returns=2)
    assert (len(course.returns), course.best_step) == ((1, 0) if goes_back else (0, 10))


def test_a_fault_of_the_start_excuses_no_other() -> None:
    dark = {"brightness_shift": Fault("brightness is off by -9.0 levels", 9.0)}
    course = begin(faults=GRID).after(10, {"judge": 1.0}, dark, patience=None, max_returns=2)
    assert len(course.returns) == 1


def test_a_course_goes_on_after_its_json_and_one_of_an_earlier_release_as_it_did() -> None:
    course = begin(faults=grid(1.6))
    assert Course.model_validate_json(to_json(course)) == course
    earlier = Course.model_validate(
        {"judge": "judge", "start": 2.0, "best": 2.0, "excused": ["checkerboard"]}
    )
    assert earlier.after(10, {"judge": 1.0}, GRID, patience=None, max_returns=2).returns == ()


@pytest.mark.parametrize(("patience", "ended_after"), [(None, None), (2, 3), (3, None)])
def test_a_stage_ends_after_enough_validations_without_gain(
    patience: int | None, ended_after: int | None
) -> None:
    course = begin()
    for number, distance in enumerate([1.5, 1.6, 1.7], 1):
        course = course.after(number, {"judge": distance}, {}, patience=patience, max_returns=2)
        assert (course.ended is not None) == (number == ended_after)


def test_a_gain_starts_the_count_again() -> None:
    assert validated(begin(), 2.1, 1.9, 2.0, patience=2).ended is None


def test_without_a_judge_patience_ends_nothing() -> None:
    assert validated(begin(judge=None), 0, 0, 0, patience=1).ended is None


def means(real: float, fake: float, weight: float = 1e-3, skipped: float = 0.0) -> dict[str, float]:
    """Figures of an interval."""
    return {
        "discriminator_real": real,
        "discriminator_fake": fake,
        "adversarial_weight": weight,
        "skipped": skipped,
    }


@pytest.mark.parametrize(
    ("real", "fake", "saturated"),
    [(0.9999, 0.0001, True), (0.9999, 0.01, False), (0.98, 0.0001, False), (0.5, 0.5, False)],
)
def test_a_discriminator_that_is_never_in_doubt_is_a_fault_where_its_opinion_counts(
    real: float, fake: float, saturated: bool
) -> None:
    assert bool(saturation(begin().heard(means(real, fake), 10).opinions)) == saturated
    without = begin().heard(means(real, fake, weight=0.0), 10)
    assert saturation(without.opinions) == {}, "a control, or a warm-up"


def test_all_steps_since_the_latest_validation_that_were_not_skipped_count_alike() -> None:
    course = begin().heard(means(0.5, 0.25, skipped=0.5), 4).heard({"skipped": 1.0}, 3)
    course = course.heard(means(1.0, 0.0), 6)
    opinions = course.opinions
    assert opinions.steps == 8
    assert (opinions.real / 8, opinions.fake / 8) == pytest.approx((0.875, 0.0625))
    assert Course.model_validate_json(to_json(course)) == course
    for faults in ({}, GRID):
        after = course.after(10, {"judge": 1.0}, faults, patience=None, max_returns=2)
        assert after.opinions.steps == 0
    warming = begin(first=10).heard(means(1.0, 0.0), 6)
    assert validated(warming, 2.0).opinions.steps == 0
