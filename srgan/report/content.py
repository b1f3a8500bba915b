"""Content of a retraining's report, before it becomes a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from srgan.data.changes import PhotoChanges
from srgan.measure.evaluation import CHAMPION, MODEL, Report
from srgan.measure.figures import TITLES
from srgan.measure.pictures import Details
from srgan.promotion.log import Evidence
from srgan.refs import DatasetRef, PromotionDecision
from srgan.report.costs import Cost

Points = Sequence[tuple[int, float]]
"""Step and value, steps ascending."""


@dataclass(frozen=True)
class TrainedStage:
    """One training stage of the model."""

    run: str
    stage: str
    steps: int
    reused: bool
    """True if an earlier flow run finished the stage and this retraining took its result."""
    curves: Mapping[str, Points]
    """Curves by MLflow's names: ``loss``, ``psnr``, ``bicubic_psnr``, …"""
    config: Mapping[str, object] = field(default_factory=dict)
    chosen: str | None = None
    """Why an adversarial stage handed on the checkpoint that it did."""


@dataclass(frozen=True)
class Content:
    """Everything that the page shows; nothing else is read to make it."""

    decision: PromotionDecision
    evidence: Evidence
    """Evidence for the decision, from the promotion log."""
    made_at: str
    """Time of the report in UTC, as text."""
    evaluation: Report
    """Contestant ``model`` is the challenger, ``champion`` is its opponent."""
    stages: Sequence[TrainedStage]
    details: Details
    licence: str | None
    """Licence of the photos, if stated."""
    photos: PhotoChanges | None
    """Changes since the champion's dataset version; None without a champion, or if it is gone."""
    costs: Sequence[Cost]
    """Costs of all jobs that made stages and evaluation, also in earlier flow runs."""
    flow_run: str
    """Root flow run of this retraining; costs of other flow runs were there before."""
    elapsed_s: float
    links: Mapping[str, str]
    """Addresses by the words to show."""
    lineage: str = ""
    """SVG of the version's chain of origin."""
    pairs: DatasetRef | None = None
    """Dataset of pairs that the stages took a share from."""


def title_of(content: Content, method: str) -> str:
    """Name a contestant for the page: ``Champion (version 3)``."""
    if method == MODEL:
        return f"Version {content.decision.challenger}"
    if method == CHAMPION:
        before = content.decision.champion_before
        return f"Champion (version {before})" if before else "Champion"
    return TITLES.get(method, method.capitalize())
