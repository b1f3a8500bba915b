"""A chain of origin as text and as a picture."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

from srgan.report.chain import Link, as_svg, as_text

CHAIN = Link(
    "upscaled image",
    "s3://b/<a>.png",
    {"source": "s3://b/raw.png"},
    (
        Link("model version", "models:/m/1", {"weights": "0" * 300}, (Link("dataset", "d"),)),
        Link("run", "r"),
    ),
)


def test_the_text_shows_what_was_made_of_what_and_shortens_nothing() -> None:
    assert as_text(CHAIN).splitlines() == [
        "upscaled image: s3://b/<a>.png",
        "│  source  s3://b/raw.png",
        "├─ model version: models:/m/1",
        "│  │  weights  " + "0" * 300,
        "│  └─ dataset: d",
        "└─ run: r",
    ]


def test_the_picture_is_whole_xml_with_every_name_in_it() -> None:
    svg = as_svg(CHAIN, alone=True)
    root = ElementTree.fromstring(svg)
    texts = ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"s3://b/<a>.png", "models:/m/1", "d", "r"} <= set(texts)
    assert all(len(text) <= 120 for text in texts)


def test_boxes_do_not_overlap_and_those_below_are_indented() -> None:
    root = ElementTree.fromstring(as_svg(CHAIN, alone=False))
    boxes = [
        (float(e.get("x", 0)), float(e.get("y", 0)), float(e.get("height", 0)))
        for e in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    assert len(boxes) == 4
    for (_, top, height), (_, below, _) in pairwise(boxes):
        assert top + height < below
    lefts = [left for left, _, _ in boxes]
    assert lefts[0] < lefts[1] == lefts[3] < lefts[2]


def test_within_a_page_the_picture_brings_no_styles_of_its_own() -> None:
    assert "<style>" in as_svg(CHAIN, alone=True)
    assert "<style>" not in as_svg(CHAIN, alone=False)
