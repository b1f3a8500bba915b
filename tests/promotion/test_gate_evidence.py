"""Evidence that the gate asks for: intervals, attempts, number of photos."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.config import GateConfig
from srgan.measure.evaluation import Figures, ImageFigures, Report, means
from srgan.measure.intervals import (
    CONFIDENCE,
    fewest_photos,
    half_width,
    quantile,
    sign_flip_p,
)
from srgan.promotion.findings import confidence_of
from srgan.promotion.gate import verdict_of
from tests.support.reports import GOOD, decided, gans, pixels, report

SQUEEZENET, LITE1 = "squeezenet_distance", "efficientnet_lite1_distance"


@pytest.mark.parametrize(
    ("num_photos", "jitter", "last"), [(14, 0.05, 14), (14, 0.065, 4), (8, 0.0, 2), (14, 0.0, 19)]
)
def test_each_refusal_asks_for_more_evidence_from_the_next_attempt(
    num_photos: int, jitter: float, last: int
) -> None:
    """One-sided p-values are less than 0.025 / (k · (k + 1)) up to `last`.

    Two are Student's: 0.000112 and 0.000943. Two are of the signs: 2⁻⁸ and 2⁻¹⁴.
    """
    figures = gans(
        {"bicubic": 28.0, "model": 29.4, "champion": 29.4},
        {SQUEEZENET: {"bicubic": 2.7, "model": 1.25, "champion": 1.32}},
        jitter=jitter,
        num_photos=num_photos,
    )
    promoted = [
        verdict_of(figures, GateConfig(), challenger=2, champion=1, attempt=attempt)
        for attempt in range(1, 25)
    ]
    assert [each.promoted for each in promoted] == [True] * last + [False] * (24 - last)
    assert "99.1667 % interval" in promoted[1].reason
    assert "at attempt 2)" in promoted[1].reason


def test_the_error_of_all_attempts_together_is_that_of_one_interval() -> None:
    errors = [1 - confidence_of(attempt) for attempt in range(1, 2000)]
    assert errors[0] == pytest.approx(0.025)
    assert sum(errors) == pytest.approx(0.05, rel=1e-3)
    assert sum(errors) < 0.05
    assert 1 - confidence_of(3, num_judges=4) == pytest.approx(0.05 / 12 / 4)


TRIALS = 2000


def is_gain(means: NDArray[np.float64], attempt: int = 1, num_judges: int = 1) -> NDArray[np.bool_]:
    """Whether each row is a gain: differences of photos, above 0 where the challenger is better."""
    confidence = confidence_of(attempt, num_judges)
    found = means.mean(axis=1) > half_width(means, confidence)
    error = (1 - confidence) / 2
    for row in np.flatnonzero(found):
        found[row] = sign_flip_p(means[row], error) <= error
    return found


def no_difference(kind: str, num_photos: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(TRIALS, num_photos) differences of two models that are equal on average."""
    shape = (TRIALS, num_photos)
    if kind == "uniform":
        return rng.uniform(-1, 1, shape)
    if kind == "two humps":
        return rng.choice([-1.0, 1.0], shape) + rng.normal(0, 0.4, shape)
    return rng.normal(0, 1, shape) if kind == "normal" else rng.standard_t(3, shape)


@pytest.mark.parametrize("num_photos", [6, 8, 10, 14])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "uniform", "two humps"])
def test_however_equal_models_differ_3_percent_are_ever_promoted_in_20_attempts(
    kind: str, num_photos: int
) -> None:
    """By Student's t alone 12 % of two humps are with 6 photos, 5 % with 10."""
    rng = np.random.default_rng(num_photos)
    promoted = np.zeros(TRIALS, bool)
    for attempt in range(1, 21):
        promoted |= is_gain(no_difference(kind, num_photos, rng), attempt)
    assert promoted.mean() <= 0.03
    assert promoted.any() == (num_photos > 6), "six photos cannot show enough, seven can"


