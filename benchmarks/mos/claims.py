"""Promises of the analysis, measured on simulated studies. Tests hold the same figures."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count

import numpy as np

from benchmarks.mos.crowd import CARELESS, PAPER, Crowd, choose, columns, study
from srgan.mos.columns import Reals, choices_of, columns_of
from srgan.mos.next_pair import PairChooser, StimulusPair
from srgan.mos.preferences import add_choice, compared, empty_tally, fit
from srgan.mos.ratings import Preference
from srgan.mos.scores import contrasts, opinions_of
from srgan.mos.screening import screen
from srgan.mos.subjects import model_subjects


@dataclass(frozen=True)
class Coverage:
    """Shares of intervals that hold the truth, and their mean width."""

    of_scores: float
    of_differences: float
    width: float
    width_of_differences: float


def coverage(
    crowd: Crowd, num_images: int, num_raters: int, *, num_studies: int = 500, rated: float = 1.0
) -> Coverage:
    """Simulate studies; each rater rates the share `rated` of the images."""
    truths, names = crowd.truths(), list(crowd.methods)
    held, held_differences, widths, widths_of_differences = [], [], [], []
    for number in range(num_studies):
        rng = np.random.default_rng([num_images, num_raters, number])
        scores = crowd.rate(rng, crowd.stimuli(rng, num_images), num_raters)[0]
        if rated < 1:
            scores[rng.random((num_raters, num_images)) >= rated] = np.nan
        ratings = columns(scores, names)
        for truth, each in zip(truths, opinions_of(ratings).values(), strict=True):
            assert each.interval is not None
            held.append(each.interval.low <= truth <= each.interval.high)
            widths.append(each.interval.high - each.interval.low)
        for (one, other), found in zip(combinations(truths, 2), contrasts(ratings), strict=True):
            assert found.interval is not None
            held_differences.append(found.interval.low <= one - other <= found.interval.high)
            widths_of_differences.append(found.interval.high - found.interval.low)
    return Coverage(
        *(float(np.mean(each)) for each in (held, held_differences, widths, widths_of_differences))
    )


def pair_coverage(
    taste: float,
    *,
    num_raters: int = 24,
    num_images: int = 20,
    per_rater: int = 40,
    num_studies: int = 150,
) -> Coverage:
    """Simulate pair comparisons of four similar methods.

    `taste`: standard deviation of what a method is worth to one rater, and on one image, around its
    strength.
    """
    names, truth = list("abcd"), np.array([-0.375, -0.175, 0.125, 0.425])
    true = dict(zip(names, truth.tolist(), strict=True))
    held, held_differences, widths, widths_of_differences = [], [], [], []
    for number in range(num_studies):
        rng = np.random.default_rng([6, number])
        of_rater = rng.normal(0, taste, (num_raters, 4))
        of_image = rng.normal(0, taste, (num_images, 4))
        made = []
        for rater in range(num_raters):
            for image in rng.integers(num_images, size=per_rater).tolist():
                worth = truth + of_rater[rater] + of_image[image]
                left, right = rng.choice(names, 2, replace=False)
                seen = dict(zip(names, worth.tolist(), strict=True))
                made.append(choose(rng, seen, f"image {image}", left, right, f"rater {rater}"))
        strengths, differences = compared(choices_of(made))
        for name, each in strengths.items():
            assert each.interval is not None
            held.append(each.interval.low <= true[name] <= each.interval.high)
            widths.append(each.interval.high - each.interval.low)
        for found in differences:
            assert found.interval is not None
            difference = true[found.first] - true[found.second]
            held_differences.append(found.interval.low <= difference <= found.interval.high)
            widths_of_differences.append(found.interval.high - found.interval.low)
    return Coverage(
        *(float(np.mean(each)) for each in (held, held_differences, widths, widths_of_differences))
    )


@dataclass(frozen=True)
class Screened:
    """Shares of careless and of honest raters that screening rejects."""

    found: Mapping[str, float]
    """By the way of being careless."""
    false_alarms: float


def screened(
    crowd: Crowd,
    num_images: int,
    num_raters: int,
    *,
    num_studies: int = 100,
    kinds: Sequence[str] = CARELESS,
) -> Screened:
    """Simulate studies with as many careless raters, one in six, one kind after the other."""
    rejected: dict[str, list[bool]] = {kind: [] for kind in (*kinds, "honest")}
    for number in range(num_studies):
        rng = np.random.default_rng([num_images, num_raters, number])
        num_careless = num_raters // 6
        careless = [kinds[(number + n) % len(kinds)] for n in range(num_careless)]
        ratings = study(crowd, rng, num_images=num_images, num_raters=num_raters, careless=careless)
        found = screen(columns_of(ratings))
        for rater in {each.rater for each in ratings}:
            rejected[rater.split()[0]].append(rater in found)
    shares = {kind: float(np.mean(each)) for kind, each in rejected.items() if each}
    return Screened({k: v for k, v in shares.items() if k != "honest"}, shares["honest"])


def errors_of_stimuli(
    *, num_images: int = 20, num_raters: int = 15, rated: float = 1.0, num_studies: int = 50
) -> tuple[float, float]:
    """Return the root mean square errors of plain means and of the model, in scores.

    One rater in six is careless, and nobody is rejected. Each rates the share `rated` of images.
    """
    crowd = Crowd()
    plain, modelled = [], []
    for number in range(num_studies):
        rng = np.random.default_rng([3, number])
        stimuli = crowd.stimuli(rng, num_images)
        scores = crowd.rate(rng, stimuli, num_raters)[0]
        scores[: num_raters // 6] = rng.integers(1, 6, scores[: num_raters // 6].shape)
        if rated < 1:
            scores[rng.random((num_raters, num_images)) >= rated] = np.nan
        rated_by_somebody = np.isfinite(scores).any(axis=0)
        truth = crowd.seen(stimuli)[rated_by_somebody]
        quality = model_subjects(columns(scores, list(crowd.methods))).quality
        with np.errstate(invalid="ignore"):
            means = np.nansum(scores, axis=0) / np.isfinite(scores).sum(axis=0)
        plain.append(means[rated_by_somebody] - truth)
        modelled.append(quality.reshape(stimuli.shape)[rated_by_somebody] - truth)
    return _root_mean_square(plain), _root_mean_square(modelled)


def strengths_drawn(rng: np.random.Generator, num_methods: int) -> Reals:
    """Draw strengths over a range of 12, as between the paper's anchors, with the mean 0."""
    drawn = rng.uniform(-6, 6, num_methods)
    return np.asarray(drawn - drawn.mean())


