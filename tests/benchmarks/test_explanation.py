"""The drawings of docs/explanation are those of the networks that are built today."""

import re

import pytest

from benchmarks.explanation.__main__ import DRAWINGS
from benchmarks.explanation.networks import (
    parts_of_discriminator,
    parts_of_srresnet,
    reach_of_srresnet,
    vgg_reach,
)
from benchmarks.explanation.plots import needed_gain
from tests.support.checkout import ROOT

FOLDER = ROOT / "docs" / "explanation"
PAGES = " ".join(" ".join(page.read_text() for page in FOLDER.glob("*.md")).split())


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_in_the_docs_is_what_the_script_draws(name: str) -> None:
    drawn = (FOLDER / "figures" / f"{name}.svg").read_text()
    assert drawn == DRAWINGS[name](), "run `python -m benchmarks.explanation networks`"


def test_the_pages_have_the_figures_that_are_counted_on_the_networks() -> None:
    parts = parts_of_srresnet()
    for _, _, count in parts:
        assert f"| {count:,} |" in PAGES
    assert f"**{sum(count for *_, count in parts):,}**" in PAGES
    assert f"{sum(count for _, count in parts_of_discriminator()):,} parameters" in PAGES
    assert f"{reach_of_srresnet()} to each side" in PAGES
    for layer in ("vgg22", "vgg54"):
        assert f"of {layer} {vgg_reach()[layer][0]}" in PAGES.replace(" sees ", " ")


def test_the_pages_have_the_gains_that_the_gate_asks_for() -> None:
    for attempt, photos in ((1, 10), (1, 100), (20, 100)):
        assert re.search(rf"\b{needed_gain(attempt, photos):.2f}\b", PAGES)


def test_every_figure_is_on_a_page_and_every_page_has_one() -> None:
    shown = set(re.findall(r"\]\(figures/([\w.-]+)\)", PAGES))
    assert shown == {path.name for path in (FOLDER / "figures").iterdir()}
    for page in FOLDER.glob("*.md"):
        assert "](figures/" in page.read_text(), page.name
