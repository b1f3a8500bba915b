"""The report of a study in which people judged pictures: its content, and sections of its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from srgan.measure.figures import (
    OPINION,
    RANK,
    STRENGTH,
    figure_name,
    figure_text,
    interval_text,
    p_text,
)
from srgan.measure.intervals import Interval
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE, method_title
from srgan.mos.results import PreferenceResults, RatingResults, Results
from srgan.mos.scores import Contrast
from srgan.report.charts import interval_bar, interval_rows, shades, share_rows

SCORES = ("1 bad", "2", "3", "4", "5 excellent")
CHOICES = ("worse", "the same", "better")
_MAX_OPEN = 15
"""Differences that are shown without asking for them."""
_MAX_RATERS = 100
_CLEAR_P = 0.05


@dataclass(frozen=True)
class Frame:
    """A part of one method's picture, as raters saw it."""

    method: str
    said: str
    """How people judged the whole picture."""
    png: str
    """PNG as base64."""
    width: int
    height: int


@dataclass(frozen=True)
class ShownImage:
    """One image by every method."""

    name: str
    part: str
    """Place of the part in the picture that raters saw."""
    frames: Sequence[Frame]


@dataclass(frozen=True)
class StudyContent:
    """Everything that the page shows; nothing else is read to make it."""

    title: str
    """Name of the study, or of the file that the judgements came from."""
    made_at: str
    """Time of the report in UTC, as text."""
    results: Results
    facts: Mapping[str, str] = field(default_factory=dict)
    """How the study was made, by what the fact is about."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Address of each method."""
    images: Sequence[ShownImage] = ()


def head_section(content: StudyContent) -> dict[str, Any]:
    """Return the sentence and the tiles at the top."""
    found = content.results
    if isinstance(found, RatingResults):
        num, word, num_methods = found.num_ratings, "ratings", len(found.opinions)
    else:
        num, word, num_methods = found.num_choices, "choices", len(found.strengths)
    rejected = len(found.rejected)
    tiles = [
        (found.num_raters, "raters", f"{rejected} rejected" if rejected else "none rejected"),
        (found.num_images, "images", ""),
        (num_methods, "methods", ""),
        (num, word, "repeats included"),
    ]
    return {
        "sentence": _best(found),
        "tiles": [{"value": f"{n:,}", "label": label, "note": note} for n, label, note in tiles],
        "is_rated": isinstance(found, RatingResults),
    }


def _best(found: Results) -> str:
    """Say which method is the best besides the anchors, and how sure that is."""
    if isinstance(found, PreferenceResults):
        return _strongest(found)
    if not found.opinions:
        return "No rating counts: all raters were rejected."
    judged = [name for name in found.opinions if name not in (LOW_ANCHOR, REFERENCE)]
    ranked = sorted(judged, key=lambda name: -found.opinions[name].mean)
    if not ranked:
        return "Only the anchors were rated."
    text = (
        f"{method_title(ranked[0])} has the highest mean opinion score besides the anchors, "
        f"{figure_text(OPINION, found.opinions[ranked[0]].mean)} of 5"
    )
    pair = next((c for c in found.contrasts if {c.first, c.second} == set(ranked[:2])), None)
    if pair is None:
        return f"{text}."
    each = _turned(pair, pair.first != ranked[0])
    return (
        f"{text}; its difference from {method_title(ranked[1])} is "
        f"{figure_text(OPINION, each.difference, signed=True)} "
        f"(95 % interval {interval_text(OPINION, each.interval)}, p {p_text(each.p)})."
    )


def _strongest(found: PreferenceResults) -> str:
    if not found.strengths:
        return "No choice counts: all raters were rejected."
    if not any(each.num_better for each in found.strengths.values()):
        return "Nobody found a difference."
    name, first = next(iter(found.strengths.items()))
    text = (
        f"{method_title(name)} is the strongest: better in {first.num_better:,} of its "
        f"{first.num_better + first.num_same + first.num_worse:,} comparisons"
    )
    if not found.contrasts:
        return f"{text}."
    each = found.contrasts[0]
    return (
        f"{text}; its difference from {method_title(each.second)} is "
        f"{figure_text(STRENGTH, each.difference, signed=True)} "
        f"(95 % interval {interval_text(STRENGTH, each.interval)}, p {p_text(each.p)})."
    )


def scores_section(found: RatingResults) -> dict[str, Any]:
    """Return mean opinion scores and how often each score was given."""
    rows = {
        method_title(name): (
            each.mean,
            each.interval,
            _with_interval(OPINION, each.mean, each.interval),
        )
        for name, each in found.opinions.items()
    }
    shares = {method_title(name): each.counts for name, each in found.opinions.items()}
    return {
        "scores_chart": interval_rows(rows, low=1, high=5, label="mean opinion score"),
        "scores": [
            {
                "method": method_title(name),
                "mean": figure_text(OPINION, each.mean),
                "interval": interval_text(OPINION, each.interval, signed=False),
                "modelled": figure_text(OPINION, found.modelled[name]),
                "num_images": each.num_images,
                "num_raters": each.num_raters,
            }
            for name, each in found.opinions.items()
        ],
        "shares_chart": share_rows(shares, SCORES, unit="ratings", label="Share of each score"),
        "answers": list(zip(SCORES, shades(len(SCORES)), strict=True)),
    }


