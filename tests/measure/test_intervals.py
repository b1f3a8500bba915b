"""Confidence intervals: known cases, what counts as evidence, and how often they are wrong."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.measure import intervals
from srgan.measure.intervals import Interval


def paired_interval(
    differences: list[float], photos: list[str], confidence: float = 0.95
) -> Interval:
    found = intervals.paired_interval(differences, photos, confidence)
    assert found is not None
    return found


def crossed_interval(values: list[float], images: list[str], raters: list[str]) -> Interval:
    found = intervals.crossed_interval(values, images, raters)
    assert found is not None
    return found


def names(count: int) -> list[str]:
    return [f"photo-{index}" for index in range(count)]


@pytest.mark.parametrize(("confidence", "quantile"), [(0.95, 2.570582), (0.99, 4.032143)])
def test_six_photos_have_the_interval_of_a_printed_table_of_students_t(
    confidence: float, quantile: float
) -> None:
    found = paired_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], names(6), confidence)
    half = quantile * np.sqrt(3.5 / 6)
    assert found.mean == 3.5
    assert found.low == pytest.approx(3.5 - half)
    assert found.high == pytest.approx(3.5 + half)


def test_many_independent_photos_give_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(-0.1, 0.5, 400)
    found = paired_interval(values.tolist(), names(400))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.01 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01 * half)


def test_a_difference_that_all_photos_share_is_certain() -> None:
    found = paired_interval([-0.25] * 6, names(6))
    assert (found.mean, found.low, found.high) == (-0.25, -0.25, -0.25)


def test_more_crops_of_the_same_photos_do_not_add_evidence() -> None:
    values = np.random.default_rng(2).normal(0, 1, 12).tolist()
    once = paired_interval(values, names(12))
    often = paired_interval(values * 50, names(12) * 50)
    assert often.low == pytest.approx(once.low)
    assert often.high == pytest.approx(once.high)


def test_a_photo_of_many_crops_counts_as_one_of_few() -> None:
    values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    once = paired_interval(values, names(6))
    more = paired_interval([*values, *[5.0] * 40], names(6) + ["photo-5"] * 40)
    assert more == once


def test_the_order_of_the_crops_does_not_matter() -> None:
    values = np.random.default_rng(3).normal(0, 1, 30)
    photos = np.array(names(10) * 3)
    order = np.random.default_rng(4).permutation(30)
    found = paired_interval(values.tolist(), photos.tolist())
    again = paired_interval(values[order].tolist(), photos[order].tolist())
    assert (again.low, again.high) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize(
    ("values", "photos"),
    [([0.1, 0.2] * 5, names(5) * 2), ([], []), ([0.1] * 6 + [float("nan")], names(7))],
)
def test_fewer_than_six_photos_or_a_value_that_is_not_finite_have_no_interval(
    values: list[float], photos: list[str]
) -> None:
    assert intervals.paired_interval(values, photos) is None


TRIALS = 20_000


def no_difference(kind: str, num_photos: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(TRIALS, num_photos) differences of two models that are equal on average."""
    shape = (TRIALS, num_photos)
    if kind == "normal":
        return rng.normal(0, 1, shape)
    if kind == "heavy tails":
        return rng.standard_t(3, shape)
    return rng.choice([-1.0, 1.0], shape) * rng.exponential(1, shape)


@pytest.mark.parametrize("num_photos", [6, 8, 10, 14, 20])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "two-sided exponential"])
def test_of_equal_models_one_is_clearly_better_in_at_most_3_percent_of_20000_trials(
    kind: str, num_photos: int
) -> None:
    """A percentile bootstrap fails this. Photos have 1 to 9 crops."""
    rng = np.random.default_rng([num_photos, 1])
    noise = rng.normal(0, 1, (TRIALS, num_photos)) / np.sqrt(rng.integers(1, 10, num_photos))
    means = no_difference(kind, num_photos, rng) + noise
    half = intervals.half_width(means, 0.95)
    assert (means.mean(axis=1) + half < 0).mean() <= 0.03, "clearly lower"
    assert (means.mean(axis=1) - half > 0).mean() <= 0.03, "clearly higher"


def every_choice(values: NDArray[np.float64]) -> float:
    """Share of all choices of signs with a mean of at least that of `values`."""
    signs = np.array(list(product([-1, 1], repeat=len(values))))
    return float(((signs * np.abs(values)).mean(axis=1) >= values.mean() - 1e-12).mean())


@pytest.mark.parametrize("num_photos", [1, 6, 11])
@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.8])
def test_the_p_value_of_signs_counts_every_choice_of_them(num_photos: int, shift: float) -> None:
    values = np.random.default_rng(num_photos).normal(shift, 1, num_photos)
    assert intervals.sign_flip_p(values, 0.01) == every_choice(values)


def test_a_gain_on_all_photos_has_the_least_p_value_and_equal_photos_tie() -> None:
    assert intervals.sign_flip_p(np.array([0.1] * 7), 0.0125) == 2**-7
    assert intervals.sign_flip_p(np.array([0.1, 0.2, 0.3, 0.0]), 0.01) == 2 / 16
    assert intervals.sign_flip_p(np.array([1.0, -1.0]), 0.01) == 3 / 4
    assert intervals.sign_flip_p(np.array([0.1, 0.2, -0.3]), 0.01) == 5 / 8, "0.1 + 0.2 is 0.3"


