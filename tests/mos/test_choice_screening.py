"""Raters of pairs who did not do the task."""

import numpy as np
import pytest

from benchmarks.mos.crowd import choose
from srgan.mos.columns import choices_of
from srgan.mos.ratings import Preference
from srgan.mos.screening import screen_choices

TRUTH = {"a": 2.0, "b": 0.7, "c": -0.7, "d": -2.0}


def study(seed: int, num_raters: int = 10, num_pairs: int = 60) -> list[Preference]:
    """Honest raters; the first tenth of each one's pairs is shown again."""
    rng, made = np.random.default_rng(seed), []
    for rater in range(num_raters):
        for n in range(num_pairs):
            left, right = rng.choice(list(TRUTH), 2, replace=False)
            # Each pair on its own image, so that none comes twice by chance.
            image = f"image {n}"
            each = choose(rng, TRUTH, image, left, right, f"rater {rater}")
            made.append(each.model_copy(update={"seconds": 2.0}))
            if n < num_pairs / 6:
                made.append(each.model_copy(update={"repeat": True, "seconds": 2.0}))
    return made


def answered(made: list[Preference], how: str) -> list[Preference]:
    """Let rater 0 answer in a careless way."""
    rng = np.random.default_rng(99)
    found = []
    for each in made:
        if each.rater != "rater 0":
            found.append(each)
        elif how == "fast":
            found.append(each.model_copy(update={"seconds": 0.2}))
        else:
            choice = str(rng.choice(["left", "right", "same"])) if how == "random" else how
            found.append(each.model_copy(update={"choice": choice}))
    return found


@pytest.mark.parametrize(
    ("how", "sign"),
    [
        ("left", "straight-lining: 100% of the answers are left"),
        ("same", "straight-lining: 100% of the answers are same"),
        ("random", "repeats: "),
        ("random", "disagreement: "),
        ("fast", "too fast: "),
    ],
)
def test_a_careless_rater_is_rejected_with_the_reason(how: str, sign: str) -> None:
    found = screen_choices(choices_of(answered(study(0), how)))
    assert list(found) == ["rater 0"]
    assert any(reason.startswith(sign) for reason in found["rater 0"])


def test_few_honest_raters_are_rejected() -> None:
    rejected = [len(screen_choices(choices_of(study(seed)))) for seed in range(20)]
    assert sum(rejected) / (20 * 10) <= 0.05


def test_no_choices_reject_nobody() -> None:
    assert screen_choices(choices_of([])) == {}
