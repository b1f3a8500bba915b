"""What an evaluation found, as JSON in the bucket."""

from collections.abc import Sequence

import numpy as np
from pydantic import AliasChoices, Field

from srgan import keys
from srgan.config import Config
from srgan.config.networks import FeatureNetwork
from srgan.measure.guards import Signs
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, Ref, SetRef, SetResult, config_digest

MODEL, PRETRAINED, CHAMPION = "model", "pretrained", "champion"


class EvaluateSpec(Config):
    """What to measure, and on what."""

    dataset: DatasetRef
    contestants: dict[str, CheckpointRef | ModelRef]
    """``model`` (the one that this is about), and ``pretrained`` and ``champion`` if any."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the mirrored weights of each perceptual network that measures a distance."""
    sets: tuple[SetRef, ...] = ()
    """Evaluation sets to measure on besides the held-out crops."""
    numerics_version: str
    """Of the code that the evaluation is named by."""
    release_version: str
    mlflow_run_id: str | None = None
    """Where picture, report and figures are logged."""

    @property
    def digest(self) -> str:
        """Names the evaluation by what goes in, whichever way the weights are addressed."""
        weights = (f"{name}:{weights_digest(ref)}" for name, ref in self.contestants.items())
        judges = (f"{network}:{sha256}" for network, sha256 in self.judges.items())
        sets = (f"{each.name}:{each.version}" for each in self.sets)
        return config_digest(
            self.dataset.version,
            *sorted(weights),
            *sorted(judges),
            *sorted(sets),
            self.numerics_version,
        )

    @property
    def run(self) -> str:
        """Name below ``runs/``; the results lie next to the checkpoint that they are about."""
        return keys.evaluation_run(self.contestants[MODEL].run, self.digest[:16])

    @property
    def spec_key(self) -> str:
        return keys.spec_key(self.run)

    @property
    def report_key(self) -> str:
        return keys.report_key(self.run)

    def set_report_key(self, name: str) -> str:
        """Report on one evaluation set."""
        return keys.set_report_key(self.run, name)

    @property
    def picture_key(self) -> str:
        return keys.picture_key(self.run)

    @property
    def details_key(self) -> str:
        """`Details` as JSON: the pictures of a retraining's report."""
        return keys.details_key(self.run)

    @property
    def result_key(self) -> str:
        """`EvaluationRef` as JSON, written last: whoever finds it finds the rest."""
        return keys.evaluation_key(self.run)


def weights_digest(ref: CheckpointRef | ModelRef) -> str:
    """SHA-256 of the generator that a checkpoint or model version stands for."""
    return ref.digest if isinstance(ref, CheckpointRef) else ref.weights_digest


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
