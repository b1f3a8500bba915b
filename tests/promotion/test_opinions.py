"""Mean opinion scores: files of ratings, and the comparison of two versions."""

import json

import pytest

from srgan.config import GateConfig
from srgan.errors import DataError
from srgan.promotion.gate import Verdict, verdict_of
from srgan.promotion.opinions import (
    OpinionPair,
    Study,
    compare_opinions,
    keep_study,
    opinions,
    parse_ratings,
    read_studies,
)
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


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.csv", "version,image,rater,score\n1,a.png,ann,6\n", "line 2: score .* less than or"),
        ("a.csv", "version,image,rater,score\n1,a.png,ann,0\n", "line 2: score"),
        ("a.csv", "method,image,rater,score\n ,a.png,ann,3\n", "line 2: method"),
        ("a.csv", "version,image,rater,score\n1,a.png,ann,3,4\n", "line 2: more"),
        ("a.csv", "image,score\na.png,3\n", "line 2: method field required; rater"),
        ("a.csv", CSV + "2,lenna.png,bob,2\n", "line 9: bob has rated lenna.png of 2 before"),
        ("a.csv", "version,image,rater,score\n", "holds no ratings"),
        ("a.json", '{"1": {"a.png": {"ann": 3.5}}}', "1 → a.png → ann: score"),
        ("a.json", '{"1": {"a.png": [3, 4]}}', "does not map method → image → rater → score"),
        ("a.json", "3,4", "not valid UTF-8 CSV/JSON"),
        ("a.csv", "\xff", "holds no ratings"),
    ],
)
def test_an_invalid_rating_is_named_by_its_place(name: str, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=f"{name}.*{complaint}"):
        parse_ratings(name, text.encode())


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(DataError, match="not valid UTF-8"):
        parse_ratings("a.csv", b"\xff\xfe\x00version")


def test_a_version_has_a_mean_with_an_interval() -> None:
    found = opinions(study())
    assert found["1"].mean == pytest.approx(3.0)
    assert (found["2"].num_images, found["2"].num_raters) == (2, 2)
    assert found["2"].interval is None, "two raters on two images are too few"
    interval = opinions(crowd(1))["2"].interval
    assert interval is not None
    assert interval.low <= 4.0 <= interval.high


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
    found = compare_opinions({"s": study()}, 2, 1)
    assert found is not None
    assert (found.challenger, found.champion) == (pytest.approx(11 / 3), pytest.approx(3.0))
    assert (found.num_images, found.num_raters) == (2, 2)
    assert found.difference is None
    assert compare_opinions({"s": study()}, 3, 1) is None


def test_ratings_of_different_studies_are_not_paired() -> None:
    first, second = (
        study(f"version,image,rater,score\n{version},a.png,ann,{score}\n")
        for version, score in ((1, 5), (2, 1))
    )
    assert compare_opinions({"a": first, "b": second}, 2, 1) is None
    both = compare_opinions({"a": study(), "b": study()}, 2, 1)
    assert both is not None
    assert (both.num_images, both.num_raters) == (4, 4), (
        "raters of one name in two studies are two people"
    )


FIGURES = {"bicubic": 28.0, "model": 28.7, "champion": 28.5}


def decided(found: OpinionPair | None, gate: GateConfig | None = None) -> Verdict:
    return verdict_of(
        pixels(**FIGURES), gate or GateConfig(), challenger=2, champion=1, opinion=found
    )


def test_the_gate_refuses_a_version_that_people_like_less_and_says_so() -> None:
    verdict = decided(compare_opinions({"s": crowd(1)}, 2, 1))
    assert verdict.promoted
    assert "mean opinion score at most 0.50 below the champion's with its whole" in verdict.rule
    assert "mean opinion score 4.00 is not more than 0.50 below champion version 1's 3.00" in (
        verdict.reason
    )
    verdict = decided(compare_opinions({"s": crowd(-1)}, 2, 1))
    assert not verdict.promoted
    assert verdict.reason == (
        "Version 2 is refused: mean opinion score 2.00 is more than 0.50 below champion version "
        "1's 3.00 (4 raters on 6 images, 95 % interval of the difference −1.00 to −1.00)."
    )
    assert decided(compare_opinions({"s": crowd(-1)}, 2, 1), GateConfig(max_mos_loss=1.5)).promoted


def test_few_ratings_neither_refuse_nor_help_whatever_they_say() -> None:
    one = study("method,image,rater,score\n1,a.png,ann,5\n2,a.png,ann,1\n")
    verdict = decided(compare_opinions({"s": one}, 2, 1))
    assert verdict.promoted
    assert (
        "mean opinion scores do not count yet: both versions were rated by 1 raters on 1 images"
        in verdict.reason
    )
    assert decided(compare_opinions({"s": crowd(-1, num_raters=2)}, 2, 1)).promoted


def test_a_loss_that_the_interval_does_not_rule_out_refuses() -> None:
    """Equal means, but four people disagree by two points."""
    rows = [
        f"{version},{image}.png,{rater},{3 + (version == 2) * (-1) ** rater}"
        for version in (1, 2)
        for image in range(6)
        for rater in range(4)
    ]
    found = compare_opinions({"s": study("\n".join(["method,image,rater,score", *rows]))}, 2, 1)
    verdict = decided(found)
    assert not verdict.promoted
    assert "mean opinion score 3.00 may be more than 0.50 below" in verdict.reason


def test_anchors_and_other_methods_are_rated_by_name_and_shown_before_the_versions() -> None:
    text = "method,image,rater,score\n" + "".join(
        f"{method},a.png,ann,{score}\n"
        for method, score in (("10", 4), ("2", 3), ("theirs", 4), ("original", 5), ("nearest", 1))
    )
    found = study(text)
    assert list(opinions(found)) == ["nearest", "original", "theirs", "2", "10"]
    assert found.versions == {2, 10}


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
