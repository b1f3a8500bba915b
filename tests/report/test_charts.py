"""Charts as SVG."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from markupsafe import Markup

from srgan.report.charts import interval_bar, line_chart, plane


def elements(svg: Markup, tag: str, kind: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(tag) if kind in e.get("class", "").split()]


def points(line: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in line.get("points", "").split())
    return [(float(x), float(y)) for x, y in pairs]


def test_a_larger_value_is_drawn_higher_and_a_later_step_more_to_the_right() -> None:
    (line,) = elements(line_chart({"a": [(1, 2.0), (9, 5.0)]}, label="y"), "polyline", "s0")
    (x1, y1), (x2, y2) = points(line)
    assert x1 < x2
    assert y1 > y2


def test_equal_factors_are_equal_heights_on_a_logarithmic_chart() -> None:
    series = {"a": [(0, 1e-3), (1, 1e-2), (2, 1e-1), (3, 0.0)]}
    (line,) = elements(line_chart(series, label="y", log=True), "polyline", "s0")
    heights = [y for _, y in points(line)]
    assert len(heights) == 3, "zero has no logarithm"
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


def test_ten_thousand_steps_are_thinned_and_the_last_one_stays() -> None:
    series = {"a": [(step, float(step)) for step in range(10_000)]}
    (line,) = elements(line_chart(series, label="y"), "polyline", "s0")
    assert len(points(line)) <= 302
    assert points(line)[-1][1] == min(y for _, y in points(line))


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf]])
def test_nothing_to_draw_gives_no_chart(values: list[float]) -> None:
    assert line_chart({"a": list(enumerate(values))}, label="y") == ""


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [-1e9, 1e9], [1e-12, 2e-12]])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_give_well_formed_marks_within_the_frame(values: list[float], log: bool) -> None:
    svg = line_chart({"a": list(enumerate(values))}, label="y", log=log)
    for line in ElementTree.fromstring(svg).iter("polyline") if svg else ():
        assert all(0 <= x <= 360 and 0 <= y <= 220 for x, y in points(line))


def test_bicubic_is_dashed() -> None:
    series = {"generator": [(0, 1.0), (1, 2.0)], "bicubic": [(0, 1.0), (1, 1.0)]}
    assert len(elements(line_chart(series, label="y"), "polyline", "reference")) == 1


def test_the_better_model_lies_to_the_right_and_above() -> None:
    svg = plane({"good": (30.0, 0.1), "bad": (20.0, 0.9)}, x_label="x", y_label="y")
    good, bad = elements(svg, "circle", "dot")
    assert float(good.get("cx", 0)) > float(bad.get("cx", 0))
    assert float(good.get("cy", 0)) < float(bad.get("cy", 0))


def test_words_are_escaped() -> None:
    name = "<script>&"
    for svg in (
        line_chart({name: [(0, 1.0), (1, 2.0)]}, label=name),
        plane({name: (1.0, 2.0)}, x_label=name, y_label=name),
    ):
        assert "<script>" not in svg
        ElementTree.fromstring(svg)


def test_an_interval_lies_on_its_side_of_zero() -> None:
    svg = interval_bar(0.1, 0.2, 0.4)
    (span,) = elements(svg, "line", "span")
    assert 60 < float(span.get("x1", 0)) < float(span.get("x2", 0))
