"""The challenger minus whom it is held against, with intervals: crops, evaluation sets, people."""

from collections.abc import Iterator, Mapping
from typing import Any

from srgan.measure.bootstrap import Interval
from srgan.measure.comparison import BICUBIC
from srgan.measure.evaluation import CHAMPION
from srgan.measure.figures import (
    OPINION,
    figure_name,
    figure_text,
    in_order,
    interval_text,
    rises,
)
from srgan.promotion.gate import Opponent, differences
from srgan.promotion.opinions import OpinionPair
from srgan.report.charts import interval_bar
from srgan.report.content import Content


def opponent_of(content: Content) -> Opponent:
    """The champion, or without one bicubic."""
    if CHAMPION in content.evaluation.means:
        return Opponent(CHAMPION, "the champion")
    return Opponent(BICUBIC, "bicubic")


def differences_section(content: Content) -> list[dict[str, Any]]:
    """A table for each comparison: title and rows, which are none where an interval needs more."""
    return list(_tables(content))


def _tables(content: Content) -> Iterator[dict[str, Any]]:
    evidence = content.evidence
    for opponent in dict.fromkeys([opponent_of(content), Opponent(BICUBIC, "bicubic")]):
        yield _table(_whom(content, opponent.name), differences(content.evaluation, opponent))
    for name, found in evidence.sets.items():
        whom = _whom(content, evidence.against)
        yield _table(f"{whom} on evaluation set {name}", found.differences)
    if evidence.opinion:
        yield _opinions(_whom(content, CHAMPION), evidence.opinion)


def _whom(content: Content, opponent: str) -> str:
    if opponent == CHAMPION:
        return f"the champion, version {content.decision.champion_before}"
    return "bicubic"


def _opinions(whom: str, found: OpinionPair) -> dict[str, Any]:
    mine, theirs = (figure_text(OPINION, each) for each in (found.challenger, found.champion))
    title = (
        f"{whom}, as {found.num_raters} people see it on {found.num_images} images: {mine} to "
        f"{theirs} of 5"
    )
    return _table(title, {OPINION: found.difference} if found.difference else {})


def _table(whom: str, found: Mapping[str, Interval]) -> dict[str, Any]:
    return {"whom": whom, "rows": [_row(figure, found[figure]) for figure in in_order(found)]}


def _row(figure: str, interval: Interval) -> dict[str, Any]:
    ends = (interval.low, interval.mean, interval.high)
    # Drawn so that right is better, whichever way the figure counts.
    low, mean, high = ends if rises(figure) else tuple(-end for end in reversed(ends))
    word, tone = (
        ("better", "good") if low > 0 else ("worse", "bad") if high < 0 else ("unclear", "")
    )
    return {
        "name": figure_name(figure),
        "mean": figure_text(figure, interval.mean, signed=True),
        "interval": interval_text(figure, interval),
        "bar": interval_bar(low, mean, high),
        "word": word,
        "tone": tone,
    }
