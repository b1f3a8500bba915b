"""Bootstrap intervals: known cases, and what counts as evidence."""

import numpy as np
import pytest

from srgan.measure import bootstrap
from srgan.measure.bootstrap import Interval


def paired_interval(differences: list[float], photos: list[str]) -> Interval:
    found = bootstrap.paired_interval(differences, photos)
    assert found is not None
    return found


def crossed_interval(values: list[float], images: list[str], raters: list[str]) -> Interval:
    found = bootstrap.crossed_interval(values, images, raters)
    assert found is not None
    return found


def names(count: int) -> list[str]:
    return [f"photo-{index}" for index in range(count)]


def test_many_independent_photos_give_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(-0.1, 0.5, 400)
    found = paired_interval(values.tolist(), names(400))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03 * half)


def test_two_photos_give_an_interval_from_one_to_the_other() -> None:
    # Both, one twice or the other twice are drawn: a quarter of the means lies at each end.
    found = paired_interval([1.0, 3.0], names(2))
    assert (found.mean, found.low, found.high) == (2.0, 1.0, 3.0)


def test_a_difference_that_all_photos_share_is_certain() -> None:
    found = paired_interval([-0.25] * 5, names(5))
    assert (found.mean, found.low, found.high) == (-0.25, -0.25, -0.25)


def test_more_crops_of_the_same_photos_do_not_add_evidence() -> None:
    values = np.random.default_rng(2).normal(0, 1, 12).tolist()
    once = paired_interval(values, names(12))
    often = paired_interval(values * 50, names(12) * 50)
    assert often.low == pytest.approx(once.low)
    assert often.high == pytest.approx(once.high)


def test_all_crops_have_the_same_weight_in_the_mean() -> None:
    found = paired_interval([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"])
    assert found.mean == 2.0
    assert (found.low, found.high) == (1.0, 5.0)


def test_it_is_the_same_every_time_and_in_any_order() -> None:
    values = np.random.default_rng(3).normal(0, 1, 30)
    photos = np.array(names(30))
    order = np.random.default_rng(4).permutation(30)
    found = paired_interval(values.tolist(), photos.tolist())
    assert paired_interval(values.tolist(), photos.tolist()) == found
    assert paired_interval(values[order].tolist(), photos[order].tolist()) == found


def test_more_photos_than_fit_into_one_block_of_draws_give_the_same_kind_of_interval() -> None:
    values = np.random.default_rng(5).normal(0, 1, 3000)
    found = paired_interval(values.tolist(), names(3000))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)


@pytest.mark.parametrize(
    ("values", "photos"),
    [([0.1, 0.2], ["a", "a"]), ([], []), ([0.1, float("nan")], ["a", "b"])],
)
def test_fewer_than_two_photos_or_a_value_that_is_not_finite_have_no_interval(
    values: list[float], photos: list[str]
) -> None:
    assert bootstrap.paired_interval(values, photos) is None


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
    variance = table.mean(axis=1).var() / 40 + table.mean(axis=0).var() / 30
    found = crossed_interval(values, images, raters)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.1)


def test_a_strict_crowd_that_agrees_on_few_images_does_not_add_evidence() -> None:
    few = crossed_interval(*ratings(8, 5, 1.0, 0.0))
    many = crossed_interval(*ratings(8, 200, 1.0, 0.0))
    assert many.high - many.low == pytest.approx(few.high - few.low, rel=0.1)


def test_a_single_rater_is_kept_and_a_single_image_has_no_interval() -> None:
    found = crossed_interval([1.0, 3.0], ["a", "b"], ["ann", "ann"])
    assert (found.mean, found.low, found.high) == (2.0, 1.0, 3.0)
    assert bootstrap.crossed_interval([1.0, 3.0], ["a", "a"], ["ann", "bob"]) is None


def test_draws_that_hold_no_rating_do_not_count() -> None:
    """Ann rated one image alone, Bob the other: half of the draws pair them wrongly."""
    found = crossed_interval([1.0, 3.0], ["a", "b"], ["ann", "bob"])
    assert (found.low, found.high) == (1.0, 3.0)
