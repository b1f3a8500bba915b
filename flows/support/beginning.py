"""The beginning of a retraining: whether and why to train, and from which weights.

All of it is decided before anything costs something, and kept in the bucket: a flow run that is
put back goes on with what its first attempt began.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.support.artifacts import artifact_key
from flows.support.jobs import root_flow_run_id
from flows.support.tasks import io_task
from srgan.config import Recipe, RetrainConfig
from srgan.data.changes import changes_since
from srgan.promotion.drift import Drift, find_drift
from srgan.promotion.lineage import training_inputs
from srgan.promotion.log import Entry, concerns, promoted_weights
from srgan.promotion.reasons import (
    Baseline,
    Beginning,
    TrainingDecision,
    keep_beginning,
    read_beginning,
    should_retrain,
)
from srgan.promotion.record import VersionRecord
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, digest
from srgan.storage import ObjectStore
from srgan.version import numerics_version
from srgan.versions.services import Services, open_services

_DAY_S = 86_400
_SEED_DIGITS = 7  # of a hexadecimal digest: a positive number of 28 bits


@io_task
def find_beginning(model: str, dataset: str, recipe: Recipe) -> Beginning | None:
    """Return what this retraining began before its process died; None in its first attempt."""
    begun = read_beginning(open_services().store, root_flow_run_id())
    if begun is None or not begun.is_of(model, dataset, recipe.name):
        return None
    get_run_logger().info("Going on with what this run began. %s", begun.reason)
    return begun


@io_task
def find_reason(
    model: str,
    dataset: DatasetRef,
    recipe: Recipe,
    force: bool = False,
    pairs: DatasetRef | None = None,
) -> TrainingDecision:
    """Compare what would be trained now with the champion and the version decided on last.

    The sentence goes to the log and becomes an artifact of the flow run.
    """
    services = open_services()
    versions, baselines = services.registry.versions(model), []
    for number, version, role in _to_beat(services.log(model).entries(), versions):
        if version is not None:
            baselines.append(_baseline(services.store, version, role, dataset))
        else:
            get_run_logger().warning("Version %d of %s (%s) was deleted", number, model, role)
    inputs = training_inputs(dataset, recipe, numerics_version(), pairs)
    drift = _find_drift(services, model, recipe.retrain)
    decision = should_retrain(baselines, inputs, recipe.retrain, force=force, drift=drift)
    verdict = "training" if decision.train else "no training"
    get_run_logger().info("Decision about %s: %s. %s", model, verdict, decision.sentence)
    create_markdown_artifact(
        f"**{verdict.capitalize()}.** {decision.sentence}\n\nDataset `{dataset.dataset}` version "
        f"`{dataset.version[:12]}`, recipe `{recipe.name}`",
        key=artifact_key(model, "reason"),
        description=f"Why {model} was trained again, or was not",
    )
    return decision


@io_task
def begin(
    model: str,
    recipe: Recipe,
    dataset: DatasetRef,
    decision: TrainingDecision,
    champion: ModelRef | None,
    pairs: DatasetRef | None = None,
) -> Beginning:
    """Fix for all attempts of this flow run what it trains on and which champion it has to beat."""
    flow_run = root_flow_run_id()
    begun = Beginning(
        model=model,
        recipe=recipe.name,
        dataset=dataset,
        pairs=pairs,
        champion=champion,
        reason=decision.sentence,
        numerics_version=numerics_version(),
        seed=int(digest(flow_run)[:_SEED_DIGITS], 16) if decision.needs_new_seed else None,
    )
    keep_beginning(open_services().store, flow_run, begun)
    return begun


@io_task
def find_start(recipe: Recipe, champion: ModelRef | None) -> CheckpointRef | None:
    """Return the champion's weights as a checkpoint if the recipe fine-tunes and there is one.

    None means from scratch. `CheckpointError` if the champion is another network than the recipe's.
    """
    if recipe.retrain.start == "scratch":
        return None
    logger = get_run_logger()
    if champion is None:
        logger.info("Training from scratch: there is no champion to fine-tune")
        return None
    # Imports torch, which costs seconds; most retrainings start from scratch.
    from srgan.train.starting import publish_start

    services = open_services()
    weights = services.registry.load_generator_bytes(champion)
    start = publish_start(services.store, champion, weights, recipe.pretrain.generator)
    logger.info("Fine-tuning %s, whose weights are runs/%s", champion.uri, start.run)
    return start


def _find_drift(services: Services, model: str, policy: RetrainConfig) -> Drift | None:
    """Return the drift of the champion's last bulk run, if it may be a reason and was measured."""
    champion = services.champion(model) if policy.max_drift is not None else None
    return None if champion is None else find_drift(services.store, champion)


def _to_beat(
    entries: list[Entry], versions: Sequence[VersionRecord]
) -> list[tuple[int, VersionRecord | None, str]]:
    """Return the champion and the newest version trained here that was decided on, and their roles.

    What went into imported versions is not known, nor into those that are gone from the registry,
    which are None. A version that has the number of one that is gone is another one.
    """
    if not entries:
        return []
    decided = [(each, [on for on in entries if concerns(entries, on, each)]) for each in versions]
    there = {each.version: (each, about) for each, about in decided if about}
    champion = entries[-1].champion
    reigning, _ = there.get(champion or 0, (None, []))
    if reigning and reigning.weights_digest != promoted_weights(entries, champion):
        reigning = None
    last = max(entry.decision.challenger for entry in entries)
    newest = max((number for number, (each, _) in there.items() if each.recipe), default=last)
    of_number = [entry for entry in entries if entry.decision.challenger == newest]
    version, about = there.get(newest, (None, of_number))
    found = [] if champion is None else [(champion, reigning, "champion")]
    if newest != champion or version is not reigning:
        promoted = any(entry.decision.promoted for entry in about)
        role = "which is not champion any more" if promoted else "which was refused"
        found.append((newest, version, role))
    return found


def _baseline(store: ObjectStore, version: VersionRecord, role: str, now: DatasetRef) -> Baseline:
    age = datetime.now(UTC) - version.created
    changes, before = None, version.dataset
    if before is not None and before.version != now.version:
        changes = changes_since(store, before.key, now.key)
    name = f"version {version.version} of {version.name} ({role})"
    return Baseline(name, version, age.total_seconds() / _DAY_S, changes)
