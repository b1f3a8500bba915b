"""Simulated raters with known scores, bias, noise and carelessness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from srgan.mos.columns import Columns, Reals
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE, Preference, Rating

RANDOM, SAME, REVERSED, FAST, HALF = "random", "same", "reversed", "fast", "half"
CARELESS = (RANDOM, SAME, REVERSED, FAST)
"""Any score; one score in 95 %; the scale upside down; any score within half a second. ``half``
rates every other image at random."""

WIDE = {LOW_ANCHOR: 1.3, "bicubic": 2.0, "a": 2.8, "b": 3.1, "c": 3.5, REFERENCE: 4.4}
"""Methods between the paper's anchors, with their quality on the scale of scores."""
NARROW = {"a": 3.0, "b": 3.2, "c": 3.4, "d": 3.6}
"""Versions of one model, without anchors."""
PAPER = {
    LOW_ANCHOR: 1.11,
    "bicubic": 1.47,
    "SRCNN": 1.87,
    "SelfExSR": 1.89,
    "DRCN": 2.12,
    "ESPCN": 2.01,
    "SRResNet": 2.29,
    "SRGAN": 3.56,
    REFERENCE: 4.46,
}
"""Mean opinion scores of the paper's table 2 on BSD100, rated by 26 people."""


@dataclass(frozen=True)
class Crowd:
    """People and images as they may be; standard deviations, in scores."""

    methods: Mapping[str, float] = field(default_factory=lambda: WIDE)
    images: float = 0.35
    """Images that are better or worse through every method."""
    images_of_methods: float = 0.3
    """Images that suit one method."""
    bias: float = 0.4
    """Raters who are strict or mild."""
    taste: float = 0.2
    """Raters who like one method."""
    noise: tuple[float, float] = (0.4, 0.9)
    """Smallest and largest noise of a rater; uniform between them."""

    @property
    def quality(self) -> Reals:
        return np.array(list(self.methods.values()))

    def truths(self) -> Reals:
        """Mean opinion score of each method over all images and people, to ±0.001."""
        rng, num = np.random.default_rng(0), 1_000_000
        others = rng.normal(0, np.hypot(self.images, self.images_of_methods), num)
        others += rng.normal(0, np.hypot(self.bias, self.taste), num)
        others += rng.normal(0, 1, num) * rng.uniform(*self.noise, num)
        return np.array([_scores(each + others).mean() for each in self.quality])

    def stimuli(self, rng: np.random.Generator, num_images: int) -> Reals:
        """Draw the quality of each image of each method, shape (images, methods)."""
        image = rng.normal(0, self.images, (num_images, 1))
        suits = rng.normal(0, self.images_of_methods, (num_images, len(self.methods)))
        return np.asarray(self.quality + image + suits)

    def seen(self, stimuli: Reals) -> Reals:
        """Mean score of all people of each stimulus, in the shape of `stimuli`."""
        rng = np.random.default_rng(0)
        people = rng.normal(0, np.hypot(self.bias, self.taste), 4000)
        people += rng.normal(0, 1, 4000) * rng.uniform(*self.noise, 4000)
        return np.array([_scores(each + people).mean() for each in stimuli.ravel()]).reshape(
            stimuli.shape
        )

    def rate(
        self, rng: np.random.Generator, stimuli: Reals, num_raters: int, num_times: int = 1
    ) -> Reals:
        """Draw scores of honest raters, shape (times, raters, images, methods)."""
        bias = rng.normal(0, self.bias, (num_raters, 1, 1))
        taste = rng.normal(0, self.taste, (num_raters, 1, stimuli.shape[1]))
        noise = rng.uniform(*self.noise, (num_raters, 1, 1))
        shape = num_times, num_raters, *stimuli.shape
        return _scores(stimuli + bias + taste + noise * rng.normal(0, 1, shape))


def columns(scores: Reals, methods: Sequence[str]) -> Columns:
    """Return scores, shape (raters, images, methods), as ratings; NaN was not rated."""
    rater, image, method = np.nonzero(np.isfinite(scores))
    num_raters, num_images, _ = scores.shape
    return Columns(
        raters=[f"rater {n}" for n in range(num_raters)],
        images=[f"image {n}" for n in range(num_images)],
        methods=list(methods),
        rater=rater,
        image=image,
        seconds=np.full(len(rater), np.nan),
        repeat=np.zeros(len(rater), np.bool_),
        method=method,
        score=scores[rater, image, method],
    )


def study(
    crowd: Crowd,
    rng: np.random.Generator,
    *,
    num_images: int,
    num_raters: int,
    careless: Sequence[str] = (),
    repeats: float = 0.1,
) -> list[Rating]:
    """Draw a study in which the last raters are careless in these ways, by their names."""
    first, again = crowd.rate(rng, crowd.stimuli(rng, num_images), num_raters, 2)
    names = list(crowd.methods)
    found = []
    for rater in range(num_raters):
        kind = (["honest"] * (num_raters - len(careless)) + list(careless))[rater]
        scores = np.stack([first[rater], again[rater]])
        scores = _carelessly(rng, kind, scores)
        seconds = rng.lognormal(np.log(0.3 if kind == FAST else 2.5), 0.4, scores.shape)
        shown_again = rng.random(scores.shape[1:]) < repeats
        shown = np.stack([np.ones_like(shown_again), shown_again])
        for time, image, method in np.argwhere(shown):
            found.append(
                Rating(
                    method=names[method],
                    image=f"image {image}",
                    rater=f"{kind} {rater}",
                    score=int(scores[time, image, method]),
                    seconds=float(seconds[time, image, method]),
                    repeat=bool(time),
                )
            )
    return found


def choose(
    rng: np.random.Generator,
    strengths: Mapping[str, float],
    image: str,
    left: str,
    right: str,
    rater: str,
) -> Preference:
    """Draw a choice by Davidson's model with a tie weight of 0.7."""
    one, other = np.exp(strengths[left]), np.exp(strengths[right])
    odds = np.array([one, other, 0.7 * np.sqrt(one * other)])
    answer = ("left", "right", "same")[rng.choice(3, p=odds / odds.sum())]
    return Preference.model_validate(
        {"image": image, "rater": rater, "left": left, "right": right, "choice": answer}
    )


def _carelessly(rng: np.random.Generator, kind: str, scores: Reals) -> Reals:
    anything = rng.integers(1, 6, scores.shape)
    if kind in (RANDOM, FAST):
        return anything.astype(np.float64)
    if kind == SAME:
        return np.where(rng.random(scores.shape) < 0.95, rng.integers(2, 5), anything)
    if kind == HALF:
        return np.where(rng.random(scores.shape) < 0.5, scores, anything)
    return 6 - scores if kind == REVERSED else scores


def _scores(values: Reals) -> Reals:
    return np.clip(np.rint(values), 1, 5)
