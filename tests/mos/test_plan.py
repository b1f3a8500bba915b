"""Raters that a study needs."""

import numpy as np
import pytest

from benchmarks.mos.crowd import Crowd, study
from srgan.errors import DataError
from srgan.measure.intervals import crossed_interval
from srgan.mos.plan import Spread, power, raters_needed, spread_of


def test_a_larger_difference_or_more_images_take_fewer_raters() -> None:
    spread = Spread()
    needed = raters_needed(spread, 0.2, 40, 0.8)
    easier, more = raters_needed(spread, 0.4, 40, 0.8), raters_needed(spread, 0.2, 80, 0.8)
    assert needed is not None
    assert easier is not None
    assert more is not None
    assert easier < needed
    assert more < needed
    assert power(spread, 0.2, 40, needed) >= 0.8 > power(spread, 0.2, 40, needed - 1)


def test_few_images_leave_a_small_difference_open_whoever_looks() -> None:
    assert raters_needed(Spread(images=0.5), 0.2, 8, 0.8) is None


@pytest.mark.parametrize(("num_images", "num_raters"), [(20, 20), (40, 12)])
def test_the_planned_power_is_that_of_simulated_studies(num_images: int, num_raters: int) -> None:
    spread, difference, num_studies = Spread(0.3, 0.25, 1.0), 0.25, 400
    rng, found = np.random.default_rng(0), 0
    image = np.repeat(np.arange(num_images), num_raters)
    rater = np.tile(np.arange(num_raters), num_images)
    for _ in range(num_studies):
        values = (
            difference
            + rng.normal(0, spread.images, num_images)[image]
            + rng.normal(0, spread.raters, num_raters)[rater]
            + rng.normal(0, spread.noise, len(image))
        )
        interval = crossed_interval(values, image, rater)
        assert interval is not None
        found += interval.low > 0
    planned = power(spread, difference, num_images, num_raters)
    assert found / num_studies == pytest.approx(planned, abs=0.08)


def test_the_spread_of_a_study_is_found() -> None:
    crowd = Crowd({"a": 2.8, "b": 3.2}, images_of_methods=0.4, taste=0.3, noise=(0.6, 0.6))
    rng = np.random.default_rng(1)
    found = spread_of(study(crowd, rng, num_images=60, num_raters=60))
    # Two methods have twice the variance of one; rounding to whole scores adds 1/12 to each.
    assert found.images == pytest.approx(0.4 * 2**0.5, abs=0.1)
    assert found.raters == pytest.approx(0.3 * 2**0.5, abs=0.1)
    assert found.noise == pytest.approx((2 * (0.36 + 1 / 12)) ** 0.5, abs=0.1)


def test_a_study_of_one_method_shows_no_spread() -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(DataError, match="takes two methods"):
        spread_of(study(Crowd({"a": 3.0}), rng, num_images=6, num_raters=3))