def errors_by_choices(
    active: bool, num_choices: int, *, num_methods: int = 12, num_studies: int = 20, every: int = 20
) -> tuple[Reals, Reals]:
    """Simulate studies of pairs; return errors after each `every` choices.

    The root mean square error of the strengths, and the share of pairs of methods in the wrong
    order; each the mean over studies, shape (num_choices // every,).
    """
    methods, images = [f"m{n}" for n in range(num_methods)], [f"image {n}" for n in range(20)]
    errors, swapped = [], []
    for number in range(num_studies):
        rng = np.random.default_rng([4, number])
        truth = strengths_drawn(rng, num_methods)
        strengths = dict(zip(methods, truth.tolist(), strict=True))
        pairs = _active(methods, images, number) if active else _random(methods, images, rng)
        tally, errors_of, swapped_of = empty_tally(num_methods), [], []
        made: Preference | None = None
        for n in range(num_choices):
            image, left, right = pairs.send(made)
            made = choose(rng, strengths, image, left, right, f"rater {n // 50}")
            add_choice(tally, methods.index(left), methods.index(right), made.choice)
            if (n + 1) % every == 0:
                theta = fit(tally).parameters[:-1]
                errors_of.append(float(np.sqrt(np.mean((theta - truth) ** 2))))
                wrong = [
                    (theta[a] > theta[b]) != (truth[a] > truth[b])
                    for a, b in combinations(range(num_methods), 2)
                ]
                swapped_of.append(float(np.mean(wrong)))
        errors.append(errors_of)
        swapped.append(swapped_of)
    return np.mean(errors, axis=0), np.mean(swapped, axis=0)


def share_needed(random: Reals, active: Reals) -> float:
    """Choices after which the active error is as small as the random one at the end, as a share."""
    reached = np.flatnonzero(active <= random[-1])
    return float((reached[0] + 1) / len(random)) if len(reached) else float("inf")


def paper_study() -> dict[str, tuple[float, float]]:
    """Simulate the paper's study on BSD100: 26 raters, 100 images, its mean opinion scores.

    Returns mean and width of the interval of each method.
    """
    crowd, rng = Crowd(PAPER), np.random.default_rng(5)
    scores = crowd.rate(rng, crowd.stimuli(rng, 100), 26)[0]
    found = opinions_of(columns(scores, list(PAPER)))
    return {
        name: (each.mean, each.interval.high - each.interval.low)
        for name, each in found.items()
        if each.interval
    }


def _root_mean_square(errors: Sequence[Reals]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


_Pairs = Generator[StimulusPair, Preference | None, None]
"""Pairs to be shown; takes the choice that was made."""


def _active(methods: Sequence[str], images: Sequence[str], seed: int) -> _Pairs:
    chooser = PairChooser(methods, images, seed)
    for number in count():
        pair = chooser.next(f"rater {number // 50}")
        assert pair is not None
        made = yield pair
        assert made is not None
        chooser.add([made])


def _random(methods: Sequence[str], images: Sequence[str], rng: np.random.Generator) -> _Pairs:
    while True:
        left, right = rng.choice(len(methods), 2, replace=False)
        yield StimulusPair(str(rng.choice(images)), methods[left], methods[right])
