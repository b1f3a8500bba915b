"""Sections of the page, as the template shows them: figures, photos, data and times."""

import base64
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from srgan.config.networks import deciding_judges
from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL
from srgan.measure.figures import (
    OPINION,
    TITLES,
    better,
    figure_head,
    figure_name,
    figure_text,
    identical_note,
    in_order,
    interval_text,
    rises,
)
from srgan.measure.intervals import Interval
from srgan.measure.pictures import ORIGINAL, Detail
from srgan.promotion.findings import Opponent
from srgan.promotion.gate import differences
from srgan.promotion.opinions import OpinionPair
from srgan.readable import duration
from srgan.report.charts import interval_bar, plane
from srgan.report.content import Content, title_of
from srgan.report.costs import Cost

_MAX_FILES = 100
_SIZE = slice(16, 24)  # width and height in a PNG's header
_STAGES = {"pretrain": "Pretraining", "adversarial": "GAN stage", "evaluate": "Evaluation"}


def headline(content: Content) -> list[dict[str, str]]:
    """Return the challenger's figures, each with its change from the opponent."""
    means, opponent = content.evaluation.means, _opponent(content)
    tiles = []
    for figure, value in means[MODEL].flat.items():
        change = value - means[opponent.name].flat[figure]
        tiles.append(
            {
                "value": figure_text(figure, value),
                "label": figure_head(figure),
                "note": f"{figure_text(figure, change, signed=True)} against {opponent.whose}",
                "tone": "good" if better(figure, change) else "bad" if change else "",
            }
        )
    return tiles


def _opponent(content: Content) -> Opponent:
    """Return the champion as the opponent, or bicubic if there is none."""
    if CHAMPION in content.evaluation.means:
        return Opponent(CHAMPION, "the champion")
    return Opponent(BICUBIC, "bicubic")


def figures_section(content: Content) -> dict[str, Any]:
    """Return means, differences with intervals, and the plane of perception and distortion."""
    report = content.evaluation
    shown = [name for name in TITLES if name in report.means]
    tables = {"": report.metrics} | {
        f"Evaluation set {name}, {found.images}": found.metrics
        for name, found in report.sets.items()
    }
    figures = in_order(figure for metrics in tables.values() for figure in metrics[MODEL])
    return {
        "num_crops": len(report.images),
        "num_photos": len({image.source for image in report.images}),
        "scale": report.scale,
        "identical_note": identical_note(report.means[MODEL].num_identical),
        "figure_heads": [figure_head(figure) for figure in figures],
        "tables": [
            {"title": title, "rows": _rows(content, metrics, figures)}
            for title, metrics in tables.items()
        ],
        "taught": bool(report.trained_on_judge),
        "differences": list(_differences(content)),
        "plane": _plane(content, shown),
    }


def _rows(
    content: Content, metrics: Mapping[str, Mapping[str, float]], figures: list[str]
) -> list[dict[str, Any]]:
    """Return a row per contestant with a cell per figure; the best of each column is marked.

    The figures are those of all tables: a distance that some image here is too small for is ``–``.
    """
    shown = [name for name in TITLES if name in metrics]
    best = {
        figure: max(
            (metrics[name][figure] for name in shown if figure in metrics[name]),
            key=lambda value: value if rises(figure) else -value,
            default=None,
        )
        for figure in figures
    }
    return [
        {
            "title": title_of(content, name),
            "is_model": name == MODEL,
            "cells": [
                {
                    "text": figure_text(figure, metrics[name].get(figure)),
                    "best": figure in metrics[name] and metrics[name][figure] == best[figure],
                    "taught": name in content.evaluation.trained_on_judge.get(figure, ()),
                }
                for figure in figures
            ],
        }
        for name in shown
    ]


def _plane(content: Content, shown: list[str]) -> str:
    means = content.evaluation.means
    distance = next(iter(deciding_judges(means[MODEL].distances)), None)
    if distance is None:
        return ""
    points = {
        title_of(content, name): (means[name].psnr, means[name].distances[distance])
        for name in shown
    }
    return plane(points, x_label="PSNR (dB)", y_label=f"{figure_name(distance)}, lower is better")


def _differences(content: Content) -> Iterator[dict[str, Any]]:
    """Yield a table for each comparison; without rows if there are too few photos for intervals."""
    evidence = content.evidence
    for opponent in dict.fromkeys([_opponent(content), Opponent(BICUBIC, "bicubic")]):
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
    return {
        "whom": whom,
        "rows": [_difference_row(figure, found[figure]) for figure in in_order(found)],
    }