def differences_section(found: Results) -> dict[str, Any]:
    """Return the difference of each pair of methods, the higher one first."""
    figure = OPINION if isinstance(found, RatingResults) else STRENGTH
    shown = [_turned(each, each.difference < 0) for each in found.contrasts]
    intervals = [each.interval for each in shown if each.interval]
    reach = max((abs(end) for each in intervals for end in (each.low, each.high)), default=1.0)
    rows = [_difference_row(each, figure, reach) for each in shown]
    return {"differences": rows, "differences_open": len(rows) <= _MAX_OPEN}


def _turned(each: Contrast, turn: bool) -> Contrast:
    """Return the same difference, seen from the other method if `turn`."""
    if not turn:
        return each
    interval = each.interval and Interval(
        mean=-each.interval.mean, low=-each.interval.high, high=-each.interval.low
    )
    return Contrast(
        first=each.second,
        second=each.first,
        difference=-each.difference,
        interval=interval,
        p=each.p,
    )


def _difference_row(each: Contrast, figure: str, reach: float) -> dict[str, Any]:
    found = each.interval
    is_clear = each.p < _CLEAR_P and found is not None and found.low > 0
    return {
        "first": method_title(each.first),
        "second": method_title(each.second),
        "difference": figure_text(figure, each.difference, signed=True),
        "interval": interval_text(figure, found),
        "bar": interval_bar(found.low, found.mean, found.high, reach) if found else "",
        "p": p_text(each.p),
        "word": "higher" if is_clear else "unclear",
        "tone": "good" if is_clear else "",
    }


def strengths_section(found: PreferenceResults) -> dict[str, Any]:
    """Return strengths, and how often each method was better, the same and worse."""
    rows = {
        method_title(name): (
            each.strength,
            each.interval,
            _with_interval(STRENGTH, each.strength, each.interval),
        )
        for name, each in found.strengths.items()
    }
    ends = [0.0] + [
        end
        for value, interval, _ in rows.values()
        for end in ((interval.low, interval.high) if interval else (value,))
    ]
    low, high = min(ends) - 0.2, max(ends) + 0.2
    shares = {
        method_title(name): (each.num_worse, each.num_same, each.num_better)
        for name, each in found.strengths.items()
    }
    return {
        "strengths_chart": interval_rows(rows, low=low, high=high, label="strength"),
        "strengths": [
            {
                "method": method_title(name),
                "strength": figure_text(STRENGTH, each.strength),
                "interval": interval_text(STRENGTH, each.interval, signed=False),
                "counts": (each.num_better, each.num_same, each.num_worse),
            }
            for name, each in found.strengths.items()
        ],
        "shares_chart": share_rows(shares, CHOICES, unit="choices", label="Share of each answer"),
        "answers": list(zip(CHOICES, shades(len(CHOICES)), strict=True)),
    }


def agreement_section(found: RatingResults) -> dict[str, Any]:
    """Return the rank correlations of figures with people."""
    rows = {
        figure_name(figure): (
            each.spearman,
            each.spearman_interval,
            _with_interval(RANK, each.spearman, each.spearman_interval),
        )
        for figure, each in found.agreement.items()
    }
    lows = [interval.low for _, interval, _ in rows.values() if interval]
    low = -1 if min([0, *(value for value, _, _ in rows.values()), *lows]) < 0 else 0
    return {
        "agreement_chart": rows
        and interval_rows(rows, low=low, high=1, label="Spearman's rank correlation"),
        "agreement": [
            {
                "figure": figure_name(figure),
                "spearman": figure_text(RANK, each.spearman),
                "spearman_interval": interval_text(RANK, each.spearman_interval, signed=False),
                "kendall": figure_text(RANK, each.kendall),
                "kendall_interval": interval_text(RANK, each.kendall_interval, signed=False),
                "num_stimuli": each.num_stimuli,
            }
            for figure, each in found.agreement.items()
        ],
    }


def raters_section(found: Results) -> dict[str, Any]:
    """Return rejected raters with the reasons, and raters by the model of subjects."""
    modelled = found.raters if isinstance(found, RatingResults) else {}
    ranked = sorted(modelled.items(), key=lambda each: -each[1].inconsistency)
    return {
        "num_raters": found.num_raters,
        "rejected": found.rejected,
        "raters": [
            {
                "rater": name,
                "num_ratings": each.num_ratings,
                "bias": figure_text(OPINION, each.bias, signed=True),
                "inconsistency": figure_text(OPINION, each.inconsistency),
                "is_rejected": name in found.rejected,
            }
            for name, each in ranked[:_MAX_RATERS]
        ],
        "more_raters": max(0, len(ranked) - _MAX_RATERS),
    }


def _with_interval(figure: str, value: float, interval: Interval | None) -> str:
    text = figure_text(figure, value)
    return f"{text} ({interval_text(figure, interval, signed=False)})" if interval else text
