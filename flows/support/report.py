"""The end of a retraining: its report as one page, and the model card of the version."""

from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.utilities.urls import url_for

from flows.support.jobs import root_flow_run_id
from flows.support.tasks import PATIENTLY, artifact_key
from srgan.keys import report_page_key
from srgan.measure.evaluation import PICTURE
from srgan.refs import ModelRef, PromotionDecision
from srgan.report.card import model_card
from srgan.report.chain import as_svg
from srgan.report.content import Content
from srgan.report.page import render
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import (
    artifact_page,
    artifact_url,
    find_run,
    log_file,
    mlflow_client,
    model_url,
    run_url,
)
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.versions.retraining_report import collect
from srgan.versions.trace import trace_version

_PAGE, _CARD, _LINEAGE = "report.html", "model-card.md", "lineage.svg"
_MAX_DESCRIPTION = 5000  # the column of MLflow's database


def report(challenger: ModelRef, decision: PromotionDecision) -> None:
    """Publish the report of this retraining, whatever was decided.

    A report that cannot be made is a failed task and a warning: the decision has been taken, and
    a run that failed for its report would look as if it had not.
    """
    state = publish_report(challenger, decision, return_state=True)
    if not state.is_completed():
        get_run_logger().warning("The report could not be published: %s", state.message)


@task(**PATIENTLY, cache_policy=NO_CACHE)
def publish_report(challenger: ModelRef, decision: PromotionDecision) -> str:
    """Store the page in the bucket, with the run in MLflow and linked in Prefect; its address."""
    settings, root = Settings(), root_flow_run_id()
    run_id = find_run(settings, root)
    content = collect(
        settings,
        challenger,
        decision,
        flow_run=root,
        elapsed_s=_elapsed_s(root),
        links=_links(settings, challenger, run_id, root),
    )
    store, page = open_store(settings), render(content).encode()
    key = report_page_key(challenger.run, root)
    store.put(key, page, content_type="text/html; charset=utf-8")
    uri = store.uri(key)
    Registry(settings).set_tag(challenger, "report", uri)
    if run_id is not None:
        log_file(settings, run_id, _PAGE, page)
        log_file(
            settings,
            run_id,
            _LINEAGE,
            as_svg(trace_version(settings, challenger), alone=True).encode(),
        )
        mlflow_client(settings).set_tag(run_id, "srgan.report", uri)
        create_link_artifact(
            artifact_page(settings, run_id, _PAGE),
            link_text=f"Report on version {challenger.version} of {challenger.name}",
            key=artifact_key(challenger.name, "report"),
            description=f"{decision.reason}\n\nAlso in `{uri}`, one file that needs no network.",
        )
    publish_card(settings, challenger, content)
    get_run_logger().info("Report: %s", uri)
    return uri


def publish_card(settings: Settings, version: ModelRef, content: Content) -> None:
    """The model card as description of the version and as an artifact beside its weights."""
    record = Registry(settings).record(version)
    run_id = record.evaluation_run
    picture = artifact_url(settings, run_id, PICTURE) if run_id else None
    card = model_card(content, picture=picture)
    assert record.mlflow_run is not None  # every version is registered with its run
    log_file(settings, record.mlflow_run, _CARD, card.encode())
    if len(card) > _MAX_DESCRIPTION:
        card = f"{card[: _MAX_DESCRIPTION - 80]}…\n\nThe rest is in the run's `{_CARD}`."
    mlflow_client(settings).update_model_version(
        version.name, str(version.version), description=card
    )


def _links(settings: Settings, version: ModelRef, run_id: str | None, root: str) -> dict[str, str]:
    """Addresses by their words; those that nobody knows are left out."""
    links = {
        "Model version in MLflow": model_url(settings, version.name, version.version),
        "Run in MLflow": run_url(settings, run_id) if run_id else None,
        "Flow run in Prefect": url_for("flow-run", obj_id=root),
    }
    return {words: address for words, address in links.items() if address}


def _elapsed_s(root: str) -> float:
    """Since the root flow run first started, in whichever of its lives."""
    with get_client(sync_client=True) as client:
        began = client.read_flow_run(UUID(root)).start_time
    return (datetime.now(UTC) - began).total_seconds() if began else 0.0
