"""The bar of progress: on a terminal, and nowhere else."""

import sys

import pytest

from srgan.cli.progress import progress_bar
from tests.support.terminal import Terminal


def drawn(monkeypatch: pytest.MonkeyPatch, term: str) -> str:
    terminal = Terminal()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("upscaling") as progress:
        for done in range(3):
            progress(done, 2)
    return terminal.getvalue()


def test_a_terminal_sees_how_much_is_done_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = drawn(monkeypatch, "xterm")
    assert "upscaling" in text
    assert "100%" in text
    assert "0:00:0" in text
    assert text.endswith("\x1b[2K"), "the bar is wiped away at the end"


def test_a_dumb_terminal_and_a_pipe_get_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawn(monkeypatch, "dumb").strip() == ""
    monkeypatch.undo()
    with progress_bar("upscaling") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_results_go_to_a_file_and_not_into_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("upscaling") as progress:
        progress(1, 2)
        print("photo.png")
    assert capsys.readouterr().out == "photo.png\n"
    assert "photo.png" not in terminal.getvalue()
