"""Whether another training would be worth its cost, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from srgan.config import RetrainConfig
from srgan.data.changes import PhotoChanges
from srgan.keys import beginning_key
from srgan.promotion.lineage import what_changed
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, ModelRef, Ref
from srgan.storage import ObjectStore, find_document, write_document
from srgan.version import numerics_version

_SHORT = 12  # signs of a digest that are shown


@dataclass(frozen=True)
class Baseline:
    """A version of the model that a retraining would have to go beyond."""

    name: str
    """What a sentence calls it: ``version 3 of pets (champion)``."""
    record: VersionRecord
    age_days: float
    changes: PhotoChanges | None
    """Between its dataset version and now; None when its own is gone."""


@dataclass(frozen=True)
class TrainingDecision:
    """Whether to train, and the sentence that says why or why not."""

    train: bool
    sentence: str
    anew: bool = False
    """Nothing that names a stage has changed: only another seed can make another model."""


def should_retrain(
    baselines: Sequence[Baseline],
    inputs: Mapping[str, str],
    policy: RetrainConfig,
    *,
    force: bool,
) -> TrainingDecision:
    """Train when something speaks for it whichever version it is compared with.

    `baselines` are the champion, where there is one, and the newest version that was decided on,
    where that is another; `inputs` are the tags (`lineage.training_inputs`) of what would be
    trained now. The champion comes first and gives the reason.
    """
    if force:
        return TrainingDecision(True, "Forced", anew=True)
    if not baselines:
        return TrainingDecision(True, "There is no version of the model yet")
    reasons: list[str] = []
    anew = False
    for baseline in baselines:
        found, small = _reasons(baseline, inputs, policy)
        anew = anew or not what_changed(baseline.record.inputs, inputs)
        if not found:
            return TrainingDecision(False, _nothing(baseline, small))
        reasons = reasons or [f"Since {baseline.name}: {'; '.join(found)}"]
    return TrainingDecision(True, reasons[0], anew)


def _reasons(
    baseline: Baseline, inputs: Mapping[str, str], policy: RetrainConfig
) -> tuple[list[str], list[str]]:
    """What is reason enough, and what has changed but is not."""
    found: list[str] = []
    small: list[str] = []
    changed = what_changed(baseline.record.inputs, inputs)
    if "dataset" in changed:
        text, enough = _photos(baseline, policy)
        (found if enough else small).append(text)
    if "recipe" in changed:
        found.append("another recipe")
    if "code" in changed:
        before = baseline.record.numerics_version or "unknown"
        found.append(f"code {inputs['numerics_version']} instead of {before}")
    if policy.max_age_days is not None and baseline.age_days > policy.max_age_days:
        found.append(f"{baseline.age_days:.1f} days old, more than {policy.max_age_days:g}")
    return found, small


def _photos(baseline: Baseline, policy: RetrainConfig) -> tuple[str, bool]:
    """The change of the dataset in words, and whether it is a reason."""
    before = baseline.record.dataset_version
    if before is None:
        return "it has no dataset of its own", True
    if baseline.changes is None:
        return (
            f"its dataset version {before[:_SHORT]} is gone, so nobody can count what is new",
            True,
        )
    if baseline.changes.recut:
        return f"photos are cut otherwise; {baseline.changes}", True
    growth = policy.growth
    if baseline.changes.enough(growth):
        return str(baseline.changes), True
    limits = f"{growth.min_changed_photos} and {100 * growth.min_changed_share:g} %"
    return f"{baseline.changes}, a reason from {limits} on", False


def _nothing(baseline: Baseline, small: list[str]) -> str:
    if not small:
        return (
            f"Nothing new: {baseline.name} was made of the same dataset version, recipe and code. "
            "Use force to train anew."
        )
    return f"Not enough new since {baseline.name}: {'; '.join(small)}. Use force to train anyway."


class Beginning(Ref):
    """What was decided before the first stage."""

    dataset: DatasetRef
    champion: ModelRef | None
    """Who was to be beaten, and what a fine-tuning starts from."""
    reason: str
    numerics_version: str = Field(default_factory=numerics_version)
    """Of the code that began: stages and evaluations keep their names, whatever code goes on. An
    earlier release wrote none; its retraining goes on under the names of the code that runs."""
    seed: int | None = None
    """In place of the recipe's, where nothing else has changed: the same seed would make the same
    weights once more."""


def keep_beginning(store: ObjectStore, flow_run: str, beginning: Beginning) -> None:
    """Write it, before what it says is begun."""
    write_document(store, beginning_key(flow_run), beginning)


def read_beginning(store: ObjectStore, flow_run: str) -> Beginning | None:
    """What a flow run began with in an earlier life; None in its first.

    `StorageError` where another release wrote it.
    """
    return find_document(store, beginning_key(flow_run), Beginning, mend="start a new retraining")
