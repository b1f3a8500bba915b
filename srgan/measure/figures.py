"""Figures of quality for people: names, digits, units and tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from srgan.config.networks import JUDGES, NIQE
from srgan.measure.intervals import Interval

TITLES = {
    "bicubic": "Bicubic",
    "pretrained": "Pretrained",
    "model": "SRGAN",
    "champion": "Champion",
}
"""Titles of the contestants of an evaluation, in the order in which they are shown."""

PIXEL_FIGURES = ("psnr", "ssim")
"""Figures that are fair only between models trained on pixels alone; all others are judges'."""

OPINION = "mos"
"""Name of the mean opinion score, which people give and nothing measures."""
STRENGTH = "strength"
"""Name of what pair comparisons give a method."""
RANK = "rank correlation"

_NAMES = {"psnr": "PSNR", "ssim": "SSIM", OPINION: "Mean opinion score"}
# Three digits of PSNR, because the gate compares and shows three.
_DIGITS = {"psnr": 3, OPINION: 2, STRENGTH: 2, RANK: 2, NIQE: 2}
_UNITS = {"psnr": " dB"}


def in_order(figures: Iterable[str]) -> list[str]:
    """Sort names of figures for people: PSNR, SSIM, distances. JSON has them by alphabet."""
    return sorted(set(figures), key=lambda name: (name not in PIXEL_FIGURES, name))


def rises(figure: str) -> bool:
    """True if higher is better; for distances lower is better."""
    return figure in _NAMES


def better(figure: str, difference: float) -> bool:
    """True if `difference`, model minus opponent, is a gain."""
    return difference > 0 if rises(figure) else difference < 0


def figure_name(figure: str) -> str:
    """Name for people: ``squeezenet_distance`` → ``SqueezeNet distance``."""
    if figure in JUDGES:
        return JUDGES[figure].title
    return _NAMES.get(figure) or figure.replace("_", " ")


def figure_head(figure: str) -> str:
    """Name for people, with an arrow if lower is better."""
    return figure_name(figure) + ("" if rises(figure) else "\N{NO-BREAK SPACE}↓")


def figure_text(
    figure: str, value: float | None, *, signed: bool = False, taught: bool = False
) -> str:
    """Format a value: ``28.431 dB``, ``0.8112`` or, as a difference, ``+0.120 dB``; ``–`` for None.

    `taught`: the contestant was trained on the judge that measures this distance.
    """
    if value is None:
        return "–"
    digits, unit = _DIGITS.get(figure, 4), _UNITS.get(figure, "")
    text = f"{value:{'+' if signed else ''}.{digits}f}{unit}".replace("-", "−")
    return f"{text} (trained on the judge)" if taught else text


def interval_text(figure: str, interval: Interval | None, *, signed: bool = True) -> str:
    """Format an interval: ``+0.120 to +0.310 dB``; ``–`` for None."""
    if interval is None:
        return "–"
    low, high = (figure_text(figure, end, signed=signed) for end in (interval.low, interval.high))
    return f"{low.removesuffix(_UNITS.get(figure, ''))} to {high}"


def p_text(p: float) -> str:
    """Format a p-value: ``0.043``, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


@dataclass(frozen=True)
class Table:
    """Cells of text; the first cell of each row names it."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Markdown with numbers aligned to the right; "" without rows."""
        if not self.rows:
            return ""
        lines = [f"| {' | '.join(cells)} |" for cells in (self.heads, *self.rows)]
        return "\n".join([lines[0], "|---" + "|---:" * (len(self.heads) - 1) + "|", *lines[1:]])


def means_table(
    metrics: Mapping[str, Mapping[str, float]],
    trained_on_judge: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Table:
    """Make a row for each contestant of `EvaluationRef.metrics` and a column for each figure.

    A distance is marked if the contestant was trained on its judge.
    """
    shown = [name for name in TITLES if name in metrics]
    figures = in_order(figure for name in shown for figure in metrics[name])
    return Table(
        heads=("", *(figure_head(each) + (" (Y)" if rises(each) else "") for each in figures)),
        rows=tuple(
            (
                TITLES[name],
                *(
                    figure_text(
                        each,
                        metrics[name].get(each),
                        taught=name in trained_on_judge.get(each, ()),
                    )
                    for each in figures
                ),
            )
            for name in shown
        ),
    )


def differences_table(head: str, found: Mapping[str, Mapping[str, Interval]]) -> Table:
    """Tabulate differences with intervals by evaluation set; "" stands for the held-out crops."""
    return Table(
        heads=(head, "mean", "95 % interval"),
        rows=tuple(
            (
                f"{on}: {figure_name(each)}" if on else figure_name(each),
                figure_text(each, intervals[each].mean, signed=True),
                interval_text(each, intervals[each]),
            )
            for on, intervals in found.items()
            for each in in_order(intervals)
        ),
    )


def trained_on_judge_note(trained_on_judge: Mapping[str, Sequence[str]]) -> str:
    """Caption such as ``squeezenet_distance: SRGAN trained on the judge``; "" for no contestant."""
    return "; ".join(
        f"{distance}: {', '.join(TITLES[name] for name in names)} trained on the judge"
        for distance, names in trained_on_judge.items()
    )


def identical_note(num_identical: int) -> str:
    """Say what the mean PSNR leaves out: `` PSNR leaves out 1 image …``; "" for nothing."""
    if not num_identical:
        return ""
    noun = "image" if num_identical == 1 else "images"
    return f" PSNR leaves out {num_identical} {noun} that a contestant restored exactly."


def one_line(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Line for logs: ``Bicubic 28.430 dB, SRGAN 29.100 dB``."""
    return ", ".join(
        f"{title} {figure_text('psnr', metrics[name]['psnr'])}"
        for name, title in TITLES.items()
        if name in metrics
    )
