"""Bradley–Terry with ties."""

import numpy as np
import pytest

from benchmarks.mos.claims import pair_coverage
from benchmarks.mos.crowd import choose
from srgan.mos.columns import choices_of
from srgan.mos.preferences import Strength, add_choice, compared, empty_tally, fit
from srgan.mos.ratings import Preference

TRUTH = {"a": 1.2, "b": 0.3, "c": -0.2, "d": -1.3}


def strengths(made: list[Preference]) -> dict[str, Strength]:
    return compared(choices_of(made))[0]


def study(rng: np.random.Generator, num_raters: int = 10, num_images: int = 12) -> list[Preference]:
    """Every rater compares every pair on every image once."""
    return [
        choose(rng, TRUTH, f"image {image}", *rng.permutation(pair), f"rater {rater}")
        for rater in range(num_raters)
        for image in range(num_images)
        for pair in (("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d"))
    ]


def test_known_strengths_are_found_the_strongest_first() -> None:
    found = strengths(study(np.random.default_rng(0)))
    assert list(found) == ["a", "b", "c", "d"]
    assert {name: each.strength for name, each in found.items()} == pytest.approx(TRUTH, abs=0.25)
    assert sum(each.num_better for each in found.values()) == sum(
        each.num_worse for each in found.values()
    )


def test_two_methods_have_the_strengths_of_the_formula() -> None:
    """The closed form of two: log(wins/losses), and ties tie/√(wins·losses)."""
    tally = empty_tally(2)
    for choice, times in (("left", 4000), ("right", 1000), ("same", 2000)):
        for _ in range(times):
            add_choice(tally, 0, 1, choice)
    first, second, log_tie = fit(tally).parameters
    assert first - second == pytest.approx(np.log(4), abs=0.002)
    assert first + second == pytest.approx(0, abs=1e-6)
    assert log_tie == pytest.approx(np.log(2000 / np.sqrt(4000 * 1000)), abs=0.002)


def test_a_method_that_never_lost_has_a_finite_strength() -> None:
    tally = empty_tally(3)
    for other in (1, 2):
        for _ in range(50):
            add_choice(tally, 0, other, "left")
    found = fit(tally).parameters
    assert np.isfinite(found).all()
    assert found[0] > 1
    assert found[1] == pytest.approx(found[2])


def test_fewer_than_three_raters_have_no_interval() -> None:
    rng = np.random.default_rng(1)
    assert strengths(study(rng, num_raters=2))["a"].interval is None
    assert strengths(study(rng, num_raters=3))["a"].interval is not None


def test_methods_that_differ_are_told_from_those_that_do_not() -> None:
    truth = {"a": 1.0, "b": 0.0, "c": 0.0}
    rng = np.random.default_rng(4)
    made = [
        choose(rng, truth, f"image {image}", *pair, f"rater {rater}")
        for rater in range(12)
        for image in range(15)
        for pair in (("a", "b"), ("c", "a"), ("b", "c"))
    ]
    contrasts = {frozenset((e.first, e.second)): e for e in compared(choices_of(made))[1]}
    for other in "bc":
        clear = contrasts[frozenset(("a", other))]
        assert (clear.first, clear.interval is not None and clear.interval.low > 0) == ("a", True)
        assert clear.p < 0.001
    alike = contrasts[frozenset("bc")]
    assert alike.interval is not None
    assert alike.interval.low < 0 < alike.interval.high
    assert alike.p > 0.05


def test_answers_that_are_all_the_same_are_no_certainty() -> None:
    made = [
        Preference(image=f"{image}", rater=f"{rater}", left="a", right="b", choice="same")
        for rater in range(4)
        for image in range(8)
    ]
    found, (contrast,) = compared(choices_of(made))
    for each in found.values():
        assert each.interval is not None
        assert each.interval.high - each.interval.low > 1
    assert contrast.difference == pytest.approx(0, abs=1e-9)
    assert contrast.p == pytest.approx(1)


def test_crops_of_one_photo_are_no_further_evidence() -> None:
    rng = np.random.default_rng(5)
    one_photo = [
        each.model_copy(update={"image": f"a.png#{each.image.rpartition(' ')[2]}"})
        for each in study(rng)
    ]
    assert strengths(one_photo)["a"].interval is None


def test_repeats_do_not_count() -> None:
    made = study(np.random.default_rng(2))
    again = [each.model_copy(update={"repeat": True, "choice": "left"}) for each in made]
    assert strengths([*made, *again]) == strengths(made)


def test_sides_do_not_matter() -> None:
    made = study(np.random.default_rng(3))
    swap = {"left": "right", "right": "left", "same": "same"}
    turned = [
        each.model_copy(
            update={"left": each.right, "right": each.left, "choice": swap[each.choice]}
        )
        for each in made
    ]
    for name, each in strengths(turned).items():
        assert each.strength == pytest.approx(strengths(made)[name].strength)


@pytest.mark.slow(group="parts")
@pytest.mark.parametrize(("taste", "most"), [(0.3, 0.97), (0.0, 0.99)])
def test_intervals_hold_strengths_and_their_differences_in_95_percent_of_studies(
    taste: float, most: float
) -> None:
    """In more where everybody has the same taste, which is not so of people."""
    found = pair_coverage(taste)
    assert 0.93 <= found.of_scores <= most, found
    assert 0.93 <= found.of_differences <= most, found
