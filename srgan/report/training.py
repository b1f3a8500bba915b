"""Curves of the training stages, as the template shows them."""

import json
from typing import Any

from srgan.config.networks import DISTANCES
from srgan.report.charts import REFERENCE, line_chart
from srgan.report.content import Content, TrainedStage

_TITLES = {"pretrain": "Pretraining on pixels", "adversarial": "GAN stage"}
_CHARTS: list[tuple[str, bool, dict[str, str]]] = [
    (
        "loss",
        True,
        {
            "loss": "generator",
            "content_loss": "content",
            "adversarial_loss": "adversarial",
            "discriminator_loss": "discriminator",
        },
    ),
    ("PSNR (dB)", False, {"psnr": "generator", "bicubic_psnr": REFERENCE}),
    *(
        (
            f"{name.replace('_', ' ')} (lower is better)",
            False,
            {name: "generator", f"bicubic_{name}": REFERENCE},
        )
        for name in DISTANCES.values()
    ),
    (
        "adversarial gradient, share of the content gradient",
        True,
        {"adversarial_share": "share"},
    ),
    ("checkerboard (levels)", False, {"checkerboard": "generator"}),
    (
        "discriminator's belief",
        False,
        {
            "discriminator_real": "in originals",
            "discriminator_fake": "in generated",
        },
    ),
    ("learning rate", True, {"learning_rate": "learning rate"}),
]
"""For each chart: label, logarithmic or not, and MLflow's names of its curves with their legend."""

CURVES = frozenset(name for _, _, names in _CHARTS for name in names)
"""MLflow's names of all curves that are drawn."""


def training_section(content: Content) -> dict[str, Any]:
    """Return a block per stage, in the order of training."""
    return {
        "stages": [
            {
                "title": _TITLES.get(stage.stage, stage.stage),
                "run": stage.run,
                "steps": f"{stage.steps:,}",
                "reused": stage.reused,
                "chosen": stage.chosen,
                "charts": _charts(stage),
                "config": json.dumps(stage.config, indent=1) if stage.config else "",
            }
            for stage in content.stages
        ]
    }


def _charts(stage: TrainedStage) -> list[dict[str, Any]]:
    charts = []
    for label, log, names in _CHARTS:
        series = {
            words: stage.curves[name] for name, words in names.items() if stage.curves.get(name)
        }
        if svg := line_chart(series, label=label, log=log):
            charts.append({"svg": svg, "names": list(series)})
    return charts
