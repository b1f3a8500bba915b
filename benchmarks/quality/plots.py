"""Curves of PSNR over training time, and PSNR against a judge's figure, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from benchmarks.quality.results import Training
from srgan.measure.figures import figure_name

STYLE: Any = {
    "svg.hashsalt": "srgan",  # the same figures give the same file
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.prop_cycle": cycler(color=mpl.color_sequences["tab20"]),
}
METADATA = {"Date": None}
_SIZE = (8.6, 4.4)


def plot_curves(
    trainings: Sequence[Training], reference: tuple[str, float], path: Path, *, log: bool
) -> None:
    """Plot PSNR on the held-out photos over minutes of training.

    `reference` is the title and the PSNR of what the trainings have to be compared with.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for training in trainings:
            minutes, psnr = zip(*training.curve, strict=True)
            title = training.contestant.title
            axes.plot(minutes, psnr, label=title, linewidth=1.6, marker=".")
        axes.axhline(reference[1], color="0.4", linestyle=":", label=reference[0])
        axes.set(xlabel="minutes of training", ylabel="PSNR on held-out photos (dB, luma)")
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        _legend_beside(figure)
        figure.savefig(path, format="svg", metadata=METADATA)


def plot_plane(
    methods: Mapping[str, tuple[float, float]], judge: str, title: str, path: Path
) -> None:
    """Plot PSNR and a judge's figure: right is nearer in pixels, up is nearer to the eye."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        axes = figure.subplots()
        for name, (psnr, perception) in methods.items():
            marker = "D" if name.startswith("SRGAN") else "o"
            axes.plot(psnr, perception, marker, label=name, linestyle="none")
        axes.invert_yaxis()
        axes.margins(x=0.12, y=0.1)
        axes.set(
            xlabel="PSNR (dB, luma): better to the right",
            ylabel=f"{figure_name(judge)}: better upwards",
            title=title,
        )
        # A legend, because names beside the points would overlap.
        _legend_beside(figure)
        figure.savefig(path, format="svg", metadata=METADATA)


def _legend_beside(figure: Figure) -> None:
    figure.legend(frameon=False, loc="outside right center", fontsize=8)
