"""Files for other programs."""

import io
import json

import pyarrow.parquet as pq
import pytest

from srgan.errors import ConfigError
from srgan.mos.ratings import Preference, Rating, parse_preferences, parse_ratings
from srgan.studies.export import exported
from tests.support.studies import design_by_hand

STUDY = design_by_hand(num_images=2)
RATINGS = [
    Rating(method="nearest", image="photos/0.png", rater="r1", score=1, seconds=1.25),
    Rating(method="original", image="photos/0.png", rater="r1", score=5, seconds=2.0),
    Rating(method="nearest", image="photos/0.png", rater="r1", score=2, repeat=True),
    Rating(method="nearest", image="photos/0.png", rater="r2", score=2),
]
CHOICES = [
    Preference(image="photos/0.png", rater="r1", left="a", right="b", choice="same", seconds=3.0),
    Preference(image="photos/0.png", rater="r1", left="b", right="a", choice="left", repeat=True),
]


def test_csv_is_what_the_analysis_reads() -> None:
    assert parse_ratings("r.csv", exported(STUDY, RATINGS, "r.csv")) == RATINGS
    pairs = design_by_hand(judging="pairs")
    assert parse_preferences("p.csv", exported(pairs, CHOICES, "p.csv")) == CHOICES


def test_parquet_has_the_same_rows() -> None:
    table = pq.read_table(io.BytesIO(exported(STUDY, RATINGS, "ratings.PARQUET")))
    assert [Rating.model_validate(row) for row in table.to_pylist()] == RATINGS


def test_sureal_gets_each_rated_picture_with_the_score_of_each_rater() -> None:
    data = json.loads(exported(STUDY, RATINGS, "study.json"))
    assert [each["content_name"] for each in data["ref_videos"]] == ["photos/0.png", "photos/1.png"]
    assert [(e["content_id"], e["asset_id"], e["os"]) for e in data["dis_videos"]] == [
        (0, 0, {"r1": 1, "r2": 2}),
        (0, 1, {"r1": 5}),
    ]
    with pytest.raises(ConfigError, match="holds ratings only"):
        exported(design_by_hand(judging="pairs"), CHOICES, "study.json")


def test_another_suffix_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one of the suffixes .csv, .parquet, .json"):
        exported(STUDY, RATINGS, "ratings.xlsx")
