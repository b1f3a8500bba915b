"""The bar of progress: on a terminal, and nowhere else."""

import sys

import pytest

from srgan.cli.progress import ProgressBar
from tests.support.terminal import Terminal


def drawn(monkeypatch: pytest.MonkeyPatch, term: str) -> str:
    terminal = Terminal()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar("upscaling") as progress:
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
    assert drawn(monkeypatch, "dumb") == ""
    monkeypatch.undo()
    with ProgressBar("upscaling") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_results_go_to_a_file_and_not_into_the_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar("upscaling") as progress:
        progress(1, 2)
        with progress.paused():
            print("photo.png")
        progress(2, 2)
    assert capsys.readouterr().out == "photo.png\n"
    assert "photo.png" not in terminal.getvalue()


def test_a_line_on_the_same_terminal_begins_where_the_bar_was_wiped_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with ProgressBar("upscaling") as progress:
        progress(1, 2)
        with progress.paused():
            terminal.write("photo.png\n")
    before, after = terminal.getvalue().split("photo.png\n")
    assert before.endswith("\r\x1b[1A\x1b[2K")
    assert "upscaling" in after