@pytest.mark.parametrize(("error", "few"), [(0.0125, 7), (0.025 / 110, 13), (0.1, 6), (2**-9, 9)])
def test_so_many_photos_can_have_a_p_value_of_that(error: float, few: int) -> None:
    assert intervals.fewest_photos(error) == few
    assert intervals.sign_flip_p(np.ones(few), error) <= error


def test_drawn_signs_agree_with_all_of_them_and_are_the_same_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(9).normal(0.4, 1, 18)
    exact = intervals.sign_flip_p(values, 0.001)
    monkeypatch.setattr(intervals, "_EXACT", 17)
    drawn = intervals.sign_flip_p(values, 0.001)
    assert drawn == pytest.approx(exact, rel=0.1)
    assert drawn != exact
    assert intervals.sign_flip_p(values, 0.001) == drawn
    assert intervals.sign_flip_p(np.ones(18), 1e-5) < 1e-5, "so many are drawn that it can be shown"


def ratings(images: int, raters: int, of_image: float, of_rater: float) -> tuple[list[float], ...]:
    """Everybody rates everything: a level for each image, one for each person, little else."""
    rng = np.random.default_rng(6)
    image, rater = rng.normal(0, of_image, images), rng.normal(0, of_rater, raters)
    values = image[:, None] + rater[None] + rng.normal(0, 0.01, (images, raters))
    which = np.repeat(np.arange(images), raters), np.tile(np.arange(raters), images)
    return values.ravel().tolist(), *(index.astype(str).tolist() for index in which)


@pytest.mark.parametrize(("of_image", "of_rater"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_both_images_and_raters_count_as_chance(of_image: float, of_rater: float) -> None:
    values, images, raters = ratings(40, 30, of_image, of_rater)
    table = np.reshape(values, (40, 30))
    variance = table.mean(axis=1).var(ddof=1) / 40 + table.mean(axis=0).var(ddof=1) / 30
    found = crossed_interval(values, images, raters)
    quantile_of_29 = 2.04523
    assert found.high - found.low == pytest.approx(2 * quantile_of_29 * np.sqrt(variance), rel=1e-3)


def test_the_noise_of_single_ratings_counts_once() -> None:
    rng = np.random.default_rng(7)
    which = np.repeat(np.arange(40), 30), np.tile(np.arange(30), 40)
    images, raters = (index.astype(str).tolist() for index in which)
    found = [crossed_interval(rng.normal(0, 1, 1200).tolist(), images, raters) for _ in range(50)]
    quantile_of_29 = 2.04523
    width = np.mean([each.high - each.low for each in found])
    assert width == pytest.approx(2 * quantile_of_29 / np.sqrt(1200), rel=0.15)


def test_variances_of_images_of_raters_and_of_noise_are_told_apart() -> None:
    rng = np.random.default_rng(8)
    image, rater = (index.ravel() for index in np.indices((200, 150)))
    values = (
        rng.normal(0, 0.5, 200)[image] + rng.normal(0, 0.3, 150)[rater] + rng.normal(0, 1, 30_000)
    )
    chosen = rng.random(30_000) < 0.5
    parts = intervals.variance_parts(values[chosen], image[chosen], rater[chosen])
    assert parts == pytest.approx((0.25, 0.09, 1.0), abs=0.05)


def test_a_strict_crowd_that_agrees_on_few_images_does_not_add_evidence() -> None:
    few = crossed_interval(*ratings(8, 8, 1.0, 0.0))
    many = crossed_interval(*ratings(8, 200, 1.0, 0.0))
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.1)


@pytest.mark.parametrize(("num_images", "num_raters"), [(6, 2), (5, 3), (20, 1), (1, 20)])
def test_fewer_than_three_raters_or_six_images_have_no_interval(
    num_images: int, num_raters: int
) -> None:
    assert intervals.crossed_interval(*ratings(num_images, num_raters, 1.0, 1.0)) is None


@pytest.mark.parametrize("num_raters", [3, 6])
@pytest.mark.parametrize(("of_image", "of_rater"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_an_interval_of_ratings_holds_the_truth_in_94_percent_of_500_trials(
    num_raters: int, of_image: float, of_rater: float
) -> None:
    """Not everybody has rated everything."""
    rng = np.random.default_rng([num_raters, 2])
    each_has_some = np.arange(8)[:, None] % num_raters == np.arange(num_raters)
    right = 0
    for _ in range(500):
        image, rater = rng.normal(0, of_image, (8, 1)), rng.normal(0, of_rater, num_raters)
        values = image + rater + rng.normal(0, 0.5, (8, num_raters))
        chosen = (rng.random(values.shape) < 0.6) | each_has_some
        image_of, rater_of = (
            each[chosen].astype(str).tolist() for each in np.indices(chosen.shape)
        )
        found = crossed_interval(values[chosen].tolist(), image_of, rater_of)
        right += found.low <= 0 <= found.high
    assert right / 500 >= 0.94
