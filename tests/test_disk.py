"""Files are written whole or not at all."""

from pathlib import Path

import pytest

from srgan.disk import write_atomically


def test_a_file_is_replaced_once_the_draft_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")
    with write_atomically(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def fail_half_way(path: Path) -> None:
    with write_atomically(path) as draft:
        draft.write_text("ne")
        raise ValueError("half")


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="half"):
        fail_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_fails_before_it_writes_raises_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="early"), write_atomically(tmp_path / "a"):
        raise ValueError("early")
    assert list(tmp_path.iterdir()) == []


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with write_atomically(path) as draft:
        draft.write_text("text")
    assert path.read_text() == "text"
