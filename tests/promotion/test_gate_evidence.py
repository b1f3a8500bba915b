"""Evidence that the gate asks for: intervals, attempts, number of photos."""

import numpy as np
import pytest

from srgan.config import GateConfig
from srgan.measure.evaluation import Figures, ImageFigures, Report, means
from srgan.measure.intervals import half_width
from srgan.promotion.findings import confidence_of
from srgan.promotion.gate import Verdict, verdict_of
from tests.support.reports import GOOD, gans, pixels

SQUEEZENET, VGG = "squeezenet_distance", "vgg19_distance"


def decided(report: Report, *, challenger: int, champion: int | None) -> Verdict:
    return verdict_of(report, GateConfig(), challenger=challenger, champion=champion)


@pytest.mark.parametrize(("jitter", "last"), [(0.02, 9), (0.03, 3)])
def test_each_refusal_asks_for_more_evidence_from_the_next_attempt(
    jitter: float, last: int
) -> None:
    """One-sided p-values of 0.000274 and 0.00171: less than 0.025 / (k · (k + 1)) up to `last`."""
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.25, "champion": 1.32}},
        jitter=jitter,
    )
    promoted = [
        verdict_of(figures, GateConfig(), challenger=2, champion=1, attempt=attempt)
        for attempt in range(1, 12)
    ]
    assert sum(each.promoted for each in promoted) == last
    assert "99.1667 % interval" in promoted[1].reason
    assert "at attempt 2)" in promoted[1].reason


def test_the_error_of_all_attempts_together_is_that_of_one_interval() -> None:
    errors = [1 - confidence_of(attempt) for attempt in range(1, 2000)]
    assert errors[0] == pytest.approx(0.025)
    assert sum(errors) == pytest.approx(0.05, rel=1e-3)
    assert sum(errors) < 0.05
    assert 1 - confidence_of(3, num_judges=4) == pytest.approx(0.05 / 12 / 4)


TRIALS = 2000


@pytest.mark.parametrize("num_photos", [6, 20])
def test_of_models_trained_again_and_again_without_a_gain_3_percent_are_ever_promoted(
    num_photos: int,
) -> None:
    """30 trainings against the same champion on the same photos, in each of 2,000 trials."""
    rng = np.random.default_rng(num_photos)
    promoted = np.zeros(TRIALS, bool)
    champion = rng.normal(0, 1, (TRIALS, num_photos))
    for attempt in range(1, 31):
        differences = rng.normal(0, 1, (TRIALS, num_photos)) - champion
        half = half_width(differences, confidence_of(attempt))
        promoted |= differences.mean(axis=1) + half < 0
    # The champion's luck on these photos is the same in all attempts, which makes them less.
    assert promoted.mean() <= 0.03


def equal_models(rng: np.random.Generator, num_photos: int, *, beyond_pixels: bool) -> Report:
    """Challenger and champion of the same quality on photos of 1 to 3 crops, by two judges."""
    methods, images = ("bicubic", "model", "champion"), []
    for photo in range(num_photos):
        own = {name: rng.normal(0, 1, 3) for name in methods}
        for crop in range(rng.integers(1, 4)):
            value = {name: own[name] + rng.normal(0, 0.5, 3) for name in methods}
            figures = {
                name: Figures.model_construct(
                    psnr=28 + 0.1 * each[0] + 8 * (name != "bicubic"),
                    ssim=0.8,
                    distances={
                        SQUEEZENET: 20 + each[1] + 5 * (name == "bicubic"),
                        VGG: 20 + (each[1] + each[2]) / 2 + 5 * (name == "bicubic"),
                    },
                    num_identical=0,
                )
                for name, each in value.items()
            }
            images.append(
                ImageFigures.model_construct(
                    source=str(photo), crop=crop, figures=figures, signs={"model": GOOD}
                )
            )
    beyond = list(methods[1:]) if beyond_pixels else []
    return pixels(bicubic=28.0, model=36.0, champion=36.0).model_copy(
        update={"images": images, "means": means(images), "beyond_pixels": beyond}
    )


@pytest.mark.parametrize("beyond_pixels", [False, True])
def test_the_newer_of_two_equal_models_is_promoted_in_at_most_3_percent(
    beyond_pixels: bool,
) -> None:
    """The whole decision, with photos of different numbers of crops. A comparison of means promotes
    every second one of them.
    """
    rng = np.random.default_rng(1)
    trials = [equal_models(rng, 6, beyond_pixels=beyond_pixels) for _ in range(100)]
    promoted = sum(decided(each, challenger=2, champion=1).promoted for each in trials)
    assert promoted <= 3


def test_a_gain_that_other_photos_may_undo_does_not_count() -> None:
    distances = {SQUEEZENET: {"bicubic": 2.7, "model": 1.29, "champion": 1.32}}
    psnr = {"bicubic": 28.0, "model": 29.4, "champion": 29.4}
    assert decided(gans(psnr, distances, jitter=0.01), challenger=2, champion=1).promoted
    verdict = decided(gans(psnr, distances, jitter=0.1), challenger=2, champion=1)
    assert not verdict.promoted
    assert (
        "1.2900 is not clearly lower than champion version 1's 1.3200 (difference over photos −0.0"
        in verdict.reason
    )


def test_five_photos_are_not_enough_evidence() -> None:
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.0, "champion": 1.3}},
        num_photos=5,
    )
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert "it takes finite figures on 6 photos or more, and 5 were measured" in verdict.reason
    assert verdict.differences == {}
