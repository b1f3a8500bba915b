"""Raters who did not do the task are found, each sign by itself, and honest ones are left alone."""

import numpy as np
import pytest

from benchmarks.mos.claims import screened
from benchmarks.mos.crowd import FAST, HALF, NARROW, RANDOM, REVERSED, SAME, Crowd, study
from srgan.mos.columns import columns_of
from srgan.mos.ratings import Rating
from srgan.mos.screening import screen


def drawn(kind: str, seed: int = 0) -> list[Rating]:
    """A study of twelve raters, the last of whom is careless."""
    rng = np.random.default_rng(seed)
    return study(Crowd(), rng, num_images=15, num_raters=12, careless=[kind])


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (RANDOM, "disagreement: correlation"),
        (RANDOM, "anchors: original is scored above nearest on"),
        (RANDOM, "outlier:"),
        (SAME, "straight-lining:"),
        (REVERSED, "disagreement: correlation −"),
        (FAST, "too fast: half of the answers took less than 0."),
    ],
)
def test_a_careless_rater_is_rejected_with_the_reason(kind: str, sign: str) -> None:
    found = screen(columns_of(drawn(kind)))
    assert list(found) == [f"{kind} 11"]
    assert any(reason.startswith(sign) for reason in found[f"{kind} 11"])


def test_a_rater_who_does_not_repeat_what_was_said_is_rejected() -> None:
    """Agrees with everybody at first, and turns the scale round in the repeats."""
    rng = np.random.default_rng(3)
    ratings = [
        each.model_copy(update={"score": 6 - each.score})
        if each.repeat and each.rater == "honest 0"
        else each
        for each in study(Crowd(), rng, num_images=15, num_raters=12, repeats=0.3)
    ]
    (reason,) = screen(columns_of(ratings))["honest 0"]
    assert reason.startswith("repeats: ")
    assert "images shown twice got scores" in reason


def test_honest_raters_are_not_rejected() -> None:
    rng = np.random.default_rng(4)
    assert screen(columns_of(study(Crowd(), rng, num_images=15, num_raters=12))) == {}


def test_a_strict_rater_is_not_an_outlier() -> None:
    ratings = [
        each.model_copy(update={"score": max(1, each.score - 1)})
        if each.rater == "honest 0"
        else each
        for each in study(Crowd(bias=0.1), np.random.default_rng(5), num_images=15, num_raters=12)
    ]
    assert screen(columns_of(ratings)) == {}


def test_three_raters_are_not_compared_with_each_other() -> None:
    rng = np.random.default_rng(6)
    ratings = study(Crowd(NARROW), rng, num_images=15, num_raters=3, careless=[RANDOM])
    found = screen(columns_of(ratings))
    assert not any("disagreement" in reason for reasons in found.values() for reason in reasons)


def test_nobody_is_rejected_where_nobody_agrees() -> None:
    """Methods and images that all look the same."""
    same = Crowd({"a": 3.0, "b": 3.0}, images=0, images_of_methods=0)
    ratings = study(same, np.random.default_rng(7), num_images=15, num_raters=12, repeats=0)
    found = screen(columns_of(ratings))
    assert not any("disagreement" in reason for reasons in found.values() for reason in reasons)


def test_a_study_of_a_few_ratings_rejects_nobody() -> None:
    ratings = [
        Rating(method=method, image="a.png", rater=rater, score=3)
        for method in ("1", "2")
        for rater in ("ann", "bob")
    ]
    assert screen(columns_of(ratings)) == {}


def test_rejected_raters_are_left_out() -> None:
    ratings = columns_of(drawn(RANDOM))
    left = ratings.without(screen(ratings))
    assert {left.raters[code] for code in left.rater} == {f"honest {n}" for n in range(11)}
    assert len(left) < len(ratings)


@pytest.mark.slow(group="parts")
@pytest.mark.parametrize(
    ("crowd", "num_images", "num_raters"), [(Crowd(), 20, 24), (Crowd(NARROW), 20, 24)]
)
def test_90_percent_of_careless_raters_are_found_at_5_percent_false_alarms(
    crowd: Crowd, num_images: int, num_raters: int
) -> None:
    found = screened(crowd, num_images, num_raters)
    assert min(found.found.values()) >= 0.9, found
    assert found.false_alarms <= 0.05


@pytest.mark.slow(group="parts")
def test_most_raters_who_are_careless_half_of_the_time_are_found() -> None:
    assert screened(Crowd(), 20, 24, kinds=(HALF,)).found[HALF] >= 0.9
