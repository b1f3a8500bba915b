"""The sentence to prove or refute: differences of networks, their intervals, and the verdict."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.judges import taught_by
from benchmarks.quality.measuring import Row
from srgan.config.networks import JUDGES
from srgan.measure.figures import better
from srgan.measure.intervals import CONFIDENCE, Interval, half_width, paired_interval, quantile

SENTENCE = (
    "With the same start and the same minutes, a VGG loss with a discriminator is better than MSE "
    "with a discriminator and than the start, by judges that taught neither, and worse by PSNR."
)
CLAIMANTS = ("SRGAN-VGG16-22", "SRGAN-VGG16-53")
RIVAL = "SRGAN-MSE"
_NUM_RIVALS = 2  # that one and the start
PAIRS_OF_TERM = (
    ("SRGAN-MSE", "MSE alone"),
    ("SRGAN-VGG16-22", "VGG16-22 alone"),
    ("SRGAN-VGG16-53", "VGG16-53 alone"),
    ("SRGAN-SqueezeNet", "SqueezeNet alone"),
)
"""Pairs that show what the discriminator brings: the same training with its weight and without."""

Verdict = Literal["better", "worse", "open"]
Outcome = Literal["proven", "refuted", "open"]


@dataclass(frozen=True)
class Difference:
    """One network against another by one figure."""

    one: str
    other: str
    figure: str
    mean: float
    """The one less the other."""
    over_photos: Interval | None
    """For other photos of this kind and these trainings; None with too few photos."""
    over_seeds: Interval | None
    """For other seeds and these photos; None with one seed."""
    over_both: Interval | None
    """For other photos and other seeds; None if one of the two is."""

    @property
    def verdict(self) -> Verdict:
        """Better or worse if the interval over photos and seeds is on one side of zero."""
        if self.over_both is None or self.over_both.low <= 0 <= self.over_both.high:
            return "open"
        return "better" if better(self.figure, self.mean) else "worse"

    @property
    def expected(self) -> Verdict:
        """The verdict that the sentence predicts for this figure."""
        return "worse" if self.figure == "psnr" else "better"

    @property
    def counts(self) -> bool:
        """False for judges that the gate does not count (`srgan.config.networks.Judge.decides`)."""
        return self.figure not in JUDGES or JUDGES[self.figure].decides


@dataclass(frozen=True)
class Claims:
    """All comparisons of a page. Each interval has the confidence that their number asks for."""

    confidence: float
    of_sentence: list[Difference]
    of_term: list[Difference]
    """With the adversarial term against without it."""
    missing: list[str]
    """Titles without which the sentence cannot be tested."""
    num_photos: int
    """Pictures: images that show the same one count as one."""
    repeated: Mapping[str, str]
    """Images that show the picture of an earlier one, both as ``SET/IMAGE``."""

    @property
    def number(self) -> int:
        return len(self.of_sentence) + len(self.of_term)

    @property
    def outcome(self) -> Outcome:
        """Proven if it is for both VGG losses, refuted if it is for one of them, else open."""
        found = {self.outcome_of(title) for title in CLAIMANTS}
        if "refuted" in found:
            return "refuted"
        return "proven" if found == {"proven"} else "open"

    def outcome_of(self, title: str) -> Outcome:
        """Proven if every comparison that counts agrees, refuted if one says the contrary.

        Open, too, if a network is missing that it has to be compared with.
        """
        counted = self.counted(title)
        if any(each.verdict not in ("open", each.expected) for each in counted):
            return "refuted"
        rivals = {each.other for each in counted if each.figure in JUDGES}
        agree = all(each.verdict == each.expected for each in counted)
        return "proven" if agree and len(rivals) == _NUM_RIVALS else "open"

    def counted(self, title: str) -> list[Difference]:
        """Comparisons of the sentence that count, for one of the networks with a VGG loss."""
        return [each for each in self.of_sentence if each.one == title and each.counts]


def make_claims(rows: Sequence[Row], start: Row | None, pictures: Mapping[str, str]) -> Claims:
    """Make the comparisons of the sentence, and of the adversarial term, on all sets together.

    `pictures` is the picture of each image (`photos.pictures_of`), the unit of resampling: two sets
    may share one.

    Bonferroni: with N comparisons each has an interval of 1 − 5 %/N, so that all of their verdicts
    are right together in 95 of 100 cases. A judge that taught one of the two is left out. `start`
    is the one generator that all GANs started from.
    """
    by_title = {row.title: row for row in rows}
    claimants = [by_title[title] for title in CLAIMANTS if title in by_title]
    of_sentence = []
    for one in claimants:
        if RIVAL in by_title:
            of_sentence.append((one, by_title[RIVAL]))
        if start:  # it does not vary, so each seed is compared with the same
            of_sentence.append((one, replace(start, seeds=[start.seeds[0]] * len(one.seeds))))
    of_term = [
        (by_title[one], by_title[other])
        for one, other in PAIRS_OF_TERM
        if one in by_title and other in by_title
    ]
    number = sum(len(_fair_figures(*pair)) for pair in (*of_sentence, *of_term))
    confidence = 1 - (1 - CONFIDENCE) / max(1, number)
    needed = {title: by_title.get(title) for title in (*CLAIMANTS, RIVAL)} | {"the start": start}
    return Claims(
        confidence=confidence,
        of_sentence=[each for pair in of_sentence for each in compare(*pair, pictures, confidence)],
        of_term=[each for pair in of_term for each in compare(*pair, pictures, confidence)],
        missing=[title for title, row in needed.items() if row is None],
        num_photos=len(set(pictures.values())),
        repeated={image: picture for image, picture in pictures.items() if image != picture},
    )


def seeds_factor(num_seeds: int, confidence: float) -> float:
    """Half the width of an interval over seeds beside their standard deviation."""
    values = np.arange(num_seeds, dtype=np.float64)
    return float(half_width(values, confidence) / values.std(ddof=1))


def _fair_figures(one: Row, other: Row) -> list[str]:
    """Figures of the sentence that both have, without judges that taught one of them."""
    teachers = one.teachers | other.teachers
    both = _by_photo(one, 0).keys() & _by_photo(other, 0).keys()
    judges = [name for name in JUDGES if name in both and not taught_by(name, teachers)]
    return [*judges, "psnr"]


def compare(
    one: Row, other: Row, pictures: Mapping[str, str], confidence: float
) -> list[Difference]:
    return [
        _difference(one, other, figure, pictures, confidence)
        for figure in _fair_figures(one, other)
    ]


def _difference(
    one: Row, other: Row, figure: str, pictures: Mapping[str, str], confidence: float
) -> Difference:
    """Compare by picture: each one's mean over the seeds, and each seed's mean over the pictures.

    Trainings with the same seed see the same patches, so they are compared with each other. A
    picture of which there are two images has the mean of both.
    """
    num_seeds = min(len(one.seeds), len(other.seeds))
    by_seed = []
    for seed in range(num_seeds):
        ours, theirs = (_by_photo(row, seed)[figure] for row in (one, other))
        found: dict[str, list[float]] = {}
        for image in ours.keys() & theirs.keys():
            found.setdefault(pictures[image], []).append(ours[image] - theirs[image])
        by_seed.append([statistics.mean(found[name]) for name in sorted(found)])
    differences = np.array(by_seed)
    mean = float(differences.mean())
    over_photos = paired_interval(differences.mean(axis=0).tolist(), sorted(found), confidence)
    return Difference(
        one.title,
        other.title,
        figure,
        mean,
        over_photos,
        _over_seeds(differences.mean(axis=1), confidence) if num_seeds > 1 else None,
        _over_both(differences, confidence) if num_seeds > 1 and over_photos else None,
    )


def _over_seeds(means: NDArray[np.float64], confidence: float) -> Interval:
    mean, half = float(means.mean()), float(half_width(means, confidence))
    return Interval(mean=mean, low=mean - half, high=mean + half)


def _over_both(differences: NDArray[np.float64], confidence: float) -> Interval:
    """Interval of the mean of (seeds, photos), for other photos and other seeds.

    As `crossed_interval`: the variance of the mean is the one between photos plus the one between
    seeds, and Student's t has the degrees of freedom of the fewer of the two. The noise of single
    values is in both, which makes it a little too wide.
    """
    by_photo, by_seed = differences.mean(axis=0), differences.mean(axis=1)
    variance = sum(float(means.var(ddof=1)) / len(means) for means in (by_photo, by_seed))
    mean = float(differences.mean())
    half = quantile(min(differences.shape) - 1, confidence) * variance**0.5
    return Interval(mean=mean, low=mean - half, high=mean + half)


def _by_photo(row: Row, seed: int) -> dict[str, dict[str, float]]:
    """Values by figure and photo, of all sets together."""
    found: dict[str, dict[str, float]] = {}
    for name, images in row.seeds[seed].items():
        for image, figures in images.items():
            for figure, value in figures.items():
                found.setdefault(figure, {})[f"{name}/{image}"] = value
    return found
