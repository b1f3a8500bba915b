"""Tables of mean opinion scores for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srgan.cli.console import empty_table
from srgan.measure.figures import (
    OPINION,
    RANK,
    STRENGTH,
    figure_name,
    figure_text,
    interval_text,
    p_text,
)
from srgan.mos.ratings import method_title

if TYPE_CHECKING:
    from rich.table import Table

    from srgan.mos.results import PreferenceResults, RatingResults, Results
    from srgan.mos.scores import Contrast, Opinion

_INTERVAL = "95 % interval"


def opinions_table(title: str, opinions: Mapping[str, "Opinion"]) -> "Table":
    """List the mean opinion scores of a study by method."""
    table = empty_table("method", "MOS", _INTERVAL, "images", "raters", title=title)
    for method, each in opinions.items():
        table.add_row(
            method_title(method),
            figure_text(OPINION, each.mean),
            interval_text(OPINION, each.interval, signed=False),
            str(each.num_images),
            str(each.num_raters),
        )
    return table


def studies_table(studies: Sequence[Mapping[str, Any]]) -> "Table":
    """List studies as `srgan mos list` finds them."""
    table = empty_table("study", "methods", "images", "raters", "judgements", "", title=None)
    for each in studies:
        table.add_row(
            each["study"],
            ", ".join(each["methods"]),
            str(each["num_images"]),
            str(each["num_raters"]),
            f"{each['num_judgements']} {each['judging']}",
            "closed" if each["closed"] else "open",
        )
    return table


def results_tables(title: str, found: "Results") -> Iterator["Table"]:
    """Show everything that the judgements of a study say."""
    from srgan.mos.results import RatingResults

    if isinstance(found, RatingResults):
        return _rating_tables(title, found)
    return _preference_tables(title, found)


def _rating_tables(title: str, found: "RatingResults") -> Iterator["Table"]:
    """Show scores, rejected raters, differences between methods, and figures beside people."""
    table = empty_table(
        "method", "MOS", _INTERVAL, "model", "images", "raters", *"12345", title=title
    )
    table.caption = (
        f"{found.num_ratings} ratings, {len(found.rejected)} raters rejected; model: without "
        "raters' bias, weighted by their consistency; 1 to 5: how often it got the score"
    )
    for method, each in found.opinions.items():
        table.add_row(
            method_title(method),
            figure_text(OPINION, each.mean),
            interval_text(OPINION, each.interval, signed=False),
            figure_text(OPINION, found.modelled[method]),
            str(each.num_images),
            str(each.num_raters),
            *map(str, each.counts),
        )
    yield table
    yield from _rejected(found.rejected)
    yield _contrasts(found.contrasts, OPINION, "p: Wilcoxon over photos")
    if found.agreement:
        yield _agreement(found)


def _preference_tables(title: str, found: "PreferenceResults") -> Iterator["Table"]:
    """Show strengths and rejected raters of pair comparisons."""
    table = empty_table("method", "strength", _INTERVAL, "better", "same", "worse", title=title)
    table.caption = (
        f"{found.num_choices} choices, {len(found.rejected)} raters rejected; 1 more strength is "
        "better in 73 % of the choices that are made"
    )
    for method, each in found.strengths.items():
        table.add_row(
            method_title(method),
            figure_text(STRENGTH, each.strength),
            interval_text(STRENGTH, each.interval, signed=False),
            str(each.num_better),
            str(each.num_same),
            str(each.num_worse),
        )
    yield table
    yield from _rejected(found.rejected)
    if found.contrasts:
        yield _contrasts(found.contrasts, STRENGTH, "p: Student's t, for other people too")


def _rejected(rejected: Mapping[str, tuple[str, ...]]) -> Iterator["Table"]:
    if rejected:
        table = empty_table("rater", "why", title="Rejected raters")
        for rater, reasons in rejected.items():
            table.add_row(rater, "\n".join(reasons))
        yield table


def _contrasts(contrasts: Sequence["Contrast"], figure: str, p: str) -> "Table":
    table = empty_table(
        "", "minus", "difference", _INTERVAL, "p", title="Differences between methods"
    )
    table.caption = f"{p}, corrected by Holm; the interval is for other photos and other people"
    for each in contrasts:
        table.add_row(
            method_title(each.first),
            method_title(each.second),
            figure_text(figure, each.difference, signed=True),
            interval_text(figure, each.interval),
            p_text(each.p),
        )
    return table


def _agreement(found: "RatingResults") -> "Table":
    table = empty_table(
        "figure", "Spearman", _INTERVAL, "Kendall", _INTERVAL, "images", title="Figures and people"
    )
    table.caption = "1: ranks images as people do; the sign of distances is turned"
    for figure, each in found.agreement.items():
        table.add_row(
            figure_name(figure),
            figure_text(RANK, each.spearman),
            interval_text(RANK, each.spearman_interval, signed=False),
            figure_text(RANK, each.kendall),
            interval_text(RANK, each.kendall_interval, signed=False),
            str(each.num_stimuli),
        )
    return table
