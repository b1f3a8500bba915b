"""A folder keeps the promises of an object store."""

import errno
import hashlib
import itertools
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest

from srgan.errors import ConflictError, StorageError
from srgan.services.folder import FolderStore
from tests.support.entries import forbid


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "folder")


@pytest.fixture
def base(tmp_path: Path) -> str:
    return f"{tmp_path}/folder"


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_what_was_put_comes_back_with_its_metadata(store: FolderStore, base: str) -> None:
    key = f"{base}/deep/ü b.png"
    token = store.put(key, b"body", metadata={"colour": "red"})
    assert store.get(key) == store.find(key) == Path(key).read_bytes() == b"body"
    assert store.metadata(key) == {"colour": "red"}
    info = store.head(key)
    assert info is not None
    assert (info.key, info.token, info.size_bytes) == (key, token, 4)
    assert list(store.list(f"{base}/")) == [info]


def test_a_file_is_put_from_its_position(store: FolderStore, base: str) -> None:
    body = BytesIO(b"not this, but this")
    body.seek(10)
    store.put(f"{base}/a", body)
    assert store.get(f"{base}/a") == b"but this"


def test_a_missing_file_is_none_or_an_error_that_names_it(store: FolderStore, base: str) -> None:
    assert store.find(f"{base}/a") is None
    assert store.head(f"{base}/a/b") is None
    store.delete(f"{base}/a")
    with pytest.raises(StorageError, match=r"folder/a does not exist"):
        store.get(f"{base}/a")
    assert list(store.list(f"{base}/")) == []


def test_metadata_of_a_file_that_somebody_replaced_is_gone(store: FolderStore, base: str) -> None:
    key = f"{base}/a"
    token = store.put(key, b"ours", metadata={"colour": "red"})
    Path(key).write_bytes(b"theirs")
    assert store.metadata(key) == {}
    changed = store.head(key)
    assert changed is not None
    assert changed.token != token


def descriptions(base: str) -> list[Path]:
    return [path for path in Path(base, "_srgan", "objects").rglob("*") if path.is_file()]


