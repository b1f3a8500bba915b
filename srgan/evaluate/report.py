"""What an evaluation found, as JSON in the bucket."""

from collections.abc import Sequence

import numpy as np
from pydantic import AliasChoices, Field

from srgan.evaluate.guards import Signs
from srgan.perceptual import FeatureNetwork
from srgan.refs import DatasetRef, Ref, SetRef, SetResult

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
