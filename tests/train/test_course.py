"""Which checkpoint an adversarial stage hands on, when it goes back and when it ends."""

from collections.abc import Mapping

import pytest

from srgan.train.course import Course, saturation

GRID = {"checkerboard": "a checkerboard of 4.0 levels, more than 3 on 1 of 8 crops"}


def begin(judge: str | None = "judge", faults: Mapping[str, str] = {}) -> Course:
    return Course.begin(judge, {"judge": 2.0} if judge else {}, faults)


def validated(
    course: Course,
    *distances: float,
    faults: Mapping[str, str] = {},
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
    assert (course.result_step(30), course.stale) == (20, 1)
    assert course.chosen(30) == ("step 20, lowest judge at a validation, 1.5000 (start 2.0000)")


def test_the_newest_is_handed_on_if_none_was_better_than_the_start() -> None:
    course = validated(begin(), 2.1, 2.2)
    assert course.result_step(20) == 20
    assert "never below the start's" in course.chosen(20)


def test_the_newest_is_handed_on_if_no_network_may_judge() -> None:
    course = validated(begin(judge=None), 0, 0)
    assert course.result_step(20) == 20
    assert "no mirrored network" in course.chosen(20)


def test_a_broken_output_is_never_the_best_and_sends_the_stage_back() -> None:
    course = validated(begin(), 1.8)
    course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert (course.best_step, course.good_step, course.rate) == (10, 10, 0.5)
    assert course.returns[0].line() == (
        "back from step 20 to 10 at half the learning rate: a checkerboard of 4.0 levels, more "
        "than 3 on 1 of 8 crops"
    )
    assert "back from step 20" in course.chosen(30)


def test_a_stage_ends_when_it_has_gone_back_often_enough() -> None:
    course = validated(begin(), 1.8)
    for _ in range(2):
        course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
        assert course.ended is None
    course = course.after(20, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert (len(course.returns), course.rate) == (2, 0.25)
    assert course.ended is not None
    assert course.ended.startswith("after 2 returns, at step 20: a checkerboard")
    assert course.result_step(20) == 10


def test_what_is_wrong_with_the_start_already_sends_nothing_back() -> None:
    course = begin(faults=GRID).after(10, {"judge": 1.0}, GRID, patience=None, max_returns=2)
    assert (course.returns, course.best_step) == ((), 10)


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


@pytest.mark.parametrize(
    ("real", "fake", "saturated"),
    [(0.9999, 0.0001, True), (0.9999, 0.01, False), (0.98, 0.0001, False), (0.5, 0.5, False)],
)
def test_a_discriminator_that_is_never_in_doubt_is_a_fault(
    real: float, fake: float, saturated: bool
) -> None:
    found = saturation({"discriminator_real": real, "discriminator_fake": fake})
    assert bool(found) == saturated
