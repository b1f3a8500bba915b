"""Which entries are photos, by the one rule of commands and bulk runs."""

import os
from pathlib import Path

import pytest
from PIL import Image

from srgan.images.entries import holds_photo, kind_of, look_through
from tests.support.entries import forbid


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("photo", "../a.jpg ./a.jpg a.jpg a/B.PNG a.jfif a.mpo a.heic a.NEF a.gif x.b/a.tif"),
        ("unknown", ".. . NOSUFFIX twitter.jpg_large a.weird README a.jpg.part v1.5/photo"),
        ("other", ".DS_Store ._a.jpg .hidden/a.jpg a/.trash/b.png Thumbs.db desktop.ini a.xmp"),
        ("other", "a.jpg.xmp a.TXT a.json IMG_1.AAE IMG_1.MOV sub/ @eaDir/a.jpg __MACOSX/a.jpg"),
    ],
)
def test_names_tell_photos_from_other_files(kind: str, names: str) -> None:
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_the_icon_of_a_folder_of_finder_is_not_a_photo() -> None:
    assert kind_of("sub/Icon\r") == "other"


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", True),
        (b"\x89PNG\r\n\x1a\n", True),
        (b"GIF89a", True),
        (b"\0\0\0\x20ftypheic", True),
        (b"\0\0\0\x20ftypavif", True),
        (b"\0\0\0\x20ftypcrx ", True),
        (b"P6\n640 480\n255\n", True),
        (b"IIRO\x08\0\0\0", True),
        (b"\0\0\0\x14ftypqt  ", False),
        (b"\0\0\0\x20ftypisom", False),
        (b"%PDF-1.7", False),
        (b"\0\5\x16\7rest", False),
        (b"# Read me first", False),
        (b"", False),
    ],
)
def test_first_bytes_tell_photos_from_other_files(beginning: bytes, expected: bool) -> None:
    assert holds_photo(beginning) is expected


def test_everything_of_a_folder_is_a_photo_passed_over_or_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(name: str, *, photo: bool) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if photo:
            Image.new("RGB", (3, 2)).save(path, "jpeg")
        else:
            path.write_bytes(b"text")

    for name in ("a.jpg", "NOSUFFIX", "line\nbreak.jfif", "sub/b.png", "caf\udce9.jpg", "n" * 255):
        put(name, photo=True)
    for name in ("README", "c.xmp", ".git/config", "_srgan/x.png", "secret/d.jpg"):
        put(name, photo=False)
    put("e.jpg", photo=False)  # a failure when it is read
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    for link, target in {
        "dangling.jpg": "gone",
        "dangling": "gone",
        "loop.png": "loop.png",
        "folder.jpg": "sub",
        "linked.png": "sub/b.png",
    }.items():
        (tmp_path / link).symlink_to(target)
    forbid(monkeypatch, tmp_path / "secret")
    found = look_through(tmp_path)

    def relative(paths: object) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path in paths]  # type: ignore[attr-defined]

    assert relative(found.photos) == [
        *("NOSUFFIX", "a.jpg", "caf\udce9.jpg", "e.jpg", "line\nbreak.jfif", "linked.png"),
        *("n" * 255, "sub/b.png"),
    ]
    assert relative(found.passed_over) == [".git", "README", "c.xmp", "folder.jpg", "pipe"]
    assert dict(zip(relative(found.failed), found.failed.values(), strict=True)) == {
        "dangling": "unreadable: a link to gone, which does not exist",
        "dangling.jpg": "unreadable: a link to gone, which does not exist",
        "loop.png": "unreadable: a link that leads back to itself",
        "pipe.png": "unreadable: a pipe, socket or device instead of a file",
        "secret": "unreadable: Permission denied",
    }


def test_a_file_that_vanishes_while_its_folder_is_listed_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    listed = os.scandir

    def late(folder: Path) -> list[os.DirEntry[str]]:
        (tmp_path / "gone.png").touch()
        entries = list(listed(folder))
        (tmp_path / "gone.png").unlink()
        return entries

    monkeypatch.setattr(os, "scandir", late)
    found = look_through(tmp_path)
    assert [path.name for path in found.photos] == ["a.png"]
    assert list(found.failed) == [tmp_path / "gone.png"]


def test_a_folder_that_cannot_be_listed_itself_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, tmp_path)
    assert look_through(tmp_path).failed == {tmp_path: "unreadable: Permission denied"}
