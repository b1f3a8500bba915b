"""Files of ratings and of pair comparisons."""

from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srgan.errors import DataError
from srgan.mos.ratings import (
    Preference,
    Rating,
    holds_preferences,
    parse_preferences,
    parse_ratings,
)
from srgan.studies.export import exported
from tests.support.studies import design_by_hand

CSV = """method,image,rater,score
1,baboon.png,ann,3
2,lenna.png,bob,1
"""
PAIRS = """image,rater,left,right,choice
baboon.png,ann,1,bicubic,left
baboon.png,bob,bicubic,1,same
"""


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.csv", "version,image,rater,score\n1,a.png,ann,6\n", "line 2: score .* less than or"),
        ("a.csv", "version,image,rater,score\n1,a.png,ann,0\n", "line 2: score"),
        ("a.csv", "method,image,rater,score\n ,a.png,ann,3\n", "line 2: method"),
        ("a.csv", "version,image,rater,score\n1,a.png,ann,3,4\n", "line 2: more"),
        ("a.csv", "image,score\na.png,3\n", "line 2: method field required; rater"),
        ("a.csv", CSV + "2,lenna.png,bob,2\n", "line 4: bob has rated lenna.png of 2 before"),
        ("a.csv", "version,image,rater,score\n", "holds no ratings"),
        ("a.csv", "method,image,rater,score,seconds\n1,a,ann,3,-1\n", "line 2: seconds"),
        ("a.csv", "method,image,rater,score,repeat\n1,a,ann,3,twice\n", "line 2: repeat"),
        ("a.json", '{"1": {"a.png": {"ann": 3.5}}}', "1 → a.png → ann: score"),
        ("a.json", '{"1": {"a.png": [3, 4]}}', "does not map method → image → rater → score"),
        ("a.json", "3,4", "not valid UTF-8 JSON"),
        ("a.csv", "\xff", "holds no ratings"),
        ("a.csv", CSV + f"2,{'x' * 2**17}.png,bob,2\n", "line 4: not valid CSV: field larger"),
    ],
)
def test_an_invalid_rating_is_named_by_its_place(name: str, text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=f"{name}.*{complaint}"):
        parse_ratings(name, text.encode())


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_lines_end_as_excel_ends_them_on_any_machine(end: str) -> None:
    ratings, pairs = (text.replace("\n", end).encode() for text in (CSV, PAIRS))
    assert not holds_preferences("a.csv", ratings)
    assert parse_ratings("a.csv", ratings) == parse_ratings("a.csv", CSV.encode())
    assert holds_preferences("p.csv", pairs)
    assert parse_preferences("p.csv", pairs) == parse_preferences("p.csv", PAIRS.encode())
    with pytest.raises(DataError, match=r"a\.csv, line 4: score"):
        parse_ratings("a.csv", ratings + b"1,c.png,ann,9")


def test_a_header_that_is_not_csv_is_named() -> None:
    with pytest.raises(DataError, match=r"p\.csv, line 1: not valid CSV: field larger"):
        holds_preferences("p.csv", b"x" * (2**17 + 1) + b",choice\n")


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(DataError, match="not valid UTF-8"):
        parse_ratings("a.csv", b"\xff\xfe\x00version")


def test_seconds_and_repeats_are_read_where_they_are_given() -> None:
    text = "method,image,rater,score,seconds,repeat\n1,a,ann,3,2.5,\n1,a,ann,4,,true\n1,b,ann,4\n"
    assert parse_ratings("a.csv", text.encode()) == [
        Rating(method="1", image="a", rater="ann", score=3, seconds=2.5),
        Rating(method="1", image="a", rater="ann", score=4, repeat=True),
        Rating(method="1", image="b", rater="ann", score=4),
    ]


def test_a_parquet_file_holds_the_same_as_a_csv() -> None:
    design = design_by_hand(num_images=2)
    ratings = [
        Rating(method="nearest", image="photos/0.png", rater="ann", score=3, seconds=2.5),
        Rating(method="plain", image="photos/0.png", rater="ann", score=4, repeat=True),
    ]
    table = exported(design, ratings, "r.parquet")
    assert parse_ratings("r.parquet", table) == ratings
    assert not holds_preferences("r.parquet", table)
    pairs = parse_preferences("p.csv", PAIRS.encode())
    duel = design.model_copy(update={"judging": "pairs"})
    table = exported(duel, pairs, "p.parquet")
    assert holds_preferences("p.parquet", table)
    assert parse_preferences("p.parquet", table) == pairs


def test_a_small_parquet_file_of_very_many_rows_is_refused() -> None:
    target = BytesIO()
    table = pa.table({"score": pa.repeat(pa.scalar(3), 400_000)})
    pq.write_table(table, target)
    with pytest.raises(DataError, match=r"r\.parquet has .* and unpacks to more than 16\.0 MB"):
        parse_ratings("r.parquet", target.getvalue())


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": {"b": {"c": ' + "1" * 5_000 + "}}}"])
def test_json_that_python_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"r\.json is not valid UTF-8 JSON"):
        parse_ratings("r.json", text.encode())


def test_a_parquet_file_that_is_none_or_is_wrong_is_refused_by_row() -> None:
    with pytest.raises(DataError, match=r"r\.parquet is not a valid Parquet file"):
        parse_ratings("r.parquet", b"PAR1")
    design = design_by_hand(num_images=1)
    rating = Rating(method="plain", image="a", rater="ann", score=4)
    table = exported(design, [rating, rating], "r.parquet")
    with pytest.raises(DataError, match=r"r\.parquet, row 2: ann has rated a of plain before"):
        parse_ratings("r.parquet", table)


def test_pair_comparisons_are_read() -> None:
    assert parse_preferences("p.csv", PAIRS.encode()) == [
        Preference(image="baboon.png", rater="ann", left="1", right="bicubic", choice="left"),
        Preference(image="baboon.png", rater="bob", left="bicubic", right="1", choice="same"),
    ]
    assert holds_preferences("p.csv", PAIRS.encode())
    assert not holds_preferences("a.csv", CSV.encode())


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("baboon.png,ann,bicubic,1,right", "line 4: ann has compared bicubic and 1 on baboon.png"),
        ("baboon.png,eve,1,1,left", "line 4: pair .* left and right are both 1"),
        ("baboon.png,eve,1,2,both", "line 4: choice"),
    ],
)
def test_an_invalid_choice_is_named_by_its_line(row: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        parse_preferences("p.csv", f"{PAIRS}{row}\n".encode())
