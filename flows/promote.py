"""Promotion: the gate decides, the promotion log records it, the alias in MLflow follows."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.artifact_keys import artifact_key
from flows.evaluate import check_judges, evaluate
from flows.jobs import stop_jobs
from flows.register import find_champion, find_version
from flows.retries import PATIENTLY
from srgan.adapters.registry import CHALLENGER, CHAMPION, Registry
from srgan.adapters.s3 import open_store
from srgan.adapters.tracking import model_url
from srgan.config import GateConfig, Name
from srgan.errors import ConflictError
from srgan.evaluate.gate import judge
from srgan.evaluate.judges import find_judges
from srgan.evaluate.lineage import recorded_gate
from srgan.evaluate.promotions import (
    Entry,
    Grounds,
    PromotionLog,
    decision_tags,
    differences_table,
)
from srgan.evaluate.report import Report, metrics_table
from srgan.refs import ModelRef, PromotionDecision
from srgan.settings import Settings


@flow(name="promote", on_cancellation=[stop_jobs])
def promote(model: Name = "srgan", version: int | None = None) -> PromotionDecision:
    """Make a challenger the champion if it is better by the rule that fits both models.

    Models trained on pixels alone are compared by PSNR, all others by perceptual distance, on the
    held-out crops of the challenger's dataset version. A decision that still holds is not taken a
    second time.

    Args:
        model: Name of the registered model.
        version: Version that challenges; without one, the alias ``challenger``.
    """
    challenger = find_version(f"models:/{model}/{version}" if version else _newest(model))
    entry = settle(challenger)
    point_alias(challenger, entry)
    show_decision(challenger, entry)
    return entry.decision


def settle(challenger: ModelRef) -> Entry:
    """The decision about a challenger, written in the log; taken again if the champion changes."""
    logger = get_run_logger()
    store = open_store(Settings())
    log = PromotionLog(store, challenger.name)
    while True:
        champion = find_champion(challenger.name)
        standing = log.standing(challenger.version, find_judges(store))
        if standing is not None:
            logger.info("Decided before: %s", standing.decision.reason)
            return standing
        if champion is not None:
            check_judges(champion, challenger)
        registry = Registry(Settings())
        dataset, pretrained = registry.origin(challenger)
        gate = recorded_gate(registry.tags(challenger))
        evaluation = evaluate(challenger, dataset, pretrained, champion)
        try:
            report = Report.model_validate_json(store.get(evaluation.key))
            return decide(log, challenger, champion, report, gate)
        except ConflictError as error:
            logger.warning("Another promotion was decided meanwhile: %s", error)


def decide(
    log: PromotionLog,
    challenger: ModelRef,
    champion: ModelRef | None,
    report: Report,
    gate: GateConfig,
) -> Entry:
    """Judge and write the decision; `ConflictError` when another one was written first."""
    before = champion.version if champion else None
    verdict = judge(report, gate, challenger=challenger.version, champion=before)
    decision = PromotionDecision(
        model=challenger.name,
        challenger=challenger.version,
        champion_before=before,
        promoted=verdict.promoted,
        reason=verdict.reason,
    )
    grounds = Grounds(
        run=challenger.run,
        weights_digest=challenger.weights_digest,
        dataset_version=report.dataset.version,
        metrics=report.metrics,
        trained_on_judge=report.trained_on_judge,
        judges=report.judges,
        rule=verdict.rule,
        gate=gate,
        against=verdict.against,
        differences=dict(verdict.differences),
    )
    return log.append(decision, grounds)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def point_alias(challenger: ModelRef, entry: Entry) -> None:
    """Bring MLflow's alias and the version's tags to what the log says."""
    registry = Registry(Settings())
    for name, value in decision_tags(entry).items():
        registry.set_tag(challenger, name, value)
    if entry.champion is not None:
        registry.set_alias(challenger.name, CHAMPION, entry.champion)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def show_decision(challenger: ModelRef, entry: Entry) -> None:
    """The sentence of the decision in the log, and with its figures as an artifact."""
    get_run_logger().info(entry.decision.reason)
    page = model_url(Settings(), challenger.name, challenger.version)
    create_markdown_artifact(
        f"{entry.decision.reason}\n\n{metrics_table(entry.metrics, entry.trained_on_judge)}\n\n"
        f"{differences_table(entry)}\n\n"
        f"[{challenger.name} version {challenger.version} in MLflow]({page})",
        key=artifact_key(challenger.name, "decision"),
        description=f"Rule: {entry.rule}",
    )


def _newest(model: str) -> str:
    return f"models:/{model}@{CHALLENGER}"
