"""Collect what the report of a retraining shows, from the bucket and MLflow."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from srgan.data.changes import PhotoChanges, changes_since
from srgan.keys import details_key, evaluation_of
from srgan.measure.evaluation import Report
from srgan.measure.pictures import Details
from srgan.promotion.log import Entry, concerns, promoted_weights
from srgan.promotion.record import VersionRecord
from srgan.readable import moment
from srgan.refs import DatasetRef, ModelRef, PromotionDecision
from srgan.report.chain import as_svg
from srgan.report.content import Content, TrainedStage
from srgan.report.costs import Cost, read_costs
from srgan.report.training import CURVES
from srgan.services.mlflow_runs import find_run, read_curves
from srgan.services.s3 import S3Store
from srgan.storage import find_document, read_document
from srgan.train.checkpoint import newest_manifest
from srgan.versions.services import Services
from srgan.versions.trace import trace_version


def collect(
    services: Services,
    version: ModelRef,
    decision: PromotionDecision,
    *,
    flow_run: str,
    elapsed_s: float,
    links: Mapping[str, str],
) -> Content:
    """Collect the decision about a version and the evidence for it; compute nothing."""
    store = services.store
    entries = services.log(decision.model).entries()
    evidence = _evidence(entries, version, decision)
    champion = _champion(services, entries, evidence, decision)
    record = services.registry.record(version)
    evaluation = evidence.evaluation or record.evaluation
    assert evaluation is not None  # a version that a retraining made has one
    report = read_document(store, evaluation, Report)
    evaluation_run = evaluation_of(evaluation)
    runs = [run for run in (version.pretrained_run, version.run) if run]
    costs = [cost for run in [*runs, evaluation_run] for cost in read_costs(store, run)]
    return Content(
        decision=decision,
        evidence=evidence,
        made_at=moment(datetime.now(UTC)),
        evaluation=report,
        stages=[_stage(services, run, costs, flow_run) for run in runs],
        details=_details(store, details_key(evaluation_run)),
        licence=report.dataset.licence,
        photos=_photos(services, champion, report.dataset),
        costs=costs,
        flow_run=flow_run,
        elapsed_s=elapsed_s,
        links=links,
        lineage=as_svg(trace_version(services, version), alone=False),
        pairs=record.pairs,
    )


def _evidence(entries: Sequence[Entry], version: ModelRef, decision: PromotionDecision) -> Entry:
    """Return the log's entry that holds the decision.

    None does after a rollback that left the version: then the last one that decided on it.
    """
    about = [
        each
        for each in reversed(entries)
        if each.decision.challenger == version.version and concerns(entries, each, version)
    ]
    return next((each for each in about if each.decision == decision), about[0])


def _champion(
    services: Services, entries: Sequence[Entry], evidence: Entry, decision: PromotionDecision
) -> VersionRecord | None:
    """Return the champion before the decision; None without one, or if its weights are gone."""
    number = decision.champion_before
    versions = services.registry.versions(decision.model) if number else []
    before = [each for each in entries if each.number < evidence.number]
    weights = promoted_weights(before, number)
    return next(
        (each for each in versions if (each.version, each.weights_digest) == (number, weights)),
        None,
    )


def _details(store: S3Store, key: str) -> Details:
    return find_document(store, key, Details) or Details(details=[])


def _stage(services: Services, run: str, costs: list[Cost], flow_run: str) -> TrainedStage:
    settings, store = services.settings, services.store
    checkpoint = newest_manifest(store, run)
    assert checkpoint is not None  # a stage of a version that was just made has one
    mlflow_run = find_run(settings, run)
    jobs = [cost.job for cost in costs if cost.stage == checkpoint.stage]
    return TrainedStage(
        run=run,
        stage=checkpoint.stage,
        steps=checkpoint.step,
        reused=bool(jobs) and not any(job.startswith(flow_run) for job in jobs),
        curves=read_curves(settings, mlflow_run, CURVES) if mlflow_run else {},
        config=checkpoint.config,
        chosen=checkpoint.chosen,
    )


def _photos(
    services: Services, champion: VersionRecord | None, now: DatasetRef
) -> PhotoChanges | None:
    """Return what changed since the photos that the previous champion was trained on."""
    # An imported champion has no dataset.
    before = champion.dataset if champion else None
    return changes_since(services.store, before.key, now.key) if before else None
