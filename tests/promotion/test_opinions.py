"""Mean opinion scores: files of ratings, and the comparison of two versions."""

import json

import pytest

from srgan.config import GateConfig
from srgan.mos.ratings import parse_ratings
from srgan.promotion.gate import Verdict, verdict_of
from srgan.promotion.opinions import (
    OpinionPair,
    Study,
    compare_opinions,
    keep_study,
    parts_of_others,
    read_studies,
)
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from tests.support.reports import pixels

CSV = """method,image,rater,score
1,baboon.png,ann,3
1,baboon.png,bob,2
1,lenna.png,ann,4
2,baboon.png,ann,4
2,baboon.png,bob,2
2,lenna.png,ann,5
2,lenna.png,bob,1
"""
NESTED = {
    "1": {"baboon.png": {"ann": 3, "bob": 2}, "lenna.png": {"ann": 4}},
    "2": {"baboon.png": {"ann": 4, "bob": 2}, "lenna.png": {"ann": 5, "bob": 1}},
}


ONE, TWO, THREE = (
    ModelRef(name="m", version=n, run=f"run-{n}", weights_digest=str(n)) for n in (1, 2, 3)
)


def study(text: str = CSV, name: str = "a.csv") -> Study:
    return Study(model="m", source=name, ratings=tuple(parse_ratings(name, text.encode())))


def test_a_table_and_a_mapping_hold_the_same_ratings(object_store: S3Store) -> None:
    table = parse_ratings("a.csv", CSV.encode())
    mapping = parse_ratings("a.json", json.dumps(NESTED).encode())
    assert sorted(table, key=str) == sorted(mapping, key=str)
    assert len(table) == 7
    key = keep_study(object_store, "m", "a.csv", table)
    assert keep_study(object_store, "m", "a.json", reversed(mapping)) == key, "once"
    assert list(read_studies(object_store, "m")) == [key]
    assert read_studies(object_store, "n") == {}


def crowd(gain: int, num_raters: int = 4) -> Study:
    """Everybody gives version 1 three points on each of six images, and version 2 `gain` more.

    On one image in three each has an opinion of his own, up or down.
    """
    rows = [
        f"{version},{image}.png,{rater},{score + (image % 3 == rater % 3) * (-1) ** rater}"
        for version, score in ((1, 3), (2, 3 + gain))
        for image in range(6)
        for rater in range(num_raters)
    ]
    return study("\n".join(["method,image,rater,score", *rows]))


def test_two_versions_are_compared_by_those_who_rated_both_on_the_same_image() -> None:
    found = compare_opinions({"s": study()}, TWO, ONE)
    assert found is not None
    assert (found.challenger, found.champion) == (pytest.approx(11 / 3), pytest.approx(3.0))
    assert (found.num_images, found.num_raters) == (2, 2)
    assert found.difference is None
    assert compare_opinions({"s": study()}, THREE, ONE) is None


def test_people_s_opinion_is_of_the_weights_that_they_saw(object_store: S3Store) -> None:
    keep_study(object_store, "m", "a.csv", study().ratings, [ONE, TWO, THREE])
    studies = read_studies(object_store, "m")
    (kept,) = studies.values()
    assert kept.weights == {"1": "1", "2": "2"}
    assert compare_opinions(studies, TWO, ONE) is not None
    other = TWO.model_copy(update={"weights_digest": "other"})
    assert compare_opinions(studies, other, ONE) is None, "it was registered under an old number"
    assert compare_opinions({"s": study()}, other, ONE) is not None, "earlier releases kept none"


def test_ratings_of_different_studies_are_not_paired() -> None:
    first, second = (
        study(f"version,image,rater,score\n{version},a.png,ann,{score}\n")
        for version, score in ((1, 5), (2, 1))
    )
    assert compare_opinions({"a": first, "b": second}, TWO, ONE) is None
    both = compare_opinions({"a": study(), "b": study()}, TWO, ONE)
    assert both is not None
    assert both.num_raters == 4, "raters of one name in two studies are two people"
    assert both.num_images == 2, "a photo is the same one in both"


FIGURES = {"bicubic": 28.0, "model": 28.7, "champion": 28.5}


def decided(found: OpinionPair | None, gate: GateConfig | None = None) -> Verdict:
    return verdict_of(
        pixels(**FIGURES), gate or GateConfig(), challenger=2, champion=1, opinion=found
    )


def test_the_gate_refuses_a_version_that_people_like_less_and_says_so() -> None:
    verdict = decided(compare_opinions({"s": crowd(1)}, TWO, ONE))
    assert verdict.promoted
    assert "mean opinion score at most 0.50 below the champion's with its whole" in verdict.rule
    assert "mean opinion score 4.00 is not more than 0.50 below champion version 1's 3.00" in (
        verdict.reason
    )
    verdict = decided(compare_opinions({"s": crowd(-1)}, TWO, ONE))
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: mean opinion score 2.00 is more than 0.50 below champion version "
        "1's 3.00 (4 raters on 6 images, 95 % interval of the difference −1.19 to −0.81)."
    )
    assert decided(
        compare_opinions({"s": crowd(-1)}, TWO, ONE), GateConfig(max_mos_loss=1.5)
    ).promoted


