"""Addresses and JSON documents of a bucket."""

import json
from pathlib import Path
from typing import Literal

import pytest

from srgan.errors import ConflictError, DocumentError, NewerFormatError, StorageError
from srgan.refs import Ref
from srgan.services.folder import FolderStore
from srgan.storage import find_document, read_document, write_document


class Shelf(Ref):
    room: str
    books: int


class Labelled(Shelf):
    format: Literal["srgan-shelf-2"] = "srgan-shelf-2"


SHELF = Shelf(room="west", books=3)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> str:
    return str(tmp_path / "shelf.json")


def test_a_document_comes_back_as_it_was_written(store: FolderStore, key: str) -> None:
    write_document(store, key, SHELF)
    assert read_document(store, key, Shelf) == find_document(store, key, Shelf) == SHELF
    assert json.loads(store.get(key)) == {"room": "west", "books": 3}


def test_find_document_returns_none_for_a_missing_document(store: FolderStore, key: str) -> None:
    assert find_document(store, key, Shelf) is None
    with pytest.raises(StorageError, match=r"shelf\.json does not exist"):
        read_document(store, key, Shelf)


@pytest.mark.parametrize("body", [b'{"room": "west", "books": "many"}', b'{"room"', b"\xff"])
def test_an_unreadable_document_names_its_key_and_what_mends_it(
    store: FolderStore, key: str, body: bytes
) -> None:
    store.put(key, body)
    with pytest.raises(DocumentError, match=r"shelf\.json is damaged or .*; count again$"):
        read_document(store, key, Shelf, mend="count again")
    with pytest.raises(DocumentError, match="go back to the release that wrote it"):
        find_document(store, key, Shelf)


def test_an_unreadable_document_names_the_field(store: FolderStore, key: str) -> None:
    store.put(key, b'{"room": "west", "shelves": 2}')
    with pytest.raises(DocumentError, match=r"books: Field required; shelves: Extra inputs"):
        read_document(store, key, Shelf)


@pytest.mark.parametrize(
    ("kind", "reads"),
    [(Shelf, "the first one, which has no name"), (Labelled, "srgan-shelf-2")],
)
def test_a_document_of_a_newer_format_names_its_key_and_both_formats(
    store: FolderStore, key: str, kind: type[Shelf], reads: str
) -> None:
    store.put(key, b'{"format": "srgan-shelf-10", "room": "west", "books": 3}')
    with pytest.raises(
        NewerFormatError, match=rf"shelf\.json has the format srgan-shelf-10, .* {reads}"
    ):
        read_document(store, key, kind)


@pytest.mark.parametrize("found", ["srgan-shelf-1", "srgan-rack-3", "shelf", 3, None])
def test_any_other_format_is_not_called_newer(store: FolderStore, key: str, found: object) -> None:
    store.put(key, json.dumps({"format": found, "room": "west", "books": 3}).encode())
    with pytest.raises(DocumentError, match="is damaged or was written by another release") as why:
        read_document(store, key, Labelled)
    assert not isinstance(why.value, NewerFormatError)


def test_a_document_is_written_on_condition(store: FolderStore, key: str) -> None:
    token = write_document(store, key, SHELF, if_absent=True)
    with pytest.raises(ConflictError):
        write_document(store, key, SHELF, if_absent=True)
    write_document(store, key, Shelf(room="east", books=12), if_token=token)
    with pytest.raises(ConflictError):
        write_document(store, key, SHELF, if_token=token)
    assert read_document(store, key, Shelf).room == "east"
