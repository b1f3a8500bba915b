"""Figures, photos and times of a report, as the template shows them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from srgan.measure.evaluation import MODEL
from srgan.measure.figures import (
    TITLES,
    better,
    figure_head,
    figure_name,
    figure_text,
    in_order,
    rises,
)
from srgan.readable import duration
from srgan.report.charts import plane
from srgan.report.content import Content, title_of
from srgan.report.costs import Cost
from srgan.report.differences import differences_section, opponent_of

_MAX_FILES = 100
_STAGES = {"pretrain": "Pretraining", "adversarial": "GAN stage", "evaluate": "Evaluation"}


def headline(content: Content) -> list[dict[str, str]]:
    """The challenger's figures, each with what changed against whom it was judged against."""
    means, opponent = content.evaluation.means, opponent_of(content)
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


def figures_section(content: Content) -> dict[str, Any]:
    """Table of means, differences with intervals, and the plane of perception and distortion."""
    report = content.evaluation
    shown = [name for name in TITLES if name in report.means]
    figures = in_order(report.means[MODEL].flat)
    return {
        "num_crops": len(report.images),
        "num_photos": len({image.source for image in report.images}),
        "scale": report.scale,
        "figure_heads": [figure_head(figure) for figure in figures],
        "tables": [
            {"title": "", "rows": _rows(content, report.metrics, figures)},
            *(
                {
                    "title": f"Evaluation set {name}, {found.num_images} images",
                    "rows": _rows(content, found.metrics, figures),
                }
                for name, found in report.sets.items()
            ),
        ],
        "taught": bool(report.trained_on_judge),
        "differences": differences_section(content),
        "plane": _plane(content, shown),
    }


def _rows(
    content: Content, metrics: Mapping[str, Mapping[str, float]], figures: list[str]
) -> list[dict[str, Any]]:
    """One row per contestant, one cell per figure; the best of each column is marked."""
    shown = [name for name in TITLES if name in metrics]
    best = {
        figure: max(
            (metrics[name][figure] for name in shown),
            key=lambda value: value if rises(figure) else -value,
        )
        for figure in figures
    }
    return [
        {
            "title": title_of(content, name),
            "is_model": name == MODEL,
            "cells": [
                {
                    "text": figure_text(figure, metrics[name][figure]),
                    "best": metrics[name][figure] == best[figure],
                    "taught": name in content.evaluation.trained_on_judge.get(figure, ()),
                }
                for figure in figures
            ],
        }
        for name in shown
    ]


def _plane(content: Content, shown: list[str]) -> str:
    means = content.evaluation.means
    distance = next(iter(means[MODEL].distances), None)
    if distance is None:
        return ""
    points = {
        title_of(content, name): (means[name].psnr, means[name].distances[distance])
        for name in shown
    }
    return plane(points, x_label="PSNR (dB)", y_label=f"{figure_name(distance)}, lower is better")


def dataset_section(content: Content) -> dict[str, Any]:
    """The dataset version, and what is other in it than in the champion's."""
    dataset = content.evaluation.dataset
    rows = [
        ("Dataset", f"{dataset.dataset}, version {dataset.version[:12]}"),
        ("Source", dataset.source),
        ("To train on", f"{dataset.num_train_photos} photos, {dataset.num_train_crops} crops"),
        ("Held out", f"{dataset.num_eval_photos} photos, {dataset.num_eval_crops} crops"),
        ("Not usable", f"{dataset.num_rejected} files"),
        ("Licence", content.licence or "not stated"),
    ]
    photos = content.photos
    groups = {
        "new": photos.new if photos else (),
        "changed": photos.changed if photos else (),
        "removed": photos.removed if photos else (),
    }
    if content.decision.champion_before is None:
        note = "There was no champion before, so all photos are new to this model."
    elif photos is None:
        note = "The champion's dataset version is gone; what has changed since cannot be told."
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
    """Seconds by stage: what this retraining caused, and what it took over from earlier ones."""
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
