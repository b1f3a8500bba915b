"""An evaluation in the bucket: its spec, and its report with figures of every image."""

import math
from collections.abc import Sequence

import numpy as np
from pydantic import AliasChoices, Field

from srgan import keys
from srgan.config import Config, Gpu
from srgan.config.networks import FeatureNetwork
from srgan.measure.guards import Artifacts
from srgan.measure.metrics import mean_psnr
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, Ref, SetRef, SetResult, config_digest

MODEL, PRETRAINED, CHAMPION, BICUBIC = "model", "pretrained", "champion", "bicubic"

PICTURE = "comparison.png"
"""Path of the comparison picture among the artifacts of the evaluation's MLflow run."""


class EvaluateSpec(Config):
    """Spec of an evaluation: which contestants to measure, with which judges, on which images."""

    dataset: DatasetRef
    contestants: dict[str, CheckpointRef | ModelRef]
    """``model`` is the one under evaluation; ``pretrained`` and ``champion`` are optional."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the mirrored weights of each perceptual network that measures a distance."""
    sets: tuple[SetRef, ...] = ()
    """Evaluation sets to measure on in addition to the held-out crops."""
    gpu: Gpu = "auto"
    numerics_version: str
    """Version of the code, part of the evaluation's name."""
    release_version: str
    mlflow_run_id: str | None = None
    """MLflow run that picture, report and figures are logged to."""

    @property
    def digest(self) -> str:
        """Digest of all inputs; it does not matter how the weights are addressed."""
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
        """Name below ``runs/``; the results lie next to the checkpoint under evaluation."""
        return keys.evaluation_run(self.contestants[MODEL].run, self.digest[:16])

    @property
    def report_key(self) -> str:
        return keys.report_key(self.run)

    def set_report_key(self, name: str) -> str:
        """Key of the report on one evaluation set."""
        return keys.set_report_key(self.run, name)

    @property
    def picture_key(self) -> str:
        return keys.picture_key(self.run)

    @property
    def details_key(self) -> str:
        """Key of `Details` as JSON: the pictures of a retraining's report."""
        return keys.details_key(self.run)

    @property
    def result_key(self) -> str:
        """Key of `EvaluationRef` as JSON. It is written last: if it exists, so does the rest."""
        return keys.evaluation_key(self.run)


def weights_digest(ref: CheckpointRef | ModelRef) -> str:
    """Return the SHA-256 of the generator of a checkpoint or model version."""
    return ref.digest if isinstance(ref, CheckpointRef) else ref.weights_digest


class Figures(Ref):
    """Figures of one image, or their means over images."""

    psnr: float
    """dB on luma; infinite for identical images, NaN if the output had NaN or infinite values."""
    ssim: float
    """0..1 on luma."""
    distances: dict[str, float] = Field(default_factory=dict)
    """Figures of `JUDGES` by name, lower is better: NIQE, and those of each mirrored network."""
    num_identical: int = 0
    """Images that the mean PSNR leaves out because a pair is identical; 0 for one image."""

    @property
    def flat(self) -> dict[str, float]:
        """All figures by name, as in `EvaluationRef.metrics`."""
        return {"psnr": self.psnr, "ssim": self.ssim, **self.distances}


class ImageFigures(Ref):
    """Figures and artifacts of all methods on one image."""

    source: str
    """Key of the photo that the crop was cut from."""
    crop: int
    """Index among the held-out crops of the dataset version or the images of the set."""
    size: tuple[int, int] | None = None
    """Height and width in pixels; None in reports of releases before 2026-11-30."""
    figures: dict[str, Figures]
    signs: dict[str, Artifacts] = Field(default_factory=dict)
    """Artifacts of each method's output. Stored reports call them signs."""


class Report(Ref):
    """The whole result of an evaluation on held-out crops or on one evaluation set."""

    dataset: DatasetRef
    scale: int
    numerics_version: str = Field(validation_alias=AliasChoices("numerics_version", "code_version"))
    """Version of the code that measured; earlier releases called it ``code_version``."""
    weights: dict[str, str]
    """SHA-256 of the weights by contestant; bicubic has none."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the weights of each perceptual network that measured a distance."""
    trained_on_judge: dict[str, list[str]] = Field(default_factory=dict)
    """Contestants whose training used the judge, by the name of its distance."""
    beyond_pixels: list[str] = Field(default_factory=list)
    """Contestants trained on more than pixels, which PSNR alone does not measure fairly."""
    on: SetRef | None = None
    """The evaluation set that was measured; None for the dataset's held-out crops."""
    sets: dict[str, SetResult] = Field(default_factory=dict)
    """Results on the other evaluation sets by name; each has its own report like this one."""
    means: dict[str, Figures]
    images: list[ImageFigures]

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The means in the form of `EvaluationRef.metrics`."""
        return {name: figures.flat for name, figures in self.means.items()}


def means(images: Sequence[ImageFigures]) -> dict[str, Figures]:
    """Return each method's mean over images (not over pixels), as the literature reports it.

    An image that any method restores exactly is left out of the PSNR of all methods, so that their
    means are over the same images.
    """
    exact = [has_exact(image) for image in images]
    return {
        name: mean_figures([image.figures[name] for image in images], exact)
        for name in images[0].figures
    }


def has_exact(image: ImageFigures) -> bool:
    """True if some method restored the image exactly, so that its PSNR is infinite."""
    return any(figures.psnr == math.inf for figures in image.figures.values())


def mean_figures(figures: Sequence[Figures], exact: Sequence[bool] | None = None) -> Figures:
    """Return the mean of each figure; PSNR without the pairs that are `exact`, so identical.

    If all of them are, the mean is over those whose PSNR is finite, or infinite. A distance that
    some image is too small for has no mean.
    """
    if exact is None:
        exact = [each.psnr == math.inf for each in figures]
    inexact = [each for each, is_exact in zip(figures, exact, strict=True) if not is_exact]
    return Figures(
        psnr=mean_psnr(each.psnr for each in inexact or figures),
        ssim=float(np.mean([each.ssim for each in figures])),
        distances={
            name: float(np.mean([each.distances[name] for each in figures]))
            for name in figures[0].distances
            if all(name in each.distances for each in figures)
        },
        num_identical=sum(exact),
    )
