"""Values that pass between pipeline stages: small and frozen, never tensors or images."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

Gpu = Literal["auto", "never", "required"]
"""``auto``: a job computes on GPUs if the cluster has any when it starts, else on CPUs alone.

``required``: it waits for GPUs, also of nodes that the cluster starts on demand. ``never``: it
leaves them to others.
"""


def digest(value: object) -> str:
    """SHA-256 (64 hex digits) of a JSON-able value, independent of key order and layout."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Ref(BaseModel):
    """Base of the values below: frozen, unknown fields refused, JSON-able."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sums(Ref):
    """Sums over images; two of them add up field by field."""

    def __add__(self, other: Self) -> Self:
        fields = type(self).model_fields
        return type(self)(**{f: _added(getattr(self, f), getattr(other, f)) for f in fields})


def _added(one: Any, other: Any) -> Any:
    """Numbers are added, also name by name (zeros are left out); of two texts the first stays."""
    if isinstance(one, dict):
        both = {
            name: _added(one[name], other[name]) if name in one and name in other else value
            for name, value in (one | other).items()
        }
        return {name: value for name, value in both.items() if value}
    return one if isinstance(one, str) else one + other


class DatasetRef(Ref):
    """One immutable version of a prepared dataset."""

    dataset: str
    version: str
    """Digest of the logical content (pixels, split, crop config), not of the layout."""
    key: str
    """Manifest key in the bucket, ``crops/<dataset>/versions/<version>.json``."""
    source: str
    """S3 URI of the prefix that the photos came from."""
    scale: int
    num_train_crops: int
    num_eval_crops: int
    num_train_photos: int
    num_eval_photos: int
    num_rejected: int
    num_read: int
    """Source objects read to make this version; 0 when nothing had changed."""
    licence: str | None = None
    """Licence of the photos, if stated; not part of any digest."""
    lr_source: str | None = None
    """S3 URI of the LR photos of a dataset of pairs; None if LR images are made from HR crops."""


class SetRef(Ref):
    """One immutable version of an evaluation set."""

    name: str
    version: str
    """Digest of the logical content: which pixels, cut how."""
    key: str
    """Manifest key in the bucket, ``sets/<name>/versions/<version>.json``."""
    num_photos: int
    num_images: int
    """Number of measured images: photos or their crops."""
    lr_source: str | None = None
    """S3 URI of the LR photos of a set of pairs; None if LR images are made from the photos."""


class SetResult(Ref):
    """An evaluation on one evaluation set."""

    version: str
    """Version of the set."""
    key: str
    """Report in the bucket."""
    num_images: int
    lr_source: str | None = None
    """S3 URI of the LR photos that were enlarged; None if LR images were made."""
    metrics: dict[str, dict[str, float]]
    """Figures in the form of `EvaluationRef.metrics`."""

    @property
    def images(self) -> str:
        """Number of images in words, and where their LR images come from if they are photos."""
        source = f" enlarged from {self.lr_source}" if self.lr_source else ""
        return f"{self.num_images} images{source}"


class CheckpointRef(Ref):
    """The finished result of one training stage."""

    run: str
    """Stage name, which ends in a digest of its inputs; also the prefix ``runs/<run>/``."""
    stage: str
    step: int
    key: str
    """Checkpoint manifest key in the bucket."""
    digest: str
    """SHA-256 of the generator weights that evaluation and upscaling use (EMA if there is one)."""
    dataset_version: str
    mlflow_run_id: str | None = None
    metrics: dict[str, float] = {}
    reused: bool = False
    """True if an earlier run had already finished this stage."""
    chosen: str | None = None
    """Why an adversarial stage hands on this checkpoint; one phrase for people."""


class EvaluationRef(Ref):
    """Figures of one checkpoint on the held-out crops, next to bicubic's."""

    run: str
    key: str
    """Report in the bucket: JSON with per-image figures."""
    picture_key: str
    """PNG strip: bicubic | pretrained | model | original."""
    num_images: int
    metrics: dict[str, dict[str, float]]
    """``{"bicubic": {"psnr": dB, "ssim": 0..1}, "model": {...}, "pretrained": {...}}``.

    Also perceptual distances such as ``squeezenet_distance`` where their networks are mirrored.
    """
    trained_on_judge: dict[str, list[str]] = {}
    """Contestants that learned from the network that judges them, by the distance's name."""
    sets: dict[str, SetResult] = {}
    """Results on each named evaluation set, by its name."""
    dataset_version: str
    champion: int | None = None
    """Version of the champion behind ``metrics["champion"]``, measured on the same crops."""
    mlflow_run_id: str | None = None
    """MLflow run that holds the picture and the report."""


class BlendSource(Ref):
    """One of the two generators of a blend."""

    model: str
    """Address of its version, or the name of its file without the folder."""
    weights: str
    """SHA-256 of its weights as a file of ours."""
    runs: tuple[str, ...] = ()
    """Training stages behind it; empty if it is not known as a version of the registry."""


class Blend(Ref):
    """Sources of a blended generator: (1 − alpha) · first + alpha · second."""

    alpha: float
    first: BlendSource
    second: BlendSource

    @property
    def sources(self) -> tuple[BlendSource, BlendSource]:
        return self.first, self.second

    @property
    def runs(self) -> tuple[str, ...]:
        """Training stages behind both; a source that is not known has its own name here."""
        known = (each.runs or (f"unknown-{each.weights[:16]}",) for each in self.sources)
        return tuple(run for runs in known for run in runs)

    def __str__(self) -> str:
        return f"{1 - self.alpha:g} · {self.first.model} + {self.alpha:g} · {self.second.model}"


class ModelRef(Ref):
    """One version of a registered model."""

    name: str
    version: int
    run: str
    weights_digest: str
    pretrained_run: str | None = None
    """Training stage that `run` started from."""
    blended_runs: tuple[str, ...] = ()
    """Training stages behind both generators that it was blended of; `Blend.runs`."""
    metrics: dict[str, dict[str, float]] = {}

    @property
    def training_runs(self) -> tuple[str, ...]:
        """Training stages that tell what the weights learned from."""
        stages = (self.run, self.pretrained_run)
        return self.blended_runs or tuple(run for run in stages if run)

    @property
    def uri(self) -> str:
        """MLflow address of exactly this version."""
        return f"models:/{self.name}/{self.version}"


class PromotionDecision(Ref):
    """The gate's verdict on a challenger, with its reason in one sentence."""

    model: str
    challenger: int
    champion_before: int | None
    promoted: bool
    reason: str


class UpscaleReport(Ref):
    """Outcome of one bulk run; every source key is counted once."""

    destination: str
    model: str
    num_done: int
    num_skipped: int
    num_failed: int
    num_passed_over: int = 0
    """Keys that are not photos."""
    summary_key: str
    failures: dict[str, str] = {}
    """First failures by source key with their reason; the records hold all of them."""


def to_json(ref: BaseModel) -> bytes:
    """Stable UTF-8 JSON of a ref or config, as stored in the bucket."""
    return json.dumps(ref.model_dump(mode="json"), sort_keys=True, indent=1).encode()


def config_digest(*parts: BaseModel | Mapping[str, object] | str | float | None) -> str:
    """Digest of configs and plain values, for names that depend on inputs."""
    plain: list[Any] = [
        part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts
    ]
    return digest(plain)
