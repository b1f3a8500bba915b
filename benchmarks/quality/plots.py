"""Curves of PSNR over training time, and PSNR against perceptual distance, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.quality.measuring import Figures
from benchmarks.quality.results import Training

_STYLE = {
    "svg.hashsalt": "srgan",  # the same figures give the same file
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.prop_cycle": mpl.cycler(color=mpl.color_sequences["tab20"]),
}
_METADATA = {"Date": None}


def plot_curves(trainings: Sequence[Training], bicubic: float, path: Path) -> None:
    """Plot PSNR on the held-out photos over minutes of training, logarithmic in time."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for training in trainings:
            minutes, psnr = zip(*training.curve, strict=True)
            axes.plot(minutes, psnr, label=training.contestant.title, linewidth=1.6)
        axes.axhline(bicubic, color="0.4", linestyle=":", label="bicubic")
        axes.set(
            xscale="log", xlabel="minutes of training", ylabel="PSNR on held-out photos (dB, luma)"
        )
        axes.xaxis.set_major_formatter("{x:g}")
        axes.legend(frameon=False, loc="lower right", fontsize=9)
        figure.savefig(path, format="svg", metadata=_METADATA)


def plot_plane(methods: Mapping[str, Figures], title: str, path: Path) -> None:
    """Plot distortion against perception: right is nearer in pixels, up is nearer to the eye."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for name, figures in methods.items():
            # A legend, because names beside the points would overlap.
            marker = "D" if name.startswith("SRGAN") else "o"
            axes.plot(figures.psnr, figures.distance, marker, label=name, linestyle="none")
        axes.invert_yaxis()
        axes.legend(frameon=False, loc="lower right", fontsize=9, ncols=2)
        axes.margins(x=0.12, y=0.1)
        axes.set(
            xlabel="PSNR (dB, luma): better to the right",
            ylabel="squeezenet_distance: better upwards",
            title=title,
        )
        figure.savefig(path, format="svg", metadata=_METADATA)
