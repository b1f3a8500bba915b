"""A chain of origin, from a thing to all that it was made of, as text and as a picture."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from markupsafe import escape

from srgan.readable import shortened

_WIDTH = 720
_INDENT = 26
_LINE = 17
_PAD = 9
_GAP = 12
_CHAR = 7.2  # width of a digit at 12 px in a wide font
_NAME_WIDTH = 92

_STYLE = """
.node { fill: #fff; stroke: #b9c0ca; } .link { fill: none; stroke: #8a94a3; stroke-width: 1.5; }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1a1f27; }
.kind, .name { fill: #5b6472; } .title { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .node { fill: #1b2027; stroke: #4a5462; } text { fill: #e8ebf0; } .kind, .name { fill: #9aa5b4; }
}
"""


@dataclass(frozen=True)
class Link:
    """One thing in the chain."""

    kind: str
    """Kind of the node, seen from its parent: ``trained on dataset``."""
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    origins: tuple["Link", ...] = ()
    """Origins of the node, then its uses."""

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Link"]]:
        """Yield the node and everything below it, with the depth of each."""
        yield depth, self
        for origin in self.origins:
            yield from origin.walk(depth + 1)


def as_text(node: Link) -> str:
    """Draw an indented tree for a terminal; nothing is shortened."""
    return "\n".join(_lines(node, "", ""))


def _lines(node: Link, first: str, rest: str) -> Iterator[str]:
    yield f"{first}{node.kind}: {node.title}"
    below = "│  " if node.origins else "   "
    width = max(map(len, node.facts), default=0)
    for name, value in node.facts.items():
        yield f"{rest}{below}{name:<{width}}  {value}"
    for number, origin in enumerate(node.origins, start=1):
        last = number == len(node.origins)
        yield from _lines(
            origin, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  ")
        )


def as_svg(node: Link, *, alone: bool) -> str:
    """Draw the same tree as boxes. `alone` adds colours, for a file apart from the page."""
    boxes, tops = [], list[tuple[int, float]]()
    top = 2.0
    for depth, each in node.walk():
        height = 2 * _PAD + _LINE * (2 + len(each.facts)) - 4
        left = 2 + depth * _INDENT
        parent = next((y for d, y in reversed(tops) if d == depth - 1), None)
        if parent is not None:
            x = left - _INDENT + 12
            boxes.append(f'<path class="link" d="M{x} {parent:g}V{top + 18:g}H{left}"/>')
        boxes.append(_box(each, left, top, height))
        tops.append((depth, top + height))
        top += height + _GAP
    style = f"<style>{_STYLE}</style>" if alone else ""
    # Links first, so that they run behind the boxes between their ends.
    ordered = sorted(boxes, key=lambda part: not part.startswith("<path"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:g}" role="img" '
        f'aria-label="Where it comes from">{style}{"".join(ordered)}</svg>'
    )


def _box(node: Link, left: int, top: float, height: float) -> str:
    width = _WIDTH - left - 2
    room = int((width - 2 * _PAD) / _CHAR)
    x, y = left + _PAD, top + _PAD + 10
    parts = [
        f'<rect class="node" x="{left}" y="{top:g}" width="{width}" height="{height:g}" rx="7"/>',
        f'<text class="kind" x="{x}" y="{y:g}">{escape(shortened(node.kind, room))}</text>',
        f'<text class="title" x="{x}" y="{y + _LINE:g}">'
        f"{escape(shortened(node.title, room - 6))}</text>",
    ]
    for number, (name, value) in enumerate(node.facts.items(), start=2):
        line = y + _LINE * number
        shown = escape(shortened(value, room - int(_NAME_WIDTH / _CHAR)))
        parts.append(
            f'<text class="name" x="{x}" y="{line:g}">{escape(name)}</text>'
            f'<text x="{x + _NAME_WIDTH}" y="{line:g}">{shown}</text>'
        )
    return "".join(parts)
