"""Manifests: three kinds of files, one image in each row, and errors that say where."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srgan.bulk.sources import KeyList, listed_names
from srgan.errors import ConfigError, DataError

SOURCE = "s3://bucket/photos"
Write = Callable[[str, bytes], KeyList]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, data: bytes) -> KeyList:
        path = tmp_path / "downloaded"
        path.write_bytes(data)
        return KeyList(path, f"s3://bucket/{name}")

    return write


def parquet(tmp_path: Path, **columns: list[object]) -> KeyList:
    pq.write_table(pa.table(columns), tmp_path / "table")
    return KeyList(tmp_path / "table", "/lists/table.parquet")


def test_csv_names_images_in_its_column_key(write: Write) -> None:
    made = write(
        "a.csv",
        '\ufeffsize,key\n1,a.jpg\n2,"sub/b, c.png"\n\n3,s3://bucket/photos/ä.webp\n'.encode(),
    )
    assert list(listed_names(made, SOURCE)) == ["a.jpg", "sub/b, c.png", "ä.webp"]


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_lines_of_a_manifest_end_as_excel_ends_them_on_any_machine(
    write: Write, end: bytes
) -> None:
    made = write("a.csv", end.join([b"size,key", b"1,a.jpg", b'2,"sub/b, c.png"', b""]))
    assert list(listed_names(made, SOURCE)) == ["a.jpg", "sub/b, c.png"]
    with pytest.raises(DataError, match="line 3: not valid UTF-8"):
        list(listed_names(write("b.csv", end.join([b"key", b"a.jpg", b"\xff.jpg"])), SOURCE))
    made = write("a.jsonl", end.join([b'{"key": "a.jpg"}', b'"b.jpg"', b""]))
    assert list(listed_names(made, SOURCE)) == ["a.jpg", "b.jpg"]


def test_jsonl_holds_objects_or_plain_names(write: Write) -> None:
    made = write("a.JSONL", b'{"key": "a.jpg", "size": 3}\n\n"sub/b.png"\n')
    assert list(listed_names(made, f"{SOURCE}/")) == ["a.jpg", "sub/b.png"]


def test_parquet_names_images_in_its_column_key(tmp_path: Path) -> None:
    made = parquet(tmp_path, size=[1, 2], key=["a.jpg", "/mnt/photos/b.jpg"])
    assert list(listed_names(made, "/mnt/photos")) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"name\na.jpg\n", r"a\.csv, line 1: no column 'key' in the header \['name'\]"),
        ("a.csv", b"", "line 1: no column 'key'"),
        ("a.csv", b"n,key\n1,a.jpg\n2\n", "line 3: column 'key' holds None instead of a name"),
        ("a.csv", b"key,n\na.jpg,1\n,2\n", "line 3: column 'key' holds '' instead of a name"),
        ("a.csv", b'key\n"a.jpg\n', "line 2: not valid CSV: unexpected end of data"),
        ("a.csv", b"key\na.jpg\n\xff.jpg\n", "line 3: not valid UTF-8"),
        ("a.csv", b"key\ns3://other/a.jpg\n", r"line 2.*'s3://other/a\.jpg' is not below s3://buc"),
        ("a.jsonl", b'"a\\udce9.jpg"', r"line 1: column 'key': 'a\\udce9\.jpg' is not valid UTF-8"),
        ("a.csv", b"key\n/etc/a.jpg\n", r"line 2.*'/etc/a\.jpg' is not below"),
        ("a.jsonl", b'"a.jpg"\n{"key": "b.jpg"\n', "line 2, column 16: Expecting"),
        ("a.jsonl", b'{"name": "a.jpg"}\n', "line 1: column 'key' holds None instead of a name"),
        ("a.jsonl", b"[" * 100_000, "line 1: not a name: maximum recursion depth"),
        ("a.jsonl", b"1" * 5_000, "line 1: not a name: Exceeds the limit"),
        ("a.jsonl", b"[1]\n", r"line 1: column 'key' holds \[1\] instead of a name"),
        ("a.parquet", b"PAR1 no", r"the manifest s3://bucket/a\.parquet is not valid Parquet"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_column(
    write: Write, name: str, data: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(listed_names(write(name, data), SOURCE))


def test_a_wrong_row_of_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: column 'key' holds None instead of a name"):
        list(listed_names(parquet(tmp_path, key=["a", None]), SOURCE))
    with pytest.raises(DataError, match=r"row 1: column 'key' holds 7 instead of a name"):
        list(listed_names(parquet(tmp_path, key=[7]), SOURCE))
    with pytest.raises(DataError, match=r"the schema: no column 'key', only \['path'\]"):
        list(listed_names(parquet(tmp_path, path=["a"]), SOURCE))


def test_a_file_of_another_kind_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"a\.txt must be one of \.csv, \.jsonl, \.parquet"):
        list(listed_names(write("a.txt", b""), SOURCE))
