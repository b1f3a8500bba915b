"""The model of subject bias and inconsistency."""

import numpy as np
import pytest

from benchmarks.mos.claims import errors_of_stimuli
from benchmarks.mos.crowd import Crowd, columns
from srgan.mos.subjects import model_subjects


def test_bias_and_inconsistency_of_raters_are_found() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(2, 4, 200)
    bias, noise = rng.permutation(np.linspace(-0.6, 0.6, 20)), np.linspace(0.4, 1.0, 20)
    scores = truth + bias[:, None] + noise[:, None] * rng.normal(0, 1, (20, 200))
    found = model_subjects(columns(scores[..., None], ["a"]))
    assert found.bias == pytest.approx(bias, abs=0.2)
    assert found.inconsistency == pytest.approx(noise, abs=0.15)
    assert np.sqrt(np.mean((found.quality - truth) ** 2)) < 0.2


def test_a_strict_rater_of_some_images_does_not_lower_them() -> None:
    """The plain mean of the images that only the strict one saw is 2 lower."""
    scores = np.full((3, 8, 1), 4.0)
    scores[:, :, 0] += np.tile([0.0, 1.0], 4)
    scores[2] -= 2
    scores[:2, 6:] = np.nan
    quality = model_subjects(columns(scores, ["a"])).quality
    assert quality[6:] == pytest.approx(quality[:2], abs=0.01)


def test_a_rater_who_agrees_exactly_does_not_decide_alone() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(1, 6, 30).astype(float)
    scores = np.stack([truth, truth, np.clip(truth + rng.integers(-1, 2, 30), 1, 5)])[..., None]
    found = model_subjects(columns(scores, ["a"]))
    assert np.isfinite(found.quality).all()
    assert found.inconsistency.min() == pytest.approx(12**-0.5)


def test_a_stimulus_that_nobody_rated_has_no_quality() -> None:
    scores = np.full((3, 2, 1), 4.0)
    scores[:, 1] = np.nan
    ratings = columns(scores, ["a"])
    both = np.isnan(model_subjects(ratings).quality)
    assert both.tolist() == [False, True]


@pytest.mark.parametrize("rated", [1.0, 0.5])
def test_the_model_has_smaller_errors_than_the_plain_mean(rated: float) -> None:
    plain, modelled = errors_of_stimuli(rated=rated, num_studies=10)
    assert modelled < 0.9 * plain


def test_raters_without_bias_and_with_equal_noise_give_the_plain_mean() -> None:
    rng = np.random.default_rng(2)
    crowd = Crowd(bias=0, taste=0, noise=(0.6, 0.6))
    scores = crowd.rate(rng, crowd.stimuli(rng, 40), 20)[0]
    quality = model_subjects(columns(scores, list(crowd.methods))).quality
    assert quality == pytest.approx(scores.mean(axis=0).ravel(), abs=0.15)
