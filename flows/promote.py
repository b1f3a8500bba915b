"""Promotion: the gate decides, the promotion log records it, the alias in MLflow follows."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows.evaluate import evaluate
from flows.support.artifacts import artifact_key
from flows.support.inputs import (
    check_held_out,
    check_judges,
    check_scales,
    find_dataset,
    find_sets,
)
from flows.support.jobs import stop_jobs
from flows.support.registry import find_challenger, find_champion
from flows.support.tasks import io_task
from srgan.config import Gpu, Name
from srgan.errors import ConflictError
from srgan.measure.figures import differences_table, means_table
from srgan.promotion.decide import Comparison, settle
from srgan.promotion.log import Entry
from srgan.refs import ModelRef, PromotionDecision
from srgan.services.mlflow_runs import model_url
from srgan.versions.champion import publish
from srgan.versions.services import open_services


def run_name() -> str:
    """``promote pets-x4/3``, or ``promote pets-x4`` for the newest challenger."""
    model, version = (flow_run.parameters[name] for name in ("model", "version"))
    return f"promote {model}/{version}" if version else f"promote {model}"


@flow(name="promote", flow_run_name=run_name, on_cancellation=[stop_jobs])
def promote(
    model: Name = "srgan",
    version: int | None = None,
    dataset: Name | None = None,
    gpu: Gpu = "auto",
) -> PromotionDecision:
    """Make a challenger the champion if it is better by the rule that fits both models.

    Models trained on pixels alone are compared by PSNR, all others by perceptual distance, on the
    evaluation sets of the challenger's gate, or without any on the held-out crops of its dataset
    version. A decision that still holds is not taken a second time.

    Args:
        model: Name of the registered model.
        version: Version that challenges; without one, the alias ``challenger``.
        dataset: Name of a prepared dataset to measure on; without one, the challenger's own. An
            imported version has none and needs it.
        gpu: Whether to measure on a GPU: if there is any (``auto``), ``required`` or ``never``.
    """
    challenger = find_challenger(model, version)
    entry = decide_on(challenger, dataset, gpu)
    point_alias(challenger.name, entry)
    show_decision(challenger, entry)
    return entry.about(challenger.version)


def decide_on(challenger: ModelRef, dataset: str | None, gpu: Gpu) -> Entry:
    """Take and log the decision about a challenger, again if the champion changes meanwhile."""
    services = open_services()
    record = services.registry.record(challenger)
    asked = find_dataset(challenger, dataset) if dataset else None

    def measure(comparison: Comparison) -> str:
        champion = comparison.champion
        versions = [challenger, *([champion] if champion else [])]
        data = asked or find_dataset(challenger, None)
        sets = find_sets(record.gate.sets, data.scale, models=versions)
        if champion is not None:
            check_judges(champion, challenger)
        check_scales(data.scale, versions)
        check_held_out(data, versions, decides=not record.gate.sets)
        return evaluate(challenger, data, record.pretrained, champion, sets, gpu=gpu).key

    log = services.log(challenger.name)
    while True:
        before = log.champion()
        try:
            return settle(
                log,
                services.store,
                record,
                measure,
                before=before,
                champion=find_champion(challenger.name),
                dataset_version=asked.version if asked else None,
            )
        except ConflictError as error:
            get_run_logger().warning("Another promotion was decided meanwhile: %s", error)


@io_task
def point_alias(model: str, entry: Entry) -> None:
    """Make MLflow's alias and the versions' tags say what the log says."""
    services = open_services()
    if moved := publish(services.registry, services.log(model), entry):
        get_run_logger().info("%s", moved)


@io_task
def show_decision(challenger: ModelRef, entry: Entry) -> None:
    """Show the sentence of the decision in the log, and with its figures as an artifact."""
    get_run_logger().info(entry.decision.reason)
    page = model_url(open_services().settings, challenger.name, challenger.version)
    differences = differences_table(f"Challenger minus {entry.against}", entry.all_differences)
    create_markdown_artifact(
        f"{entry.decision.reason}\n\n"
        f"{means_table(entry.metrics, entry.trained_on_judge).markdown()}\n\n"
        f"{differences.markdown()}\n\n"
        f"[{challenger.name} version {challenger.version} in MLflow]({page})",
        key=artifact_key(challenger.name, "decision"),
        description=f"Rule: {entry.rule}",
    )