@pytest.mark.parametrize("num_photos", [7, 20])
def test_of_models_trained_again_and_again_without_a_gain_3_percent_are_ever_promoted(
    num_photos: int,
) -> None:
    """30 trainings against the same champion on the same photos, in each of 2,000 trials."""
    rng = np.random.default_rng(num_photos)
    promoted = np.zeros(TRIALS, bool)
    champion = rng.normal(0, 1, (TRIALS, num_photos))
    for attempt in range(1, 31):
        differences = rng.normal(0, 1, (TRIALS, num_photos)) - champion
        promoted |= is_gain(-differences, attempt)
    # The champion's luck on these photos is the same in all attempts, which makes them less.
    assert promoted.mean() <= 0.03


@dataclass(frozen=True)
class Trials:
    """Differences of challenger and champion in many trials, by figure: (trials, photos, crops)."""

    psnr: NDArray[np.float64]
    """In dB; below 0 the challenger is worse."""
    distances: dict[str, NDArray[np.float64]]
    """Below 0 the challenger is better."""
    num_crops: NDArray[np.intp]
    """(trials, photos), 1 to 3: crops beyond are none of the photo's."""

    def means(self, figure: str) -> NDArray[np.float64]:
        """Mean of each photo over its crops: (trials, photos)."""
        values = self.psnr if figure == "psnr" else self.distances[figure]
        is_there = np.arange(values.shape[-1]) < self.num_crops[..., None]
        return (values * is_there).sum(axis=-1) / self.num_crops


def draw(num_trials: int, num_photos: int, *, gain: float = 0.0) -> Trials:
    """Two models that differ by chance, and by `gain` of its size, on photos of 1 to 3 crops.

    Photos and their crops each have their own part of it. The second judge agrees with the first by
    half.
    """
    rng = np.random.default_rng(num_photos)

    def difference() -> NDArray[np.float64]:
        photos, crops = (num_trials, num_photos, 1), (num_trials, num_photos, 3)
        return rng.normal(0, 2**0.5, photos) + rng.normal(0, 0.5**0.5, crops)

    psnr, one, other = difference(), difference(), difference()
    num_crops = rng.integers(1, 4, (num_trials, num_photos))
    both = {SQUEEZENET: one - gain, LITE1: (one + other) / 2 - gain}
    return Trials(0.1 * (psnr + gain), both, num_crops)


def promotions(trials: Trials, *, beyond_pixels: bool) -> NDArray[np.bool_]:
    """The gate's rule on all trials at once: one judge sees a gain, and none sees a loss."""
    if not beyond_pixels:
        return is_gain(trials.means("psnr"))
    gains, losses = [], []
    for judge in trials.distances:
        means = trials.means(judge)
        gains.append(is_gain(-means, 1, len(trials.distances)))
        losses.append(means.mean(axis=1) > half_width(means, CONFIDENCE))
    return np.any(gains, axis=0) & ~np.any(losses, axis=0)


def as_report(trials: Trials, trial: int, *, beyond_pixels: bool) -> Report:
    """One trial as an evaluation, in which bicubic is far behind both models."""
    images = []
    for photo, num_crops in enumerate(trials.num_crops[trial]):
        for crop in range(num_crops):
            place = (trial, photo, crop)
            figures = {
                name: Figures.model_construct(
                    psnr=28 + (name == "model") * trials.psnr[place] - 8 * (name == "bicubic"),
                    ssim=0.8,
                    distances={
                        judge: 20 + (name == "model") * each[place] + 5 * (name == "bicubic")
                        for judge, each in trials.distances.items()
                    },
                    num_identical=0,
                )
                for name in ("bicubic", "model", "champion")
            }
            images.append(
                ImageFigures.model_construct(
                    source=str(photo), crop=crop, figures=figures, signs={"model": GOOD}
                )
            )
    return pixels(bicubic=20.0, model=28.0, champion=28.0).model_copy(
        update={
            "images": images,
            "means": means(images),
            "beyond_pixels": ["model", "champion"] if beyond_pixels else [],
        }
    )


