"""Mean opinion scores, their intervals, and which methods differ."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks.mos.claims import coverage, paper_study
from benchmarks.mos.crowd import NARROW, PAPER, Crowd, columns
from srgan.mos.columns import columns_of
from srgan.mos.ratings import Rating
from srgan.mos.scores import contrasts, holm, opinions, opinions_of


def rating(method: str, image: object, rater: object, score: int, repeat: bool = False) -> Rating:
    return Rating(method=method, image=str(image), rater=str(rater), score=score, repeat=repeat)


def test_a_method_has_a_mean_with_an_interval_and_its_distribution() -> None:
    ratings = [
        rating("2", i, r, 4 + (i % 3 == r % 3) * (-1) ** r) for i in range(6) for r in range(4)
    ]
    found = opinions(ratings)["2"]
    assert found.mean == pytest.approx(4.0)
    assert found.interval is not None
    assert found.interval.low < 4.0 < found.interval.high
    assert (found.num_images, found.num_raters, found.counts) == (6, 4, (0, 0, 4, 16, 4))


def test_fewer_than_three_raters_have_no_interval() -> None:
    ratings = [rating("2", i, r, 4) for i in range(20) for r in range(2)]
    assert opinions(ratings)["2"].interval is None


def test_crops_of_a_photo_count_as_one_photo() -> None:
    """Four photos in six crops each: no interval; their 24 images would be enough for one."""
    four = [
        rating(method, f"{photo}.png#{crop}", r, 2 + (method == "b") + (photo + r) % 2)
        for method in "ab"
        for photo in range(4)
        for crop in range(6)
        for r in range(4)
    ]
    found = opinions(four)["a"]
    assert (found.interval, found.num_images) == (None, 24)
    (contrast,) = contrasts(columns_of(four))
    assert contrast.interval is None
    assert contrast.p == pytest.approx(2 / 2**4), "four photos, all with one sign"


def test_equal_scores_are_no_certainty() -> None:
    found = opinions([rating("2", i, r, 4) for i in range(6) for r in range(3)])["2"].interval
    assert found is not None
    half = 4.302653 * (1 / 12 / 18) ** 0.5
    assert (found.low, found.high) == (pytest.approx(4 - half), pytest.approx(4 + half))


def test_anchors_come_first_then_names_then_versions_by_number() -> None:
    ratings = [rating(name, "a", "ann", 3) for name in ("10", "2", "ours", "original", "nearest")]
    assert list(opinions(ratings)) == ["nearest", "original", "ours", "2", "10"]


def test_a_repeat_is_not_a_second_rating() -> None:
    found = opinions([rating("1", "a", "ann", 5), rating("1", "a", "ann", 1, repeat=True)])["1"]
    assert (found.mean, sum(found.counts)) == (5.0, 1)


def test_the_larger_number_of_a_pair_is_positive_and_clear_where_everybody_sees_it() -> None:
    rng = np.random.default_rng(0)
    scores = Crowd({"a": 2.0, "b": 3.0, "c": 3.0}, taste=0, images_of_methods=0).rate(
        rng, Crowd({"a": 2.0, "b": 3.0, "c": 3.0}).stimuli(rng, 20), 15
    )[0]
    found = {(each.first, each.second): each for each in contrasts(columns(scores, "abc"))}
    assert found["a", "b"].difference < -0.5
    assert found["a", "b"].p < 0.01
    assert found["b", "c"].p > 0.05


def test_a_difference_that_only_one_of_twenty_raters_sees_reaches_0() -> None:
    ratings = [
        rating(method, image, rater, 3 + (method == "b" and rater == 0))
        for method in "ab"
        for image in range(20)
        for rater in range(20)
    ]
    (found,) = contrasts(columns_of(ratings))
    assert found.interval is not None
    assert found.interval.low < found.difference < 0 < found.interval.high


def test_methods_that_everybody_finds_equal_have_no_significant_difference() -> None:
    ratings = [rating(m, image, rater, 3) for m in "ab" for image in range(8) for rater in range(4)]
    (found,) = contrasts(columns_of(ratings))
    assert (found.difference, found.p) == (0, 1)


@pytest.mark.parametrize("values", [(1, 2, -3, 4, 5, 7), (1, 1, -1, 2, 2, 0, 3, -2)])
def test_few_images_have_the_exact_p_of_scipy_also_with_ties(values: tuple[int, ...]) -> None:
    ratings = [
        rating(method, image, rater, 3 + (method == "a") * sign)
        for image, value in enumerate(values)
        for rater in range(8)
        for sign in [int(np.sign(value)) * (rater < abs(value))]
        for method in "ab"
    ]
    (found,) = contrasts(columns_of(ratings))
    assert found.p == pytest.approx(float(wilcoxon(values).pvalue))


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_methods_that_nobody_rated_together_have_no_contrast() -> None:
    assert contrasts(columns_of([rating("a", 1, "ann", 3), rating("b", 2, "ann", 3)])) == []


@pytest.mark.slow(group="parts")
@pytest.mark.parametrize(
    ("crowd", "num_images", "num_raters", "rated"),
    [
        (Crowd(), 20, 26, 1.0),
        (Crowd(), 40, 26, 0.5),
        (Crowd(NARROW), 20, 15, 1.0),
    ],
)
def test_intervals_hold_the_truth_in_95_percent_of_500_studies(
    crowd: Crowd, num_images: int, num_raters: int, rated: float
) -> None:
    found = coverage(crowd, num_images, num_raters, rated=rated)
    assert found.of_scores == pytest.approx(0.95, abs=0.02)
    assert found.of_differences == pytest.approx(0.95, abs=0.02)


def test_the_papers_26_raters_tell_its_methods_apart() -> None:
    found = paper_study()
    assert {name: mean for name, (mean, _) in found.items()} == pytest.approx(PAPER, abs=0.3)
    assert all(0.05 < width < 0.6 for _, width in found.values())
    rng = np.random.default_rng(5)
    scores = Crowd(PAPER).rate(rng, Crowd(PAPER).stimuli(rng, 100), 26)[0]
    opinion = opinions_of(columns(scores, list(PAPER)))
    srgan, best_other = opinion["SRGAN"].interval, opinion["SRResNet"].interval
    assert srgan is not None
    assert best_other is not None
    assert srgan.low > best_other.high
