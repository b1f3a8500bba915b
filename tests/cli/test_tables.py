"""Tables of the terminal, as people read them."""

import sys
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from srgan.cli.console import empty_table, show_tables
from srgan.cli.tables import figures_table, pairing_table
from srgan.promotion.pairing import Pairing, Side
from srgan.refs import ModelRef
from tests.support.reports import report
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from rich.table import Table

A, B = (ModelRef(name="m", version=n, run=f"run-{n}", weights_digest=str(n)) for n in (1, 2))
TAUGHT = {"squeezenet_distance": ["model"]}


def lines_of(table: "Table") -> dict[str, str]:
    """Its lines by their first word."""
    text = StringIO()
    Console(file=text, width=160).print(table)
    return {line.split()[0]: line for line in text.getvalue().splitlines() if line.strip()}


def test_a_distance_says_whose_teacher_it_is() -> None:
    metrics = {
        name: {"psnr": 30.0, "ssim": 0.8, "squeezenet_distance": 1.25}
        for name in ("bicubic", "model")
    }
    lines = lines_of(figures_table(metrics, "figures", TAUGHT))
    assert "1.2500 (trained on the judge)" in lines["SRGAN"]
    assert "judge" not in lines["Bicubic"]


def test_psnr_does_not_decide_between_what_learned_from_more_than_pixels() -> None:
    found = report(
        {"model": 28.0, "champion": 29.0},
        {"squeezenet_distance": {"model": 1.0, "champion": 1.5}},
        beyond_pixels=["model"],
        trained_on_judge=TAUGHT,
    )
    sides = (Side(found, "key", name) for name in ("model", "champion"))
    lines = lines_of(pairing_table(A, B, Pairing(*sides)))
    assert lines["PSNR"].rstrip().endswith("does not decide")
    assert lines["SqueezeNet"].rstrip().endswith("does not decide"), "it taught one of them"
    assert "1.0000 (trained on the judge)" in lines["SqueezeNet"]
    assert "1.5000 (trained" not in lines["SqueezeNet"]


@pytest.mark.parametrize("stream", [StringIO, Terminal])
def test_brackets_and_colons_in_what_people_wrote_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, stream: type[StringIO]
) -> None:
    written = ["see [/wiki/halos]", "[checked by eye] 1", "IMG[edited].png", ":tea: [bob]", "[red]"]
    table = empty_table(*written, title="study [b]pets[/b] :cat:")
    table.caption = "[/] :dog:"
    table.add_row(*written)
    out = stream()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", out)
    show_tables(table)
    text = out.getvalue()
    for each in written:
        assert text.count(each) == 2, text
    assert "study [b]pets[/b] :cat:" in text
    assert "[/] :dog:" in text
