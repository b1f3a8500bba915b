"""What an evaluation found, as JSON in the bucket and as a table for people."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from pydantic import AliasChoices, Field

from srgan.evaluate.guards import Signs
from srgan.perceptual import DISTANCES, FeatureNetwork
from srgan.refs import DatasetRef, Ref, SetRef, SetResult

TITLES = {
    "bicubic": "Bicubic",
    "pretrained": "Pretrained",
    "model": "SRGAN",
    "champion": "Champion",
}


PICTURE = "comparison.png"
"""Path of the comparison picture among the artifacts of the evaluation's MLflow run."""


class Figures(Ref):
    """Quality of one image, or the mean over images."""

    psnr: float
    """dB on the luma channel; infinite for identical images, NaN where the output was no image."""
    ssim: float
    """0..1 on the luma channel."""
    distances: dict[str, float] = Field(default_factory=dict)
    """Perceptual distances by name, lower is better; empty where no network is mirrored."""

    @property
    def flat(self) -> dict[str, float]:
        """All figures by name, as `EvaluationRef.metrics` has them."""
        return {"psnr": self.psnr, "ssim": self.ssim, **self.distances}


class ImageFigures(Ref):
    """All methods on one image."""

    source: str
    """Key of the photo that the crop was cut from."""
    crop: int
    """Index among the held-out crops of the dataset version, or the images of the set."""
    figures: dict[str, Figures]
    signs: dict[str, Signs] = Field(default_factory=dict)
    """What the guards look at, of each method."""


class Report(Ref):
    """One evaluation, whole."""

    dataset: DatasetRef
    scale: int
    numerics_version: str = Field(validation_alias=AliasChoices("numerics_version", "code_version"))
    """Of the code that measured; earlier releases called it ``code_version``."""
    weights: dict[str, str]
    """SHA-256 of each contestant's weights by its name; bicubic has none."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the weights of each perceptual network that measured a distance."""
    trained_on_judge: dict[str, list[str]] = Field(default_factory=dict)
    """Contestants that learned from the network that judges them, by the distance's name."""
    beyond_pixels: list[str] = Field(default_factory=list)
    """Contestants trained on more than pixels: PSNR alone does not judge them."""
    on: SetRef | None = None
    """The evaluation set that was measured; None: the dataset's held-out crops."""
    sets: dict[str, SetResult] = Field(default_factory=dict)
    """The evaluation sets that were measured besides, by name; each has a report like this."""
    means: dict[str, Figures]
    images: list[ImageFigures]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The means as `EvaluationRef.metrics` has them."""
        return {name: figures.flat for name, figures in self.means.items()}


def means(images: Sequence[ImageFigures]) -> dict[str, Figures]:
    """Mean over the images (not over their pixels), as the literature reports it."""
    return {name: _mean([image.figures[name] for image in images]) for name in images[0].figures}


def _mean(figures: Sequence[Figures]) -> Figures:
    return Figures(
        psnr=float(np.mean([each.psnr for each in figures])),
        ssim=float(np.mean([each.ssim for each in figures])),
        distances={
            name: float(np.mean([each.distances[name] for each in figures]))
            for name in figures[0].distances
        },
    )


def in_order(figures: Iterable[str]) -> list[str]:
    """Names of figures as people read them: PSNR, SSIM, distances; JSON has them by alphabet."""
    first = ["psnr", "ssim"]
    return sorted(set(figures), key=lambda name: (name not in first, name))


def metrics_table(
    metrics: dict[str, dict[str, float]],
    trained_on_judge: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> str:
    """Markdown table of `EvaluationRef.metrics`, with a column for each perceptual distance.

    A distance by the very network that a contestant learned from says so.
    """
    shown = [name for name in TITLES if name in metrics]
    distances = [d for d in DISTANCES.values() if any(d in metrics[name] for name in shown)]
    heads = ["", "PSNR (Y)", "SSIM (Y)", *(f"`{distance}` ↓" for distance in distances)]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name in shown:
        figures = metrics[name]
        cells = [TITLES[name], f"{figures['psnr']:.3f} dB", f"{figures['ssim']:.4f}"]
        cells += [distance_cell(metrics, trained_on_judge, name, each) for each in distances]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def distance_cell(
    metrics: Mapping[str, Mapping[str, float]],
    trained_on_judge: Mapping[str, Sequence[str]],
    name: str,
    distance: str,
) -> str:
    """``1.3170``, with "(trained on the judge)" behind it where that is so; ``–`` for none."""
    figures = metrics[name]
    value = f"{figures[distance]:.4f}" if distance in figures else "–"
    return value + (" (trained on the judge)" if name in trained_on_judge.get(distance, ()) else "")


def judged_by_its_teacher(trained_on_judge: Mapping[str, Sequence[str]]) -> str:
    """``squeezenet_distance: SRGAN trained on the judge`` for captions; "" where nobody is."""
    return "; ".join(
        f"{distance}: {', '.join(TITLES[name] for name in names)} trained on the judge"
        for distance, names in trained_on_judge.items()
    )


def one_line(metrics: dict[str, dict[str, float]]) -> str:
    """``Bicubic 28.43 dB, SRGAN 29.10 dB`` for logs."""
    shown = [name for name in TITLES if name in metrics]
    return ", ".join(f"{TITLES[name]} {metrics[name]['psnr']:.3f} dB" for name in shown)