@pytest.mark.parametrize("num_photos", [8, 10, 20])
@pytest.mark.parametrize("beyond_pixels", [False, True])
def test_the_newer_of_two_equal_models_is_promoted_in_at_most_3_percent(
    beyond_pixels: bool, num_photos: int
) -> None:
    """A comparison of means promotes every second one of them."""
    promoted = promotions(draw(TRIALS, num_photos), beyond_pixels=beyond_pixels)
    # At a rate of 5 % fewer than one run in 10,000 has so few.
    assert promoted.mean() <= 0.03
    assert promoted.any(), "some are, or nothing was tested"


@pytest.mark.parametrize("beyond_pixels", [False, True])
def test_the_whole_decision_follows_that_rule(beyond_pixels: bool) -> None:
    trials = draw(60, 9, gain=1.3)
    trials.distances[LITE1][::3] += 5.0  # here the second judge sees a loss
    expected = promotions(trials, beyond_pixels=beyond_pixels)
    assert 15 < expected.sum() < 45, "about as many promotions as refusals"
    for trial, promoted in enumerate(expected):
        verdict = decided(
            as_report(trials, trial, beyond_pixels=beyond_pixels), challenger=2, champion=1
        )
        assert verdict.promoted == promoted, verdict.reason


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
    assert (
        "it takes finite figures on 6 photos or more, for a gain on 7, and 5 were measured (add "
        "photos; a larger data.eval_share applies to new photos only, or to all under another "
        "dataset's name)"
    ) in verdict.reason
    assert verdict.differences == {}


@pytest.mark.parametrize(
    ("attempt", "num_photos", "few"), [(1, 6, 7), (1, 7, 7), (2, 7, 8), (10, 12, 13), (10, 13, 13)]
)
def test_a_gain_on_all_of_too_few_photos_is_refused_with_how_many_it_takes(
    attempt: int, num_photos: int, few: int
) -> None:
    figures = pixels_of(num_photos)
    verdict = verdict_of(figures, GateConfig(), challenger=2, champion=1, attempt=attempt)
    assert verdict.promoted == (num_photos >= few)
    said = f"to be a gain it takes {few} photos or more, and {num_photos} were measured: add photos"
    assert (said in verdict.reason) != verdict.promoted
    assert ("PSNR 28.500 dB is not clearly higher than" in verdict.reason) != verdict.promoted


def test_enough_photos_whose_signs_make_a_gain_too_often_are_refused_with_how_often() -> None:
    """Two of eight gain nothing; to Student's t it is a gain."""
    figures = pixels_of(8, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    verdict = decided(figures, challenger=2, champion=1)
    assert not verdict.promoted
    assert "of equal models 1.56 % show as much by the signs of their differences, and at most" in (
        verdict.reason
    )


def pixels_of(num_photos: int, gains: Sequence[float] | None = None) -> Report:
    """The model gains so much on each photo against both others; 0.5 dB unless `gains` says."""
    found = report({"bicubic": 28.0, "model": 28.5, "champion": 28.0}, num_photos=num_photos)
    if gains is None:
        return found
    images = [
        image.model_copy(
            update={
                "figures": {
                    **image.figures,
                    "model": Figures(
                        psnr=image.figures["bicubic"].psnr + gains[int(image.source[0])], ssim=0.8
                    ),
                }
            }
        )
        for image in found.images
    ]
    return found.model_copy(update={"images": images, "means": means(images)})


def test_the_page_has_the_gain_and_the_photos_that_each_attempt_takes() -> None:
    page = (Path(__file__).parents[2] / "docs/retraining.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) % \| (\d+) \|(.+)\|$", page, re.MULTILINE)
    assert [int(attempt) for attempt, *_ in rows] == [1, 2, 5, 10, 20, 52]
    head = next(line for line in page.splitlines() if line.startswith("| attempt | interval"))
    columns = [int(found) for found in re.findall(r"\| (\d+)", head)]
    for attempt, percent, few, gains in rows:
        confidence = confidence_of(int(attempt))
        assert percent == f"{100 * confidence:.6g}"
        assert int(few) == fewest_photos((1 - confidence) / 2)
        expected = [
            f"{quantile(photos - 1, confidence) / photos**0.5:.2f}" if photos >= int(few) else "–"
            for photos in columns
        ]
        assert [cell.strip() for cell in gains.split("|")] == expected
