"""Charts as SVG."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from markupsafe import Markup

from srgan.measure.intervals import Interval
from srgan.report.charts import (
    drawing,
    interval_bar,
    interval_rows,
    line_chart,
    plane,
    plane_curve,
    share_rows,
)


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


def test_a_curve_has_a_dot_for_each_step_and_names_beside_it() -> None:
    steps = {f"{n}": (30.0 - n**2 / 50, 1.0 - n / 20) for n in range(6)}
    svg = plane_curve(steps, x_label="x", y_label="y")
    (line,) = elements(svg, "polyline", "line")
    dots = [(float(e.get("cx", 0)), float(e.get("cy", 0))) for e in elements(svg, "circle", "dot")]
    assert dots == points(line)
    names = {
        e.text: (float(e.get("x", 0)), float(e.get("y", 0))) for e in elements(svg, "text", "name")
    }
    assert list(names) == ["5", "4", "3", "2", "1", "0"]
    for number, dot in enumerate(dots):
        assert math.dist(names[f"{number}"], dot) == pytest.approx(15, abs=0.2)
        assert names[f"{number}"][0] > dot[0] or names[f"{number}"][1] < dot[1], "outside the curve"


def test_names_of_a_curve_that_would_lie_on_each_other_are_left_out_but_the_last() -> None:
    crowded = {f"{n}": (30.0 - n / 100, 1.0) for n in range(100)}
    svg = plane_curve(crowded, x_label="x", y_label="y")
    names = elements(svg, "text", "name")
    assert names[0].text == "99"
    assert 5 < len(names) < 20
    assert len(elements(plane_curve({"0": (1.0, 1.0)}, x_label="x", y_label="y"), "text", "name"))


def test_a_drawing_is_a_separate_file_with_its_charts_below_each_other() -> None:
    chart = plane_curve({"0": (1.0, 2.0), "1": (2.0, 1.0)}, x_label="x", y_label="y")
    root = ElementTree.fromstring(drawing("a <b>", [chart, chart]))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    tops = [float(each.get("y", 0)) for each in root if each.tag.endswith("}svg")]
    assert (len(tops), tops[1] - tops[0] >= 230) == (2, True)


def test_words_are_escaped() -> None:
    name = "<script>&"
    for svg in (
        line_chart({name: [(0, 1.0), (1, 2.0)]}, label=name),
        plane({name: (1.0, 2.0)}, x_label=name, y_label=name),
        plane_curve({name: (1.0, 2.0)}, x_label=name, y_label=name),
        drawing(name, []),
    ):
        assert "<script>" not in svg
        ElementTree.fromstring(svg)


def test_an_interval_lies_on_its_side_of_zero() -> None:
    svg = interval_bar(0.1, 0.2, 0.4)
    (span,) = elements(svg, "line", "span")
    assert 60 < float(span.get("x1", 0)) < float(span.get("x2", 0))


def test_rows_have_a_dot_within_its_interval_and_the_higher_one_to_the_right() -> None:
    rows = {
        "low": (2.0, Interval(mean=2.0, low=1.5, high=2.5), "2.00"),
        "high": (4.0, Interval(mean=4.0, low=3.8, high=4.2), "4.00"),
        "alone": (3.0, None, "3.00"),
    }
    svg = interval_rows(rows, low=1, high=5, label="score")
    dots = [float(e.get("cx", 0)) for e in elements(svg, "circle", "mean")]
    assert dots[0] < dots[2] < dots[1]
    spans = [(float(e.get("x1", 0)), float(e.get("x2", 0))) for e in elements(svg, "line", "span")]
    assert len(spans) == 2
    assert all(low < dot < high for (low, high), dot in zip(spans, dots, strict=False))
    assert spans[0][1] - spans[0][0] > spans[1][1] - spans[1][0]


def test_an_interval_beyond_the_scale_ends_at_the_frame() -> None:
    rows = {"a": (4.9, Interval(mean=4.9, low=4.4, high=5.6), "4.90")}
    (span,) = elements(interval_rows(rows, low=1, high=5, label="score"), "line", "span")
    assert float(span.get("x2", 0)) <= 360


def test_a_bar_is_divided_by_how_often_each_answer_was_given() -> None:
    svg = share_rows(
        {"a": (10, 0, 30), "nobody": (0, 0, 0)},
        ("worse", "same", "better"),
        unit="choices",
        label="answers",
    )
    widths = [
        float(e.get("width", 0)) for kind in ("q1", "q3", "q5") for e in elements(svg, "rect", kind)
    ]
    assert widths == pytest.approx([86.0, 0, 258.0], abs=0.2)
    texts = [e.text for e in elements(svg, "text", "on")]
    assert texts == ["25%", "75%"], "an empty part has no number"
    assert "nobody" not in svg


def test_names_in_rows_are_escaped_and_long_ones_shortened() -> None:
    svg = share_rows({"<b>" + "x" * 60: (1, 1)}, ("a", "b"), unit="ratings", label="l")
    (name,) = elements(svg, "text", "name")
    assert name.text is not None
    assert name.text.startswith("<b>x")
    assert len(name.text) == 32
