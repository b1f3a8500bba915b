"""Outcomes of photos: lines, one JSON document, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Exit

from srgan.cli.outcomes import change_all
from srgan.errors import DataError
from srgan.images.files import FilePlan, FileResult


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError("a.png cannot be written"), "a.png cannot be written"),
        (MemoryError(), "MemoryError: "),
        (RuntimeError("the network"), "RuntimeError: the network"),
        (OSError("gone"), "OSError: gone"),
    ],
)
def test_whatever_one_photo_causes_the_others_are_done(
    error: Exception, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(photo: Path, target: Path, share: Callable[[float], None]) -> FileResult:
        if photo.name == "bad.png":
            raise error
        return FileResult(target)

    files = [(Path(name), Path("to", name)) for name in ("bad.png", "good.png")]
    with pytest.raises(Exit) as stopped:
        change_all(FilePlan(files), change, what="testing")
    said = capsys.readouterr()
    assert stopped.value.exit_code == 1
    assert said.out == "to/good.png\n"
    assert said.err == f"bad.png: {text}\n1 of 2 photos could not be used\n"


def test_the_document_has_everything_that_the_lines_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (tmp_path / f"caf\udce9 {each}.png" for each in ("old", "new"))
    plan = FilePlan(
        [(old, old), (new, new)],
        passed_over=(tmp_path / "notes.txt",),
        failed={tmp_path / "gone.png": "unreadable: a link to nothing: really"},
    )
    with pytest.raises(Exit):
        change_all(plan, lambda _, to, __: FileResult(to, kept=to == old), what="x", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [(each["result"], each["kept"]) for each in found["photos"]] == [
        (str(old), True), (str(new), False), (None, False)
    ]  # fmt: skip
    assert found["photos"][2]["source"] == str(tmp_path / "gone.png")
    assert found["photos"][2]["error"] == {
        "reason": "unreadable",
        "detail": "a link to nothing: really",
    }
    assert found["passed_over"] == [str(tmp_path / "notes.txt")]
    assert (found["num_done"], found["num_kept"], found["num_failed"]) == (2, 1, 1)
