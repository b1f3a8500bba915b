"""Boxes, arrows and words as SVG, on white paper so that they show in light and dark pages."""

from collections.abc import Sequence
from html import escape

DATA, GENERATOR, JUDGE, LOSS, BAD = "data", "generator", "judge", "loss", "bad"

_COLOURS = {
    DATA: ("#f1f1f1", "#666666"),
    GENERATOR: ("#dcebfa", "#2b6cb0"),
    JUDGE: ("#fdebd3", "#b05a00"),
    LOSS: ("#e0f3e2", "#2f7d3b"),
    BAD: ("#fbe3e1", "#b3261e"),
}
"""Paper and ink of each kind of box."""
_INK = "#222222"
_LINE = 17
_SIZE = 13

Point = tuple[float, float]


class Drawing:
    """A figure of `width`×`height` units; `title` is what screen readers say."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._parts: list[str] = []

    def box(
        self, left: float, top: float, width: float, height: float, kind: str, *lines: str
    ) -> None:
        """A box with lines of words in its middle, the first one bold if there are several."""
        paper, ink = _COLOURS[kind]
        self._parts.append(
            f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="{paper}" stroke="{ink}" stroke-width="1.5"/>'
        )
        first = top + height / 2 - (len(lines) - 1) * _LINE / 2
        for number, line in enumerate(lines):
            self.words(
                (left + width / 2, first + number * _LINE), line, bold=not number and len(lines) > 1
            )

    def words(
        self,
        at: Point,
        line: str,
        *,
        bold: bool = False,
        anchor: str = "middle",
        kind: str | None = None,
    ) -> None:
        """One line of words, its middle (or ``start``, ``end``) at a point."""
        weight = ' font-weight="bold"' if bold else ""
        ink = _COLOURS[kind][1] if kind else _INK
        self._parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" dy="0.35em" text-anchor="{anchor}" '
            f'fill="{ink}"{weight}>{escape(line)}</text>'
        )

    def arrow(
        self, points: Sequence[Point], *, kind: str | None = None, dashed: bool = False
    ) -> None:
        """A line through points with a head at its end."""
        ink = _COLOURS[kind][1] if kind else _INK
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="1.5"{dash}/>'
        )
        (x, y), (fromx, fromy) = points[-1], points[-2]
        length = ((x - fromx) ** 2 + (y - fromy) ** 2) ** 0.5
        along, up = (x - fromx) / length, (y - fromy) / length
        head = [(x, y)] + [
            (x - 9 * along - side * up, y - 9 * up + side * along) for side in (-4, 4)
        ]
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in head)
        self._parts.append(f'<polygon points="{corners}" fill="{ink}"/>')

    def square(self, left: float, top: float, side: float, colour: str, line: str = "") -> None:
        """A small square, such as a pixel."""
        self._parts.append(
            f'<rect x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}" '
            f'fill="{colour}" stroke="#ffffff"/>'
        )
        if line:
            self.words((left + side / 2, top + side / 2), line)

    def svg(self) -> str:
        """The whole file."""
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height}" '
            f'width="{self._width}" height="{self._height}" role="img" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="{_SIZE}">\n'
            f"<title>{escape(self._title)}</title>\n"
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
        )
