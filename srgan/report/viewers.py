"""The crops on which the models differ most, as the template shows them."""

import base64
import struct
from typing import Any

from srgan.measure.comparison import BICUBIC
from srgan.measure.figures import TITLES, figure_name, figure_text
from srgan.measure.pictures import ORIGINAL, Detail
from srgan.report.content import Content, title_of

_SIZE = slice(16, 24)  # width and height in a PNG's header


def viewers_section(content: Content) -> dict[str, Any]:
    """One viewer per crop."""
    details = content.details.details
    against_bicubic = all(detail.opponent == BICUBIC for detail in details)
    return {
        "viewers": [_viewer(content, detail) for detail in details],
        "opponent": "bicubic" if against_bicubic else "the champion",
    }


def _viewer(content: Content, detail: Detail) -> dict[str, Any]:
    top, left, side = detail.focus
    header = base64.b64decode(detail.images[ORIGINAL][:40])
    width, height = struct.unpack(">II", header[_SIZE])
    gain, tone = "the same", ""
    if detail.gain:
        word, tone = ("better", "good") if detail.gain > 0 else ("worse", "bad")
        gain = f"{figure_text(detail.figure, abs(detail.gain))} {word}"
    return {
        "source": detail.source,
        "gain": f"{figure_name(detail.figure)} {gain}",
        "tone": tone,
        "size": width,
        "x": f"{(left + side / 2) / width:.4f}",
        "y": f"{(top + side / 2) / height:.4f}",
        "frames": [
            {
                "method": name,
                "title": "Original" if name == ORIGINAL else title_of(content, name),
                "data": detail.images[name],
                "figures": _figures(detail, name),
            }
            for name in [*TITLES, ORIGINAL]
            if name in detail.images
        ],
    }


def _figures(detail: Detail, name: str) -> str:
    if name not in detail.figures:
        return ""
    flat = detail.figures[name].flat
    shown = dict.fromkeys(["psnr", detail.figure])
    return ", ".join(
        f"{figure_name(figure)} {figure_text(figure, flat[figure])}" for figure in shown
    )
