"""Curves that follow from a formula or from the paper's Table 2."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.quality.paper import TABLES
from benchmarks.quality.plots import METADATA, STYLE
from srgan.measure.intervals import fewest_photos, quantile
from srgan.promotion.findings import confidence_of

_SIZE = (8.6, 3.6)
_GREY = "0.55"
_ATTEMPTS = range(1, 21)
_NAMED_BEFORE = (
    *("SRCNN", "DRCN", "SRResNet-VGG22"),
    *("SRGAN-VGG22", "SRGAN-VGG54"),
)
"""Methods whose names stand on the left of their points, where there is room."""


def averages(path: Path) -> None:
    """Edges that fit one LR image, and the image with the least expected square error: their mean.

    The places of an edge that the LR pixels leave open are taken to be equally likely.
    """
    position = np.linspace(0, 4, 401)
    edges = [np.where(position > place, 0.85, 0.15) for place in np.linspace(1.2, 2.8, 5)]
    many = [np.where(position > place, 0.85, 0.15) for place in np.linspace(1.2, 2.8, 400)]

    def draw(left: Axes, right: Axes) -> None:
        for edge in edges:
            left.plot(position, edge, color=_GREY)
        left.set_title("five originals that give one LR image")
        right.plot(position, np.mean(many, axis=0), color="#b05a00", linewidth=2)
        right.set_title("their mean has the least square error")
        for axes in (left, right):
            axes.set(xlabel="position in HR pixels", ylabel="brightness", ylim=(0, 1))

    _two(path, draw)


def opinions(path: Path) -> None:
    """The paper's mean opinion scores over its PSNR, Tables 1 and 2.

    Diamonds are networks that learned from more than pixels.
    """

    def draw(*both: Axes) -> None:
        for axes, (name, rows) in zip(both, TABLES.items(), strict=True):
            shown = {key: row for key, row in rows.items() if key != "original"}
            for key, row in shown.items():
                more = key.startswith("SRGAN") or key.endswith("VGG22")
                colour, marker = ("#b05a00", "D") if more else ("#2b6cb0", "o")
                axes.plot(row.psnr, row.mos, marker, color=colour)
                before = key in _NAMED_BEFORE
                axes.annotate(
                    key,
                    (row.psnr, row.mos),
                    xytext=(-6 if before else 6, -3),
                    textcoords="offset points",
                    ha="right" if before else "left",
                    fontsize=8,
                )
            axes.set(
                title=name,
                xlabel="PSNR (dB)",
                ylabel="mean opinion score, 1 to 5",
                ylim=(1, 4.4),
            )
            left, right = axes.get_xlim()
            axes.set_xlim(left, right + 0.28 * (right - left))  # room for the last name
            axes.axhline(rows["original"].mos, color=_GREY, linestyle=":")
            axes.annotate("original", (axes.get_xlim()[0], rows["original"].mos - 0.16), fontsize=8)

    _two(path, draw)


def adversarial(path: Path) -> None:
    """Both forms of the generator's loss over the discriminator's logit, and their slopes."""
    logit = np.linspace(-8, 4, 400)
    judged = 1 / (1 + np.exp(-logit))

    def draw(left: Axes, right: Axes) -> None:
        left.plot(logit, -np.log(judged), label="−log D, equation 6", color="#2f7d3b")
        left.plot(logit, np.log(1 - judged), label="log(1 − D), equation 2", color="#b05a00")
        left.set(ylabel="loss of the generator", ylim=(-5, 8))
        right.plot(logit, 1 - judged, label="of −log D", color="#2f7d3b")
        right.plot(logit, judged, label="of log(1 − D)", color="#b05a00")
        right.set(ylabel="size of the slope")
        for axes in (left, right):
            axes.set_xlabel("logit of D(G(LR)); below 0: taken to be generated")
            axes.legend(frameon=False, fontsize=8)

    _two(path, draw)


def evidence(path: Path) -> None:
    """Mean gain that promotes, in standard deviations between photos, by attempt and photos."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for photos in (7, 10, 20, 50, 100):
            attempts = [each for each in _ATTEMPTS if enough_photos(each, photos)]
            gains = [needed_gain(attempt, photos) for attempt in attempts]
            axes.plot(attempts, gains, marker=".", label=f"{photos} photos")
        axes.set(
            xlabel="attempt against the same champion",
            ylabel="gain in standard deviations",
            ylim=(0, 1.5),
            xticks=[1, 5, 10, 15, 20],
        )
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata=METADATA)


def needed_gain(attempt: int, num_photos: int) -> float:
    """The least mean gain whose whole interval lies above 0, in standard deviations."""
    return float(quantile(num_photos - 1, confidence_of(attempt)) / num_photos**0.5)


def enough_photos(attempt: int, num_photos: int) -> bool:
    """True if a gain can be shown with this many photos, when each of them gains."""
    return num_photos >= fewest_photos((1 - confidence_of(attempt)) / 2)


def _two(path: Path, draw: Callable[[Axes, Axes], None]) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        left, right = figure.subplots(1, 2)
        draw(left, right)
        figure.savefig(path, format="svg", metadata=METADATA)
