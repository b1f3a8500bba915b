"""Progress that the demo shows while it waits."""

import io
import sys
from importlib import import_module
from pkgutil import walk_packages

import pytest
from prefect import Flow, Task
from rich.console import Console

import flows
from srgan.demo import watch
from srgan.demo.display import LineDisplay, LiveDisplay, open_console, open_display
from srgan.demo.watch import Moment, moment_of, title
from srgan.progress import Progress, StageProgress
from tests.support.terminal import Terminal


def test_a_pipe_gets_one_line_per_activity_and_no_control_characters() -> None:
    output = io.StringIO()
    with open_display(Console(file=output, width=200)) as display:
        assert isinstance(display, LineDisplay)
        for step in range(100):
            display.show(Moment("pretraining", step, 100, "0:10 left"))
        display.show(Moment("measuring"))
    assert output.getvalue().splitlines() == ["  pretraining  0/100  0:10 left", "  measuring"]


def test_a_terminal_gets_a_bar_per_activity_that_stays_when_it_is_done() -> None:
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True)
    with open_display(console) as display:
        assert isinstance(display, LiveDisplay)
        display.show(Moment("pretraining", 3, 10, "0:10 left"))
        display.show(Moment("measuring"))
    last = output.getvalue().rpartition("pretraining")[2]
    assert "measuring" in last
    assert "✓" in output.getvalue()


def test_names_with_brackets_and_colons_are_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Moment("upscaling [/old] [red]x", 3, 10, "IMG[edited].png :tea:")
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "150")
        monkeypatch.setattr(sys, "stdout", stream)
        console = open_console()
        with open_display(console) as display:
            display.show(names)
        console.print(names.detail, style="bold")
        for name in (names.doing, names.detail):
            assert name in stream.getvalue(), stream.getvalue()


def test_names_of_jobs_and_tasks_become_words() -> None:
    assert title("pretrain-0123456789abcdef") == "training: generator on pixels"
    assert title("upscale-0a1b2c3d-000001") == title("upscale-0") == "upscaling"
    assert title("prepare-0a1b2c3d") == "cutting the photos into crops"
    assert title("find_changes-5f2") == "looking for new photos"
    assert title("publish_version-0c2") == "registering the model"
    assert title("find_champion-000") is None


def test_every_name_that_is_put_in_words_is_that_of_a_flow_a_task_or_a_stage() -> None:
    modules = [import_module(each.name) for each in walk_packages(flows.__path__, "flows.")]
    things = [thing for module in modules for thing in vars(module).values()]
    names = {thing.name for thing in things if isinstance(thing, Flow | Task)}
    assert watch._TITLES.keys() <= names | {"pretrain", "adversarial"}


def test_progress_of_a_stage_has_losses_and_that_of_others_counts_batches_or_photos() -> None:
    stage = StageProgress(
        stage="pretrain",
        step=5,
        steps=80,
        eta_s=63,
        crops_per_s=9.4,
        learning_rate=1e-4,
        losses={"loss": 0.5, "norm": 1},
        data_wait_share=0.0,
        data_wait_s=0.0,
        missed_share=None,
        memory_bytes=0,
    )
    assert moment_of("training", stage) == Moment(
        "training", 5, 80, "1 min 03 s left  9 crops/s  loss 0.5"
    )
    batches = Progress(step=1, steps=4)
    assert moment_of("upscaling", batches) == Moment("upscaling", 1, 4, "batches")
    photos = Progress(step=2, steps=6, eta_s=4.0, what="photos")
    assert moment_of("cutting", photos) == Moment("cutting", 2, 6, "photos")
