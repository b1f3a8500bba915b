"""The sentence: which comparisons are made, their intervals, and what it takes to prove it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.quality.claim_section import claim_section
from benchmarks.quality.claims import Claims, Difference, compare, make_claims, seeds_factor
from benchmarks.quality.measuring import Row
from srgan.config.networks import FeatureNetwork
from srgan.measure.intervals import half_width

JUDGE, TEACHER, SHOWN_ONLY = "squeezenet_distance", "vgg16_st_distance", "stlpips_alex"
PHOTOS = 8


def row(
    title: str,
    means: dict[str, float],
    *teachers: FeatureNetwork,
    num_photos: int = PHOTOS,
    num_seeds: int = 3,
) -> Row:
    """A network with these means, and with a little noise of its photos and seeds."""
    random = np.random.default_rng(len(title))
    seeds = [
        {
            "Set5": {
                f"{photo}": {
                    name: value + 0.01 * float(random.standard_normal())
                    for name, value in means.items()
                }
                for photo in range(num_photos)
            }
        }
        for _ in range(num_seeds)
    ]
    return Row(title, seeds, frozenset(teachers))


def figures(psnr: float, judge: float) -> dict[str, float]:
    return {"psnr": psnr, "ssim": 0.8, JUDGE: judge, TEACHER: 1.0, SHOWN_ONLY: 0.3}


def claims(vgg: dict[str, float], *, num_seeds: int = 3, num_photos: int = PHOTOS) -> Claims:
    """Two networks with VGG's loss against MSE's and the start, which have PSNR 30, distance 2."""
    size = {"num_seeds": num_seeds, "num_photos": num_photos}
    start = row("start", figures(30, 2), num_photos=num_photos, num_seeds=1)
    others = [row(title, vgg, "vgg16_st", **size) for title in ("SRGAN-VGG16-22", "SRGAN-VGG16-53")]
    rows = [start, row("SRGAN-MSE", figures(30, 2), **size), *others]
    return make_claims(rows, start, own_pictures(num_photos))


def own_pictures(num_photos: int = PHOTOS) -> dict[str, str]:
    """Images that show different pictures."""
    return {f"Set5/{photo}": f"Set5/{photo}" for photo in range(num_photos)}


def of(found: Claims, figure: str) -> list[Difference]:
    return [each for each in found.of_sentence if each.figure == figure]


def test_the_sentence_is_proven_if_judges_are_better_and_psnr_is_worse() -> None:
    found = claims(figures(29, 1))
    assert found.outcome == "proven"
    assert {each.verdict for each in of(found, JUDGE)} == {"better"}
    assert {each.verdict for each in of(found, "psnr")} == {"worse"}
    assert of(found, JUDGE)[0].mean == pytest.approx(-1, abs=0.01)
    assert "**Proven here" in claim_section(found, 3)


@pytest.mark.parametrize(
    ("vgg", "contrary"), [(figures(29, 3), "SqueezeNet distance"), (figures(31, 1), "PSNR")]
)
def test_the_sentence_is_refuted_if_one_figure_says_the_contrary(
    vgg: dict[str, float], contrary: str
) -> None:
    found = claims(vgg)
    assert found.outcome == "refuted"
    text = claim_section(found, 3)
    assert "**Refuted here.**" in text
    assert f"by {contrary} (" in text
    assert "SRGAN-VGG16-53: refuted." in text


def test_without_a_difference_the_sentence_is_open() -> None:
    assert claims(figures(30, 2)).outcome == "open"


def test_one_seed_proves_nothing_and_neither_do_five_photos() -> None:
    single = claims(figures(29, 1), num_seeds=1)
    assert single.outcome == "open"
    assert {each.over_seeds for each in single.of_sentence} == {None}
    assert {each.over_both for each in single.of_sentence} == {None}
    assert "everything is open" in claim_section(single, 1)
    few = claims(figures(29, 1), num_photos=5)
    assert few.outcome == "open"
    assert {each.over_photos for each in few.of_sentence} == {None}


def test_a_missing_network_leaves_the_sentence_open_and_is_named() -> None:
    start = row("start", figures(30, 2), num_seeds=1)
    rows = [start, row("SRGAN-VGG16-22", figures(29, 1), "vgg16_st")]
    found = make_claims(rows, start, own_pictures())
    assert found.missing == ["SRGAN-VGG16-53", "SRGAN-MSE"]
    assert found.outcome == "open"
    assert "SRGAN-VGG16-53, SRGAN-MSE are missing" in claim_section(found, 3)


def test_judges_that_taught_are_left_out_and_those_that_only_stand_beside_do_not_count() -> None:
    found = claims(figures(29, 1) | {SHOWN_ONLY: 0.9})
    assert not of(found, TEACHER)
    assert not of(found, "ssim")
    assert {each.verdict for each in of(found, SHOWN_ONLY)} == {"worse"}
    assert found.outcome == "proven", "a judge that ranks nearest above bicubic refutes nothing"


def test_each_interval_is_as_wide_as_the_number_of_comparisons_asks_for() -> None:
    found = claims(figures(29, 1))
    # Two networks against two, by two judges that did not teach and by PSNR.
    assert found.number == 12
    assert found.confidence == pytest.approx(1 - 0.05 / 12)
    (first, *_) = of(found, "psnr")
    assert first.over_seeds is not None
    assert first.over_photos is not None
    assert first.over_seeds.high - first.over_seeds.low > 0
    assert first.over_photos.mean == pytest.approx(first.mean)
    assert "of 99.58 %" in claim_section(found, 3)


def test_two_images_of_one_picture_count_as_one() -> None:
    start = row("start", figures(30, 2), num_seeds=1)
    rows = [start, row("SRGAN-MSE", figures(29, 1))]
    for each in rows:  # Set14 has photo 0 of Set5 again, and one more
        for sets in each.seeds:
            sets["Set14"] = {"again": sets["Set5"]["0"], "other": sets["Set5"]["7"]}
    pair = [rows[1], replace(rows[1], title="SRGAN-VGG16-22", seeds=start.seeds * 3)]
    pictures = own_pictures() | {"Set14/again": "Set5/0", "Set14/other": "Set14/other"}
    found = make_claims(pair, None, pictures)
    assert found.num_photos == PHOTOS + 1
    assert found.repeated == {"Set14/again": "Set5/0"}
    assert "(Set14/again shows what Set5/0 shows: such images count as one)" in claim_section(
        found, 3
    )
    alone = {name: pictures[name] for name in pictures if name != "Set14/again"}
    for each in pair:
        for sets in each.seeds:
            sets["Set14"].pop("again", None)
    without = make_claims(pair, None, alone)
    assert without.of_sentence, "there is something to compare"
    for one, other in zip(found.of_sentence, without.of_sentence, strict=True):
        assert one.mean == pytest.approx(other.mean)
        assert one.over_photos is not None
        assert other.over_photos is not None
        assert one.over_photos.low == pytest.approx(other.over_photos.low)
        assert one.over_seeds is not None
        assert other.over_seeds is not None
        assert one.over_seeds.low == pytest.approx(other.over_seeds.low)


def test_the_adversarial_term_is_a_comparison_of_its_own() -> None:
    start = row("start", figures(30, 2), num_seeds=1)
    pair = [row("SRGAN-MSE", figures(29, 1)), row("MSE alone", figures(30, 2))]
    found = make_claims([start, *pair], start, own_pictures())
    assert [each.figure for each in found.of_term] == [JUDGE, TEACHER, SHOWN_ONLY, "psnr"]
    assert found.of_term[0].verdict == "better"
    assert "### What the adversarial term does" in claim_section(found, 3)


def test_networks_that_do_not_differ_are_seldom_called_different() -> None:
    """Chance is as large between seeds as between photos; 5 % may err in all comparisons."""
    wrong = 0
    random = np.random.default_rng(0)
    for _ in range(200):
        by_title = {}
        for title in ("start", "SRGAN-MSE", "SRGAN-VGG16-22"):
            values = 2 + random.standard_normal((3, 1)) + random.standard_normal((3, PHOTOS))
            by_title[title] = measured(title, values)
        found = make_claims(list(by_title.values()), by_title["start"], own_pictures())
        wrong += any(each.verdict != "open" for each in found.of_sentence)
    assert wrong <= 10


@pytest.mark.parametrize("num_seeds", [3, 10])
def test_one_comparison_errs_in_at_most_6_percent_where_photos_and_seeds_differ_by_chance(
    num_seeds: int,
) -> None:
    """Two intervals of 95 % that must both exclude zero err in 10 % of them with 10 seeds."""
    random = np.random.default_rng(num_seeds)
    wrong = 0
    num_trials, num_photos = 1000, 18
    pictures = own_pictures(num_photos)
    for _ in range(num_trials):
        by_seed = random.standard_normal((num_seeds, 1)) * num_seeds**0.5
        by_photo = random.standard_normal(num_photos) * num_photos**0.5
        one = measured("one", by_seed + by_photo)
        other = measured("other", np.zeros((num_seeds, num_photos)))
        (*_, found) = compare(one, other, pictures, 0.95)
        wrong += found.verdict != "open"
    assert 0 < wrong / num_trials <= 0.06


def measured(title: str, values: NDArray[np.float64]) -> Row:
    """A network with these values of (seeds, photos) by PSNR and a judge."""
    seeds = [
        {"Set5": {str(photo): {"psnr": v, JUDGE: v} for photo, v in enumerate(each)}}
        for each in values.tolist()
    ]
    return Row(title, seeds)


def test_the_page_says_how_large_a_difference_three_seeds_can_show() -> None:
    values = np.array([1.0, 2.0, 3.0])  # their standard deviation is 1
    assert seeds_factor(3, 0.95) == pytest.approx(float(half_width(values, 0.95)))
    assert seeds_factor(3, 0.95) == pytest.approx(4.303 / 3**0.5, rel=1e-3)
