"""Learning rates at the steps that matter."""

import pytest

from srgan.config import LearningRate
from srgan.train.step import learning_rate_at


def test_a_constant_rate_is_its_peak_at_every_step() -> None:
    rate = LearningRate(peak=1e-4)
    assert {learning_rate_at(rate, step, 10) for step in range(10)} == {1e-4}


def test_the_papers_gan_schedule_falls_to_a_tenth_at_half_of_the_stage() -> None:
    rate = LearningRate(peak=1e-4, decay="tenth_at_half")
    assert learning_rate_at(rate, 99_999, 200_000) == 1e-4
    assert learning_rate_at(rate, 100_000, 200_000) == pytest.approx(1e-5)


def test_the_warm_up_reaches_the_peak_at_its_last_step() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=4)
    assert [learning_rate_at(rate, step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_the_cosine_starts_at_the_peak_after_the_warm_up_and_ends_near_zero() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=10, decay="cosine")
    assert learning_rate_at(rate, 10, 110) == 1.0
    assert learning_rate_at(rate, 60, 110) == pytest.approx(0.5)
    assert 0 < learning_rate_at(rate, 109, 110) < 1e-3


def test_a_warm_up_longer_than_the_stage_never_divides_by_zero() -> None:
    rate = LearningRate(peak=1.0, warmup_steps=10, decay="cosine")
    assert learning_rate_at(rate, 4, 5) == 0.5
