"""Charts as inline SVG: markup of numbers and escaped words, coloured by the page's CSS."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from srgan.measure.intervals import Interval
from srgan.readable import shortened

# Small, so that the text is still readable where a phone shows it unscaled.
_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 20, 12, 34
_TICKS = 4
_MAX_POINTS = 300
_ASIDE, _NAME_ROOM = 15, 15
"""Pixels from a dot of a curve to its name, and from name to name."""
_TITLE, _GAP = 26, 14
_ROW, _MARGIN, _BAR = 38, 8, 16
"""Height of a row of a chart of rows, its margin to the left and the right, height of its bar."""
_NAME_CHARS, _LEAST_LABELLED = 32, 0.08
"""Letters of a row's name; share of a bar's part that has room for a number."""
_STYLE = (
    "text{fill:#5b6472;font:11px system-ui,sans-serif}.name{fill:#1a1f27;font-weight:600}"
    ".grid{stroke:#dfe3e9}.axis{stroke:#5b6472}.line{fill:none;stroke:#2a6fdb;stroke-width:1.8}"
    ".dot{fill:#2a6fdb}"
)
"""Colours of a separate file; within a page they are the page's."""
REFERENCE = "bicubic"
"""Name of the curve that the others have to beat; it is drawn dashed."""

Series = Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class _Axis:
    """A map from values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (self._scaled(v) for v in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            decades = [10.0**power for power in range(first, last + 1)]
            if len(decades) > 1:
                return decades[:: math.ceil(len(decades) / (_TICKS + 1))]
        return _round_values(self.low, self.high)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def line_chart(series: Series, *, label: str, log: bool = False) -> Markup:
    """Draw lines over the training step, with classes ``s0``, ``s1``, … in their order.

    A logarithmic chart leaves out values that are not above zero. "" if there is nothing to draw.
    """
    drawn = {name: _thinned(points, log) for name, points in series.items()}
    values = [value for points in drawn.values() for _, value in points]
    steps = [step for points in drawn.values() for step, _ in points]
    if not values:
        return Markup("")
    low, high = _widened(min(values), max(values), log)
    x = _Axis(min(0, *steps), max(1, *steps), _LEFT, _WIDTH - _RIGHT)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP, log)
    parts = [_grid(x, y, "step", label)]
    for number, (name, points) in enumerate(drawn.items()):
        reference = " reference" if name == REFERENCE else ""
        path = " ".join(f"{x.at(step):.1f},{y.at(value):.1f}" for step, value in points)
        if len(points) == 1:
            ((step, value),) = points
            parts.append(_dot(x.at(step), y.at(value), number))
        elif points:
            parts.append(f'<polyline class="line s{number}{reference}" points="{path}"/>')
    return _svg("".join(parts), f"{label} over the training step: {', '.join(series)}")


def plane(points: Mapping[str, tuple[float, float]], *, x_label: str, y_label: str) -> Markup:
    """Draw a named dot for each point.

    To the right and up is better, so the second value, a distance, grows downwards.
    """
    x, y = _plane_axes(points)
    parts = [_grid(x, y, x_label, y_label)]
    for number, (name, (right, down)) in enumerate(points.items()):
        left_half = x.at(right) < _WIDTH / 2
        anchor, shift = ("start", 8) if left_half else ("end", -8)
        parts.append(_dot(x.at(right), y.at(down), number))
        parts.append(
            f'<text class="name" x="{x.at(right) + shift:.1f}" y="{y.at(down) - 7:.1f}" '
            f'text-anchor="{anchor}">{escape(name)}</text>'
        )
    return _svg("".join(parts), f"{y_label} against {x_label}: {', '.join(points)}")


def plane_curve(points: Mapping[str, tuple[float, float]], *, x_label: str, y_label: str) -> Markup:
    """Draw steps of one thing in the plane of `plane`: a line with a dot and a name at each.

    The names stand on the right-hand side of the way from the first to the last, which is outside
    the usual curve. One that would lie on the name before it is left out, never the last.
    """
    x, y = _plane_axes(points, 0.2)
    names = list(points)
    places = [(x.at(right), y.at(down)) for right, down in points.values()]
    path = " ".join(f"{right:.1f},{down:.1f}" for right, down in places)
    parts = [_grid(x, y, x_label, y_label), f'<polyline class="line s0" points="{path}"/>']
    parts += [_dot(right, down, 0) for right, down in places]
    free_from: tuple[float, float] | None = None
    for number in reversed(range(len(places))):
        at = _beside(places, number)
        if free_from is None or math.dist(at, free_from) >= _NAME_ROOM:
            free_from = at
            parts.append(
                f'<text class="name" x="{at[0]:.1f}" y="{at[1]:.1f}" dy="4" '
                f'text-anchor="middle">{escape(names[number])}</text>'
            )
    return _svg("".join(parts), f"{y_label} against {x_label}: {', '.join(points)}")


def _plane_axes(
    points: Mapping[str, tuple[float, float]], room: float = 0.15
) -> tuple[_Axis, _Axis]:
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    return (
        _Axis(*_widened(min(xs), max(xs), False, room), _LEFT, _WIDTH - _RIGHT),
        _Axis(*_widened(min(ys), max(ys), False, room), _TOP, _HEIGHT - _BOTTOM),
    )


def _beside(places: Sequence[tuple[float, float]], number: int) -> tuple[float, float]:
    """Place of a name to the right of a way, seen along it; up if it does not lead anywhere."""
    before, after = places[max(number - 1, 0)], places[min(number + 1, len(places) - 1)]
    along = after[0] - before[0], after[1] - before[1]
    length = math.hypot(*along)
    right, down = (-along[1] / length, along[0] / length) if length else (0.0, -1.0)
    return places[number][0] + _ASIDE * right, places[number][1] + _ASIDE * down


def interval_rows(
    rows: Mapping[str, tuple[float, Interval | None, str]],
    *,
    low: float,
    high: float,
    label: str,
) -> Markup:
    """Draw a dot with its interval for each name, below each other, from `low` to `high`.

    A row has the value, its interval if there is one, and both as text. There is a line at zero if
    it is within.
    """
    x = _Axis(low, high, _MARGIN + 6, _WIDTH - _MARGIN - 6)
    bottom = _ROW * len(rows) + 4
    parts = []
    for value in x.ticks():
        at = f"{x.at(value):.1f}"
        kind = "zero" if value == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{at}" x2="{at}" y1="18" y2="{bottom}"/>')
        parts.append(
            f'<text x="{at}" y="{bottom + 13}" text-anchor="middle">{_number(value)}</text>'
        )
    for number, (name, (value, interval, text)) in enumerate(rows.items()):
        top = _ROW * number
        parts.append(_row_head(name, text, top))
        if interval:
            ends = (x.at(min(max(end, low), high)) for end in (interval.low, interval.high))
            x1, x2 = (f"{end:.1f}" for end in ends)
            parts.append(
                f'<line class="span" x1="{x1}" x2="{x2}" y1="{top + 26}" y2="{top + 26}"/>'
            )
        parts.append(f'<circle class="mean" cx="{x.at(value):.1f}" cy="{top + 26}" r="4.5"/>')
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{bottom + 29}" text-anchor="middle">{escape(label)}</text>'
    )
    return _rows_svg("".join(parts), bottom + 34, f"{label}: {', '.join(rows)}")


def share_rows(
    rows: Mapping[str, Sequence[int]], names: Sequence[str], *, unit: str, label: str
) -> Markup:
    """Draw a bar for each name, below each other, divided by how often each answer was given.

    `names` are those of the answers, from the worst to the best, and get the classes ``q1`` to
    ``q5``. A row that nobody answered is left out.
    """
    parts, top = [], 0
    shown = {name: counts for name, counts in rows.items() if sum(counts)}
    for name, counts in shown.items():
        total, left = sum(counts), float(_MARGIN)
        parts.append(_row_head(name, f"{total:,} {unit}", top))
        for answer, count, kind in zip(names, counts, shades(len(names)), strict=True):
            width = count / total * (_WIDTH - 2 * _MARGIN)
            parts.append(
                f'<rect class="{kind}" x="{left:.1f}" y="{top + 18}" width="{width:.1f}" '
                f'height="{_BAR}"><title>{escape(answer)}: {count:,}</title></rect>'
            )
            if count / total >= _LEAST_LABELLED:
                parts.append(
                    f'<text class="on {kind}" x="{left + width / 2:.1f}" y="{top + 18 + _BAR / 2}" '
                    f'dy="4" text-anchor="middle">{count / total:.0%}</text>'
                )
            left += width
        top += _ROW
    return _rows_svg("".join(parts), top, f"{label}: {', '.join(shown)}")


def shades(num: int) -> list[str]:
    """Classes of `num` answers from the worst to the best, out of ``q1`` to ``q5``."""
    return [f"q{1 + round(4 * place / (num - 1))}" for place in range(num)]


def interval_bar(low: float, mean: float, high: float, reach: float | None = None) -> Markup:
    """Draw a difference with its interval, and a line at zero, from −`reach` to `reach`.

    By default the interval reaches as far as there is room.
    """
    reach = reach or max(abs(low), abs(high)) or 1.0
    at = _Axis(-reach, reach, 6, 114).at
    return Markup(
        '<svg class="interval" viewBox="0 0 120 16" aria-hidden="true">'
        '<line class="zero" x1="60" x2="60" y1="0" y2="16"/>'
        '<line class="span" x1="{:.1f}" x2="{:.1f}" y1="8" y2="8"/>'
        '<circle class="mean" cx="{:.1f}" cy="8" r="3.5"/></svg>'
    ).format(at(low), at(high), at(mean))


def drawing(title: str, charts: Sequence[Markup]) -> str:
    """Put charts below each other in a separate SVG file, with a title and colours."""
    step = _HEIGHT + 10 + _GAP
    height = _TITLE + step * len(charts)
    body = "".join(
        f'<svg y="{_TITLE + number * step}" width="{_WIDTH}" height="{_HEIGHT + 10}">{chart}</svg>'
        for number, chart in enumerate(charts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDTH}" height="{2 * height}" '
        f'viewBox="0 0 {_WIDTH} {height}"><style>{_STYLE}</style>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="8" y="16">{escape(title)}</text>{body}</svg>'
    )


def _thinned(points: Sequence[tuple[float, float]], log: bool) -> Sequence[tuple[float, float]]:
    good = [each for each in points if math.isfinite(each[1]) and (each[1] > 0 or not log)]
    stride = math.ceil(len(good) / _MAX_POINTS)
    return [*good[:-1:stride], good[-1]] if stride > 1 else good


def _widened(low: float, high: float, log: bool, share: float = 0.06) -> tuple[float, float]:
    """Add room on both sides, so that marks do not lie on the frame."""
    if log:
        return low / 1.15, high * 1.15
    room = (high - low) * share or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _round_values(low: float, high: float) -> list[float]:
    raw = (high - low) / _TICKS
    power: float = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(x: _Axis, y: _Axis, x_label: str, y_label: str) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in y.ticks():
        at = f"{y.at(value):.1f}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text x="{_LEFT - 5}" y="{at}" dy="4" text-anchor="end">{_number(value)}</text>'
        )
    for value in x.ticks():
        at = f"{x.at(value):.1f}"
        parts.append(
            f'<text x="{at}" y="{bottom + 14}" text-anchor="middle">{_number(value)}</text>'
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    parts.append(f'<text class="label" x="{_LEFT}" y="{_TOP - 2}">{escape(y_label)}</text>')
    return "".join(parts)


def _number(value: float) -> str:
    if value and (abs(value) >= 1e4 or abs(value) < 1e-3):
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.4g}"


def _dot(x: float, y: float, number: int) -> str:
    return f'<circle class="dot s{number}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'


def _row_head(name: str, text: str, top: int) -> str:
    """Name of a row on the left and its figures on the right, above its mark."""
    return (
        f'<text class="name" x="{_MARGIN}" y="{top + 13}">'
        f"{escape(shortened(name, _NAME_CHARS))}</text>"
        f'<text x="{_WIDTH - _MARGIN}" y="{top + 13}" text-anchor="end">{escape(text)}</text>'
    )


def _rows_svg(body: str, height: float, title: str) -> Markup:
    return Markup(  # noqa: S704  # as in `_svg`
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg>'
    )


def _svg(body: str, title: str) -> Markup:
    return Markup(  # noqa: S704  # every word in `body` was escaped where it was put in
        f'<svg class="chart" viewBox="0 {-10} {_WIDTH} {_HEIGHT + 10}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg>'
    )
