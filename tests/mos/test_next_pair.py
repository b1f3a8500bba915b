"""Active choice of pairs."""

import time
from collections import Counter

import numpy as np
import pytest

from benchmarks.mos.claims import errors_by_choices, share_needed
from srgan.mos.next_pair import PairChooser, StimulusPair, information_gain
from srgan.mos.preferences import add_choice, empty_tally, fit
from srgan.mos.ratings import Preference

METHODS, IMAGES = ["a", "b", "c"], ["x", "y"]


def answer(pair: StimulusPair, rater: str, choice: str) -> Preference:
    return Preference.model_validate({**pair._asdict(), "rater": rater, "choice": choice})


def test_a_rater_judges_every_pair_on_every_image_once_and_is_done() -> None:
    chooser, seen = PairChooser(METHODS, IMAGES, seed=0), []
    while (pair := chooser.next("ann")) is not None:
        chooser.add([answer(pair, "ann", "left")])
        seen.append((pair.image, frozenset((pair.left, pair.right))))
    assert len(seen) == len(set(seen)) == 6
    assert chooser.next("bob") is not None, "another rater has everything to do"


def test_a_pair_that_is_decided_is_not_asked_again_soon() -> None:
    images = [f"image {n}" for n in range(50)]
    chooser = PairChooser(METHODS, images, seed=1)
    # a is far better than both, and b and c are about equal.
    chooser.add(
        answer(StimulusPair(image, *pair), f"rater {n}", choice)
        for n, image in enumerate(images)
        for pair, choice in ((("a", "b"), "left"), (("c", "a"), "right"))
    )
    asked = Counter()
    for n in range(30):
        pair = chooser.next(f"new {n}")
        assert pair is not None
        asked[frozenset((pair.left, pair.right))] += 1
    assert asked == {frozenset("bc"): 30}


def test_every_image_is_used_about_equally_often() -> None:
    images = [f"image {n}" for n in range(5)]
    chooser = PairChooser(METHODS, images, seed=2)
    used: Counter[str] = Counter()
    for n in range(60):
        pair = chooser.next(f"rater {n}")
        assert pair is not None
        used[pair.image] += 1
        chooser.add([answer(pair, f"rater {n}", "left" if n % 2 else "right")])
    assert max(used.values()) - min(used.values()) <= 4


def test_a_method_is_on_either_side() -> None:
    chooser = PairChooser(METHODS, IMAGES, seed=7)
    pairs = [chooser.next(f"rater {n}") for n in range(200)]
    on_left = Counter(pair.left < pair.right for pair in pairs if pair)
    assert 70 <= on_left[True] <= 130, "or a liking for one side would count as quality"


def test_choices_that_were_made_before_a_restart_are_taken_up() -> None:
    before = PairChooser(METHODS, IMAGES, seed=3)
    made = []
    for _ in range(5):
        pair = before.next("ann")
        assert pair is not None
        made.append(answer(pair, "ann", "same"))
        before.add(made[-1:])
    after = PairChooser(METHODS, IMAGES, seed=4)
    after.add(made)
    last = after.next("ann")
    assert last is not None
    assert (last.image, frozenset((last.left, last.right))) not in {
        (each.image, frozenset((each.left, each.right))) for each in made
    }
    after.add([answer(last, "ann", "same")])
    assert after.next("ann") is None


def test_a_known_difference_tells_less_than_an_open_one() -> None:
    tally = empty_tally(3)
    for _ in range(100):
        add_choice(tally, 0, 1, "left")
    gain = information_gain(fit(tally))
    assert gain[0, 1] < 0.1 * gain[0, 2]
    assert gain == pytest.approx(gain.T)
    assert not gain.diagonal().any()


def test_the_next_pair_takes_milliseconds_after_ten_thousand_choices() -> None:
    methods, images = [f"m{n}" for n in range(12)], [f"image {n}" for n in range(100)]
    rng = np.random.default_rng(5)
    chooser = PairChooser(methods, images, seed=5)
    chooser.add(
        answer(
            StimulusPair(str(rng.choice(images)), *rng.choice(methods, 2, replace=False)),
            "ann",
            "left",
        )
        for _ in range(10_000)
    )
    start = time.perf_counter()
    for n in range(20):
        pair = chooser.next(f"rater {n}")
        assert pair is not None
        chooser.add([answer(pair, f"rater {n}", "right")])
    assert (time.perf_counter() - start) / 20 < 0.2, "0.2 s on any machine; a few ms on a quiet one"


@pytest.mark.slow(group="parts")
def test_active_pairs_need_60_percent_of_the_choices_of_random_ones_for_the_same_order() -> None:
    (_, random), (_, active) = (
        errors_by_choices(each, 400, num_studies=6) for each in (False, True)
    )
    assert share_needed(random, active) <= 0.6