def test_a_write_that_was_killed_before_its_end_leaves_the_metadata_of_the_old_file(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{base}/a"
    store.put(key, b"first", metadata={"colour": "red"})
    replace = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if str(target) == key:
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put(key, b"second", metadata={"colour": "blue"})
    assert store.get(key) == b"first"
    assert store.metadata(key) == {"colour": "red"}
    store.put(key, b"third", metadata={"colour": "green"})
    assert store.metadata(key) == {"colour": "green"}


def test_of_two_writes_at_once_the_metadata_is_that_of_the_later_one(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{base}/a"
    store.put(key, b"first", metadata={"colour": "red"})
    replace, others = Path.replace, FolderStore(Path(base))

    def overtaken(path: Path, target: Path) -> Path:
        if str(target) == key:
            monkeypatch.undo()
            others.put(key, b"other", metadata={"colour": "blue"})
            assert others.metadata(key) == {"colour": "blue"}
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", overtaken)
    token = store.put(key, b"third", metadata={"colour": "green"})
    assert store.get(key) == b"third"
    assert store.metadata(key) == {"colour": "green"}
    info = store.head(key)
    assert info is not None
    assert info.token == token


def test_metadata_of_a_file_that_is_replaced_meanwhile_is_that_of_the_new_one(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{base}/a"
    store.put(key, b"first", metadata={"colour": "red"})
    described = FolderStore._described

    def late(asked: FolderStore, key: str, token: str) -> dict[str, str]:
        monkeypatch.undo()
        store.put(key, b"second", metadata={"colour": "blue"})
        return described(asked, key, token)

    monkeypatch.setattr(FolderStore, "_described", late)
    assert store.metadata(key) == {"colour": "blue"}


def test_metadata_of_what_is_gone_or_never_came_is_deleted(store: FolderStore, base: str) -> None:
    key = f"{base}/a"
    for number in range(3):
        store.put(key, f"{number}".encode(), metadata={"number": f"{number}"})
    assert len(descriptions(base)) == 1
    with pytest.raises(ConflictError):
        store.put(key, b"x", metadata={"number": "4"}, if_absent=True)
    with pytest.raises(ConflictError):
        store.put(key, b"x", metadata={"number": "4"}, if_token="another")
    assert store.metadata(key) == {"number": "2"}
    assert len(descriptions(base)) == 1
    store.delete(key)
    assert descriptions(base) == []


def test_a_kill_leaves_unfinished_files_in_their_own_folder_alone(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "unlink", killed)  # nothing is cleaned up either
    with pytest.raises(KeyboardInterrupt):
        store.put(f"{base}/a", b"body", metadata={"colour": "red"})
    assert {str(Path(name).parent) for name in files(Path(base))} == {"_srgan/unfinished"}


def test_metadata_that_an_earlier_release_wrote_is_read_and_replaced(
    store: FolderStore, base: str
) -> None:
    key = f"{base}/a"
    token = store.put(key, b"first")
    name = hashlib.sha256(b"a").hexdigest()
    earlier = Path(base, "_srgan", "objects", name[:2], f"{name}.json")
    earlier.parent.mkdir(parents=True)
    earlier.write_text(json.dumps({"token": token, "metadata": {"colour": "red"}}))
    assert store.metadata(key) == {"colour": "red"}
    Path(key).write_bytes(b"somebody's")
    assert store.metadata(key) == {}, "it is that of the file which was there before"
    store.put(key, b"second", metadata={"colour": "blue"})
    assert store.metadata(key) == {"colour": "blue"}
    assert not earlier.exists()


def test_tokens_tell_files_apart_that_were_written_in_one_step_of_the_systems_stamps(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", itertools.count(10**18).__next__)
    tokens = [store.put(f"{base}/a", b"same size") for _ in range(2)]
    stamps = [int(token.partition("-")[0], 16) - 10**18 for token in tokens]
    assert stamps == sorted({*stamps})
    assert max(stamps) < 10


@pytest.mark.parametrize("name", ["../a", "b/../../a", "/etc/passwd", "a//b", "./a", ""])
def test_nothing_outside_of_the_folder_is_read_or_written(
    store: FolderStore, base: str, name: str, tmp_path: Path
) -> None:
    key = name if name.startswith("/") else f"{base}/{name}"
    for use in (store.find, store.head, lambda key: store.put(key, b"x"), store.delete):
        with pytest.raises(StorageError, match="is not a file below"):
            use(key)
    assert files(tmp_path) == set()


def test_every_file_is_listed_once_however_deep(store: FolderStore, base: str) -> None:
    names = ["a-b", "a.jpg", "a/1", "a/b/2", "a0", "b", "ä", "写"]
    for name in reversed(names):
        store.put(f"{base}/{name}", b"")
    assert sorted(info.key for info in store.list(f"{base}/")) == [f"{base}/{n}" for n in names]
    below = sorted(info.key for info in store.list(f"{base}/a/"))
    assert below == [f"{base}/a/1", f"{base}/a/b/2"]


def test_what_cannot_be_read_is_listed_with_its_problem(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(f"{base}/sub/a", b"a")
    store.put(f"{base}/lost+found/b", b"b")
    os.mkfifo(f"{base}/pipe.jpg")
    links = {"link.jpg": "sub/a", "sub/loop": "..", "broken.jpg": "nowhere", "self.jpg": "self.jpg"}
    for link, target in links.items():
        Path(base, link).symlink_to(target)
    forbid(monkeypatch, Path(base, "lost+found"))
    problems = {info.key.removeprefix(base): info.problem for info in store.list(f"{base}/")}
    assert problems == {
        "/link.jpg": "",
        "/sub/a": "",
        "/pipe.jpg": "unreadable: a pipe, socket or device instead of a file",
        "/broken.jpg": "unreadable: a link to nowhere, which does not exist",
        "/self.jpg": "unreadable: a link that leads back to itself",
        "/lost+found/": "unreadable: the folder cannot be listed: Permission denied",
    }
    assert store.find(f"{base}/pipe.jpg") is None, "and it does not wait for a writer"
    assert store.find(f"{base}/link.jpg") == b"a"
    assert store.beginning(f"{base}/sub/a", 9) == b"a"
    with pytest.raises(StorageError, match=r"broken\.jpg"):
        store.head(f"{base}/broken.jpg")  # not a free place


def test_a_folder_that_cannot_be_listed_itself_is_an_error(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(f"{base}/a", b"a")
    forbid(monkeypatch, Path(base))
    with pytest.raises(StorageError, match=r"cannot list .*folder.*Permission denied"):
        list(store.list(f"{base}/"))


def test_a_name_that_is_not_utf8_gets_a_backslash_that_no_output_may_have(
    store: FolderStore, base: str
) -> None:
    Path(base).mkdir()
    Path(os.fsdecode(os.fsencode(base) + b"/\xff.png")).write_bytes(b"x")
    assert [info.key for info in store.list(f"{base}/")] == [f"{base}/\\xff.png"]


@pytest.mark.parametrize("code", [0, errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_of_eight_writers_exactly_one_creates_a_file(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    if code:  # a disk without hard links

        def refuse(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "link", refuse)

    def create(_: int) -> bool:
        try:
            store.put(f"{base}/log", b"same body", if_absent=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_a_file_that_appears_is_not_replaced_by_one_that_was_to_be_new(
    store: FolderStore, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def late(unfinished: Path, target: Path) -> None:
        Path(target).write_bytes(b"copied by somebody")
        link(unfinished, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ConflictError, match="somebody else wrote it first"):
        store.put(f"{base}/a", b"ours", if_absent=True)
    assert store.get(f"{base}/a") == b"copied by somebody"


def test_a_new_file_of_the_name_of_a_folder_is_an_error_that_names_it(
    store: FolderStore, base: str
) -> None:
    store.put(f"{base}/a/b", b"")
    with pytest.raises(StorageError, match=r"cannot write .*folder/a: File exists"):
        store.put(f"{base}/a", b"", if_absent=True)


def test_a_file_moves_only_from_the_token_that_was_read(store: FolderStore, base: str) -> None:
    key = f"{base}/latest"
    first = store.put(key, b"1")
    store.put(key, b"22", if_token=first)
    with pytest.raises(ConflictError, match="somebody else wrote it first"):
        store.put(key, b"333", if_token=first)
    assert store.get(key) == b"22"


def test_a_full_or_forbidden_disk_is_an_error_that_names_the_file(
    store: FolderStore, base: str
) -> None:
    store.put(f"{base}/a", b"")
    with pytest.raises(StorageError, match=r"cannot write .*folder/a/b"):
        store.put(f"{base}/a/b", b"below a file")
    with pytest.raises(StorageError, match=r"cannot write .*nnn: File name too long"):
        store.put(f"{base}/{'n' * 300}", b"")
    assert list((Path(base) / "_srgan" / "unfinished").iterdir()) == []


def test_a_download_is_whole(store: FolderStore, base: str, tmp_path: Path) -> None:
    store.put(f"{base}/a", b"body")
    store.download(f"{base}/a", tmp_path / "to" / "b")
    assert files(tmp_path / "to") == {"b"}
