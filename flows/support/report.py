"""Publish the report of a retraining as one page, and the model card of its version."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_link_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from flows.support.artifacts import artifact_key
from flows.support.jobs import root_flow_run_id
from flows.support.tasks import io_task
from srgan.keys import report_page_key
from srgan.measure.evaluation import PICTURE
from srgan.refs import ModelRef, PromotionDecision
from srgan.report.card import model_card
from srgan.report.chain import as_svg
from srgan.report.content import Content
from srgan.report.page import render
from srgan.services.mlflow_models import CARD
from srgan.services.mlflow_runs import (
    artifact_page,
    artifact_url,
    find_run,
    log_file,
    mlflow_client,
    model_url,
    run_url,
)
from srgan.services.prefect_runs import flow_run_page
from srgan.settings import Settings
from srgan.versions.retraining_report import collect
from srgan.versions.services import Services, open_services
from srgan.versions.trace import trace_version

_PAGE, _LINEAGE = "report.html", "lineage.svg"


def report(challenger: ModelRef, decision: PromotionDecision) -> None:
    """Publish page and model card of this retraining, whatever was decided.

    Neither needs the other. If one fails, it is a failed task and a warning, not a failed run: the
    decision has been taken, and a failed run would look as if it had not.
    """
    states: dict[str, State[Any]] = {
        "page": publish_page(challenger, decision, return_state=True),
        "model card": publish_card(challenger, decision, return_state=True),
    }
    published = [what for what, state in states.items() if state.is_completed()]
    for what, state in states.items():
        if what not in published:
            get_run_logger().warning(
                "The report's %s could not be published: %s. Published: %s",
                what,
                state.message,
                ", ".join(published) or "nothing",
            )


@io_task
def publish_page(challenger: ModelRef, decision: PromotionDecision) -> str:
    """Store the page in the bucket and in MLflow, link it in Prefect, and return its address."""
    services, root = open_services(), root_flow_run_id()
    settings, store = services.settings, services.store
    run_id = find_run(settings, root)
    content = _collect(services, challenger, decision, root)
    page, key = render(content).encode(), report_page_key(challenger.run, root)
    store.put(key, page, content_type="text/html; charset=utf-8")
    uri = store.uri(key)
    services.registry.set_tag(challenger, "report", uri)
    if run_id is not None:
        log_file(settings, run_id, _PAGE, page)
        log_file(
            settings,
            run_id,
            _LINEAGE,
            as_svg(trace_version(services, challenger), alone=True).encode(),
        )
        mlflow_client(settings).set_tag(run_id, "srgan.report", uri)
        create_link_artifact(
            artifact_page(settings, run_id, _PAGE),
            link_text=f"Report on version {challenger.version} of {challenger.name}",
            key=artifact_key(challenger.name, "report"),
            description=f"{decision.reason}\n\nAlso in `{uri}`, one file that works offline.",
        )
    get_run_logger().info("Report: %s", uri)
    return uri


@io_task
def publish_card(challenger: ModelRef, decision: PromotionDecision) -> None:
    """Make the model card the version's description and an artifact beside its weights."""
    services = open_services()
    settings, record = services.settings, services.registry.record(challenger)
    content = _collect(services, challenger, decision, root_flow_run_id())
    run_id = record.evaluation_run
    picture = artifact_url(settings, run_id, PICTURE) if run_id else None
    card = model_card(content, picture=picture)
    assert record.mlflow_run is not None  # every version is registered with its run
    log_file(settings, record.mlflow_run, CARD, card.encode())
    services.registry.describe(challenger, card)


def _collect(
    services: Services, challenger: ModelRef, decision: PromotionDecision, root: str
) -> Content:
    settings = services.settings
    return collect(
        services,
        challenger,
        decision,
        flow_run=root,
        elapsed_s=_elapsed_s(root),
        links=_links(settings, challenger, find_run(settings, root), root),
    )


def _links(settings: Settings, version: ModelRef, run_id: str | None, root: str) -> dict[str, str]:
    """Return addresses by their words, without those that are not known."""
    links = {
        "Model version in MLflow": model_url(settings, version.name, version.version),
        "Run in MLflow": run_url(settings, run_id) if run_id else None,
        "Flow run in Prefect": flow_run_page(settings, root),
    }
    return {words: address for words, address in links.items() if address}


def _elapsed_s(root: str) -> float:
    """Return the time since the root flow run first started, over all its attempts."""
    with get_client(sync_client=True) as client:
        began = client.read_flow_run(UUID(root)).start_time
    return (datetime.now(UTC) - began).total_seconds() if began else 0.0
