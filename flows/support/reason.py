"""Why a retraining is worth its cost, or why not: decided before it costs anything."""

from datetime import UTC, datetime

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.support.jobs import root_flow_run_id
from flows.support.tasks import PATIENTLY, artifact_key
from srgan.config import Recipe
from srgan.data.changes import changes_since
from srgan.promotion.lineage import training_inputs
from srgan.promotion.log import Entry, PromotionLog
from srgan.promotion.reasons import (
    Baseline,
    Beginning,
    TrainingDecision,
    keep_beginning,
    read_beginning,
    should_retrain,
)
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, ModelRef, digest
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.version import numerics_version

_DAY_S = 86_400
_SEED_DIGITS = 7  # of a hexadecimal digest: a positive number of 28 bits


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_reason(
    model: str, dataset: DatasetRef, recipe: Recipe, force: bool = False
) -> TrainingDecision:
    """Compare what would be trained now with the champion and the version decided on last.

    The sentence is in the log and an artifact of the flow run.
    """
    settings = Settings()
    store = open_store(settings)
    registered = {each.version: each for each in Registry(settings).versions(model)}
    baselines = []
    trained = {number for number, each in registered.items() if each.recipe}
    for number, role in _to_beat(PromotionLog(store, model).entries(), trained).items():
        if number in registered:
            baselines.append(_baseline(store, registered[number], role, dataset))
        else:
            get_run_logger().warning("Version %d of %s (%s) was deleted", number, model, role)
    inputs = training_inputs(dataset, recipe, numerics_version())
    decision = should_retrain(baselines, inputs, recipe.retrain, force=force)
    verdict = "training" if decision.train else "no training"
    get_run_logger().info("Decision about %s: %s. %s", model, verdict, decision.sentence)
    create_markdown_artifact(
        f"**{verdict.capitalize()}.** {decision.sentence}\n\nDataset `{dataset.dataset}` version "
        f"`{dataset.version[:12]}`, recipe `{recipe.name}`",
        key=artifact_key(model, "reason"),
        description=f"Why {model} was trained again, or was not",
    )
    return decision


@task(**PATIENTLY, cache_policy=NO_CACHE)
def find_beginning() -> Beginning | None:
    """What this flow run began with before its process died; None in its first life."""
    begun = read_beginning(open_store(Settings()), root_flow_run_id())
    if begun is not None:
        get_run_logger().info("Going on with what this run began. %s", begun.reason)
    return begun


@task(**PATIENTLY, cache_policy=NO_CACHE)
def begin(dataset: DatasetRef, decision: TrainingDecision, champion: ModelRef | None) -> Beginning:
    """Settle for all lives of this flow run what is trained on and who is to be beaten."""
    flow_run = root_flow_run_id()
    begun = Beginning(
        dataset=dataset,
        champion=champion,
        reason=decision.sentence,
        numerics_version=numerics_version(),
        seed=int(digest(flow_run)[:_SEED_DIGITS], 16) if decision.needs_new_seed else None,
    )
    keep_beginning(open_store(Settings()), flow_run, begun)
    return begun


def _to_beat(entries: list[Entry], trained: set[int]) -> dict[int, str]:
    """The champion and the newest version trained here that was decided on, with what they are.

    Of imported and of deleted versions nobody knows what was tried.
    """
    if not entries:
        return {}
    champion = entries[-1].champion
    decided_on = {entry.decision.challenger for entry in entries}
    newest = max(decided_on & trained, default=max(decided_on))
    decided = [entry.decision.promoted for entry in entries if entry.decision.challenger == newest]
    found = {} if champion is None else {champion: "champion"}
    if newest != champion:
        found[newest] = "which is champion no more" if any(decided) else "which was refused"
    return found


def _baseline(store: ObjectStore, version: VersionRecord, role: str, now: DatasetRef) -> Baseline:
    age = datetime.now(UTC) - version.created
    changes, before = None, version.dataset
    if before is not None and before.version != now.version:
        changes = changes_since(store, before.key, now.key)
    name = f"version {version.version} of {version.name} ({role})"
    return Baseline(name, version, age.total_seconds() / _DAY_S, changes)
