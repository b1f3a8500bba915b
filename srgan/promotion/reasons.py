"""Reasons to retrain: whether another training is worth its cost, and what it begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from srgan.config import RetrainConfig
from srgan.data.changes import PhotoChanges
from srgan.keys import beginning_key
from srgan.promotion.drift import Drift
from srgan.promotion.lineage import what_changed
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, ModelRef, Ref
from srgan.storage import ObjectStore, find_document, write_document
from srgan.version import numerics_version

_SHORT = 12  # digits of a digest that are shown


@dataclass(frozen=True)
class Baseline:
    """A version of the model that a retraining is compared with."""

    name: str
    """Name in sentences: ``version 3 of pets (champion)``."""
    record: VersionRecord
    age_days: float
    changes: PhotoChanges | None
    """Changes from its dataset version to the newest; None if its version is gone."""


@dataclass(frozen=True)
class TrainingDecision:
    """Whether to train, and why or why not in one sentence."""

    train: bool
    sentence: str
    needs_new_seed: bool = False
    """True if no input of the stages has changed: only another seed makes another model."""


def should_retrain(
    baselines: Sequence[Baseline],
    inputs: Mapping[str, str],
    policy: RetrainConfig,
    *,
    force: bool,
    drift: Drift | None = None,
) -> TrainingDecision:
    """Decide to train if there is a reason to, compared with each of the baselines.

    `baselines` are the champion, if there is one, and the newest version that was decided on, if
    that is another one. The champion comes first and gives the reason. `inputs` are the tags
    (`lineage.training_inputs`) of the training that would start now. `drift` is that of the
    champion's last bulk run; it lifts the limits of growth, and is a reason only with other photos:
    the same ones would make the same model, as far from the sources as before.
    """
    if force:
        return TrainingDecision(True, "Forced", needs_new_seed=True)
    if not baselines:
        return TrainingDecision(True, "There is no version of the model yet")
    reasons: list[str] = []
    needs_new_seed = False
    for baseline in baselines:
        found, small = _reasons(baseline, inputs, policy, drift)
        if not what_changed(baseline.record.inputs, inputs):
            needs_new_seed = True
        if not found:
            return TrainingDecision(False, _nothing(baseline, small))
        reasons = reasons or [f"Since {baseline.name}: {'; '.join(found)}"]
    return TrainingDecision(True, reasons[0], needs_new_seed)


def _reasons(
    baseline: Baseline, inputs: Mapping[str, str], policy: RetrainConfig, drift: Drift | None
) -> tuple[list[str], list[str]]:
    """Return what is reason enough, and changes that are not."""
    found: list[str] = []
    small: list[str] = []
    changed = what_changed(baseline.record.inputs, inputs)
    drifted = _drifted(drift, policy)
    if "dataset" in changed:
        text, enough = _photos(baseline, policy, any_number=bool(drifted))
        (found if enough else small).append(text)
        found += [drifted] if drifted else []
    elif drifted:
        small.append(f"{drifted}, but there are no other photos to train on")
    if "pairs" in changed:
        found.append("other pairs")
    if "recipe" in changed:
        found.append("another recipe")
    if "code" in changed:
        before = baseline.record.numerics_version or "unknown"
        found.append(f"code {inputs['numerics_version']} instead of {before}")
    if policy.max_age_days is not None and baseline.age_days > policy.max_age_days:
        found.append(f"{baseline.age_days:.1f} days old, more than {policy.max_age_days:g}")
    return found, small


def _photos(baseline: Baseline, policy: RetrainConfig, *, any_number: bool) -> tuple[str, bool]:
    """Return the change of the dataset in words, and whether it is a reason."""
    before = baseline.record.dataset_version
    if before is None:
        return "it has no dataset", True
    if baseline.changes is None:
        return (
            f"its dataset version {before[:_SHORT]} is gone, so new photos cannot be counted",
            True,
        )
    if baseline.changes.recut:
        return f"photos are cut differently; {baseline.changes}", True
    growth = policy.growth
    if any_number or baseline.changes.enough(growth):
        return str(baseline.changes), True
    limits = f"{growth.min_changed_photos} and {100 * growth.min_changed_share:g} %"
    return f"{baseline.changes}, a reason from {limits} on", False


def _drifted(drift: Drift | None, policy: RetrainConfig) -> str:
    """Return the drift in words; empty if there is none, or if it does not count."""
    bound = policy.max_drift
    if drift is None or bound is None or not drift.beyond(bound):
        return ""
    return f"{drift.sentence(bound)}, more than {bound:g}"


def _nothing(baseline: Baseline, small: list[str]) -> str:
    if not small:
        return (
            f"Nothing new: {baseline.name} was made of the same dataset version, recipe and code. "
            "Use force to train again."
        )
    return f"Not enough new since {baseline.name}: {'; '.join(small)}. Use force to train anyway."


class Beginning(Ref):
    """Decisions of a retraining before its first stage; a flow run that is put back keeps them."""

    dataset: DatasetRef
    pairs: DatasetRef | None = None
    """Dataset of pairs, if the recipe names one."""
    champion: ModelRef | None
    """Opponent at the gate, and the start of a fine-tuning."""
    model: str = ""
    """Model that is retrained; empty in documents of earlier releases."""
    recipe: str = ""
    """Name of the recipe; empty in the same documents."""
    reason: str
    numerics_version: str = Field(default_factory=numerics_version)
    """Version of the code that began. It names stages and evaluations, even if newer code goes on.
    Earlier releases wrote none; their retrainings go on under the version of the running code."""
    seed: int | None = None
    """Seed in place of the recipe's, set if nothing else has changed: the same seed would make the
    same weights again."""

    def is_of(self, model: str, dataset: str, recipe: str) -> bool:
        """Tell whether it is the beginning of this retraining.

        A flow of a user's may call several, which have one root flow run.
        """
        mine = (self.model or model, self.dataset.dataset, self.recipe or recipe)
        return mine == (model, dataset, recipe)


def keep_beginning(store: ObjectStore, flow_run: str, beginning: Beginning) -> None:
    """Write what a flow run begins with, before it begins."""
    write_document(store, beginning_key(flow_run), beginning)


def read_beginning(store: ObjectStore, flow_run: str) -> Beginning | None:
    """Read what a flow run began with in an earlier attempt; None in its first.

    `StorageError` if another release wrote it.
    """
    return find_document(store, beginning_key(flow_run), Beginning, mend="start a new retraining")