def _difference_row(figure: str, interval: Interval) -> dict[str, Any]:
    ends = (interval.low, interval.mean, interval.high)
    # Better is always to the right, also for figures of which less is better.
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


def viewers_section(content: Content) -> dict[str, Any]:
    """Return a viewer for each crop on which the models differ most."""
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
                "figures": _figures_of(detail, name),
            }
            for name in [*TITLES, ORIGINAL]
            if name in detail.images
        ],
    }


def _figures_of(detail: Detail, name: str) -> str:
    if name not in detail.figures:
        return ""
    flat = detail.figures[name].flat
    shown = dict.fromkeys(["psnr", detail.figure])
    return ", ".join(
        f"{figure_name(figure)} {figure_text(figure, flat[figure])}" for figure in shown
    )


def dataset_section(content: Content) -> dict[str, Any]:
    """Return the dataset version, and how it differs from the champion's."""
    dataset = content.evaluation.dataset
    rows = [
        ("Dataset", f"{dataset.dataset}, version {dataset.version[:12]}"),
        ("Source", dataset.source),
        ("To train on", f"{dataset.num_train_photos} photos, {dataset.num_train_crops} crops"),
        ("Held out", f"{dataset.num_eval_photos} photos, {dataset.num_eval_crops} crops"),
        ("Not usable", f"{dataset.num_rejected} files"),
        ("Licence", content.licence or "not stated"),
    ]
    if pairs := content.pairs:
        rows += [
            ("Pairs", f"{pairs.dataset}, version {pairs.version[:12]}, {pairs.num_train_photos}"),
            ("Sources of the pairs", f"{pairs.source} and {pairs.lr_source}"),
            ("Licence of the pairs", pairs.licence or "not stated"),
        ]
    photos = content.photos
    groups = {
        "new": photos.new if photos else (),
        "changed": photos.changed if photos else (),
        "removed": photos.removed if photos else (),
    }
    if content.decision.champion_before is None:
        note = "This is the first champion, so all photos are new to this model."
    elif photos is None:
        note = "The champion or its dataset version is gone, so what has changed is unknown."
    else:
        note = "Compared with the champion's dataset version, by their pixels." + (
            "" if photos.num_total else " Nothing has changed."
        )
    return {
        "dataset_rows": rows,
        "photo_groups": [
            {
                "word": f"{'photo' if len(keys) == 1 else 'photos'} {word}",
                "count": len(keys),
                "shown": keys[:_MAX_FILES],
                "more": max(0, len(keys) - _MAX_FILES),
                "open": len(keys) <= 8,
            }
            for word, keys in groups.items()
            if keys
        ],
        "photo_note": note,
    }


def times_section(content: Content) -> dict[str, Any]:
    """Return times by stage: those of this retraining, and those taken over from earlier ones."""
    own: defaultdict[str, list[Cost]] = defaultdict(list)
    earlier: defaultdict[str, list[Cost]] = defaultdict(list)
    for cost in content.costs:
        (own if cost.job.startswith(content.flow_run) else earlier)[cost.stage].append(cost)
    mine = [cost for costs in own.values() for cost in costs]
    in_jobs_s = sum(cost.seconds for cost in mine)
    rows = [_cost_row(_STAGES.get(stage, stage), costs) for stage, costs in own.items()]
    rest_s = max(0.0, content.elapsed_s - in_jobs_s)
    rows.append({"title": "Reading photos, waiting, starting", "wall": duration(rest_s)})
    rows.append(
        _cost_row("This retraining", mine) | {"wall": duration(content.elapsed_s), "total": True}
    )
    rows += [
        _cost_row(f"{_STAGES.get(stage, stage)}, taken over from an earlier run", costs)
        for stage, costs in earlier.items()
    ]
    return {"cost_rows": [{"cpu": "–", "gpu": "–", "total": False} | row for row in rows]}


def _cost_row(title: str, costs: list[Cost]) -> dict[str, Any]:
    return {
        "title": title,
        "wall": duration(sum(cost.seconds for cost in costs)),
        "cpu": f"{sum(cost.cpu_seconds for cost in costs):,.0f} s",
        "gpu": f"{sum(cost.gpu_seconds for cost in costs):,.0f} s",
    }
