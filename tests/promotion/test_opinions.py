"""Mean opinion scores: files of ratings, and the comparison of two versions."""

import json

import pytest

from srgan.config import GateConfig
from srgan.errors import DataError
from srgan.promotion.gate import verdict_of
from srgan.promotion.opinions import (
    Study,
    compare_opinions,
    keep_study,
    opinions,
    parse_ratings,
    read_studies,
)
from srgan.services.s3 import S3Store
from tests.support.reports import pixels

CSV = """version,image,rater,score
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
        ("a.csv", "version,image,rater,score\nx,a.png,ann,3\n", "line 2: version"),
        ("a.csv", "version,image,rater,score\n1,a.png,ann,3,4\n", "line 2: more"),
        ("a.csv", "image,score\na.png,3\n", "line 2: version field required; rater"),
        ("a.csv", CSV + "2,lenna.png,bob,2\n", "line 9: bob has rated lenna.png of version 2"),
        ("a.csv", "version,image,rater,score\n", "holds no ratings"),
        ("a.json", '{"1": {"a.png": {"ann": 3.5}}}', "1 → a.png → ann: score"),
        ("a.json", '{"1": {"a.png": [3, 4]}}', "does not map version → image → rater → score"),
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
    assert found[1].mean == pytest.approx(3.0)
    assert (found[2].num_images, found[2].num_raters) == (2, 2)
    interval = found[2].interval
    assert interval is not None
    assert interval.low <= 3.0 <= interval.high


def test_two_versions_are_compared_by_those_who_rated_both_on_the_same_image() -> None:
    found = compare_opinions({"s": study()}, 2, 1)
    assert found is not None
    assert (found.challenger, found.champion) == (pytest.approx(11 / 3), pytest.approx(3.0))
    assert (found.num_images, found.num_raters) == (2, 2)
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(2 / 3)
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


def test_the_gate_refuses_a_version_that_people_like_less_and_says_so() -> None:
    figures = pixels(bicubic=28.0, model=28.7, champion=28.5)
    better = compare_opinions({"s": study()}, 2, 1)
    verdict = verdict_of(figures, GateConfig(), challenger=2, champion=1, opinion=better)
    assert verdict.promoted
    assert verdict.rule.endswith("; mean opinion score not lower than the champion's")
    assert "mean opinion score 3.67 is not lower than champion version 1's 3.00" in verdict.reason
    worse = compare_opinions({"s": study()}, 1, 2)
    verdict = verdict_of(figures, GateConfig(), challenger=2, champion=1, opinion=worse)
    assert not verdict.promoted
    assert verdict.reason.startswith(
        "Version 2 is refused: mean opinion score 3.00 is lower than champion version 1's 3.67 "
        "(2 raters on 2 images, 95 % interval -1.00 to +0.00)"
    )
    lenient = GateConfig(max_mos_loss=0.7)
    assert verdict_of(figures, lenient, challenger=2, champion=1, opinion=worse).promoted