def test_few_ratings_neither_refuse_nor_help_whatever_they_say() -> None:
    one = study("method,image,rater,score\n1,a.png,ann,5\n2,a.png,ann,1\n")
    verdict = decided(compare_opinions({"s": one}, TWO, ONE))
    assert verdict.promoted
    assert (
        "mean opinion scores do not count yet: both versions were rated by 1 raters on 1 images"
        in verdict.reason
    )
    assert decided(compare_opinions({"s": crowd(-1, num_raters=2)}, TWO, ONE)).promoted


def test_a_loss_that_the_interval_does_not_rule_out_refuses() -> None:
    """Equal means, but four people disagree by two points."""
    rows = [
        f"{version},{image}.png,{rater},{3 + (version == 2) * (-1) ** rater}"
        for version in (1, 2)
        for image in range(6)
        for rater in range(4)
    ]
    found = compare_opinions({"s": study("\n".join(["method,image,rater,score", *rows]))}, TWO, ONE)
    verdict = decided(found)
    assert not verdict.promoted
    assert "mean opinion score 3.00 may be more than 0.50 below" in verdict.reason


def test_a_photo_of_several_studies_is_one_photo() -> None:
    """Four studies of the same six photos know nothing of other photos that one does not."""
    rows = [
        f"{version},{image}.png,{rater},{3 + (version == 2) * (-1) ** image}"
        for version in (1, 2)
        for image in range(6)
        for rater in range(8)
    ]
    once = study("\n".join(["method,image,rater,score", *rows]))
    one, four = (compare_opinions({str(n): once for n in range(k)}, TWO, ONE) for k in (1, 4))
    assert one is not None
    assert four is not None
    assert (one.num_images, four.num_images, four.num_raters) == (6, 6, 32)
    assert one.difference is not None
    assert four.difference is not None
    # The part of the photos stays; Student's t has 5 degrees of freedom in both.
    assert four.difference.high == pytest.approx(one.difference.high, rel=0.01)


def test_a_study_knows_the_versions_that_it_rates() -> None:
    text = "method,image,rater,score\n" + "".join(
        f"{method},a.png,ann,3\n" for method in ("10", "2", "theirs", "original")
    )
    assert study(text).versions == {2, 10}


def test_a_study_of_an_earlier_release_is_read_and_not_counted_twice(
    object_store: S3Store,
) -> None:
    ratings = [
        {"version": int(each.method), "image": each.image, "rater": each.rater, "score": each.score}
        for each in study().ratings
    ]
    old = {"model": "m", "source": "a.csv", "ratings": ratings}
    object_store.put("mos/m/0123456789abcdef.json", json.dumps(old).encode())
    again = keep_study(object_store, "m", "a.csv", parse_ratings("a.csv", CSV.encode()))
    assert again == "mos/m/0123456789abcdef.json"
    assert len(read_studies(object_store, "m")) == 1
    of_version = CSV.replace("method,", "version,", 1)
    assert parse_ratings("a.csv", of_version.encode()) == parse_ratings("a.csv", CSV.encode())


def test_a_file_that_has_grown_counts_once(object_store: S3Store) -> None:
    """Two people are two people, however often the file with their ratings was imported."""
    two, three, four = (crowd(1, num_raters).ratings for num_raters in (2, 3, 4))
    keys = [keep_study(object_store, "m", "a.csv", ratings) for ratings in (two, three, four)]
    assert len(set(keys)) == 3, "what was imported is never changed"
    assert keep_study(object_store, "m", "b.csv", two) == keys[0]
    studies = read_studies(object_store, "m")
    assert parts_of_others(studies) == {keys[0]: keys[2], keys[1]: keys[2]}
    assert compare_opinions(studies, TWO, ONE) == compare_opinions(
        {keys[2]: studies[keys[2]]}, TWO, ONE
    )
    pair = compare_opinions({keys[0]: studies[keys[0]], keys[1]: studies[keys[1]]}, TWO, ONE)
    assert pair is not None
    assert pair.num_raters == 3


def test_an_earlier_state_of_a_file_is_not_kept_beside_the_later_one(object_store: S3Store) -> None:
    later = keep_study(object_store, "m", "a.csv", crowd(1, 4).ratings)
    assert keep_study(object_store, "m", "old.csv", crowd(1, 2).ratings) == later
    assert list(read_studies(object_store, "m")) == [later]


def test_a_careless_rater_does_not_help_a_worse_version() -> None:
    """Twelve people see that version 2 is a whole score worse; one gives everything a 3."""
    rows = [
        f"{version},{image}.png,{rater},{3 if rater == 0 else score + (image + rater) % 2}"
        for version, score in (("nearest", 1), (1, 3), (2, 2), ("original", 4))
        for image in range(10)
        for rater in range(12)
    ]
    found = compare_opinions({"s": study("\n".join(["method,image,rater,score", *rows]))}, TWO, ONE)
    assert found is not None
    assert (found.num_raters, found.num_rejected) == (11, 1)
    assert found.challenger - found.champion == pytest.approx(-1)
    verdict = decided(found)
    assert "11 raters on 10 images without 1 that screening rejected" in verdict.reason


def test_an_image_that_was_shown_again_does_not_count_twice() -> None:
    again = CSV.replace("score\n", "score,repeat\n") + "2,baboon.png,ann,1,true\n"
    assert compare_opinions({"s": study(again)}, TWO, ONE) == compare_opinions(
        {"s": study()}, TWO, ONE
    )
