"""Bulk upscaling: every image of a source through the champion, each exactly once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.futures import PrefectFuture, wait
from prefect.runtime import flow_run as current_flow_run
from prefect.states import Cancelled, Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from flows.support.tasks import io_task
from flows.support.upscale_report import (
    RunProgressBar,
    publish_summary,
    show_drift,
    show_forecast,
    show_samples,
)
from srgan.bulk.decoders import Decoders
from srgan.bulk.forecast import Forecast, Throughput, measure_some
from srgan.bulk.join import Item
from srgan.bulk.names import check_prefixes
from srgan.bulk.plan import BulkPlan, find_plan, make_plan, name_run, preview
from srgan.bulk.records import Tally, from_parquet, tally
from srgan.bulk.run import BulkRun
from srgan.bulk.sources import KeyList, check_kind
from srgan.bulk.summary import check
from srgan.config import UpscaleConfig
from srgan.errors import ClusterError, DataError, StorageError
from srgan.jobs.failure import Failure
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import (
    batch_run,
    batches_prefix,
    bulk_job_run,
    failure_key,
    records_key,
)
from srgan.refs import UpscaleReport, config_digest
from srgan.services.folder import open_place, require_visible
from srgan.services.s3 import open_store
from srgan.storage import Place, find_document, is_folder, split_uri
from srgan.version import release_version
from srgan.versions.services import Services, open_services

_LOOK_EVERY_S = 2.0
_FOLLOWED = 3
"""Batches followed at once for each worker: those in work and the next ones."""


@flow(name="upscale", flow_run_name="upscale {source}", on_cancellation=[stop_jobs])
def upscale(
    source: str,
    destination: str,
    model: str = "srgan",
    config: UpscaleConfig = UpscaleConfig(),  # noqa: B008  # frozen
    manifest: str | None = None,
    plan_only: bool = False,
) -> UpscaleReport | Forecast | State[None]:
    """Upscale every image below `source` into `destination`, and keep a record of each.

    Images that an earlier run has done with the same model and settings are skipped. So a second
    run does only what is new, and finishes one that was interrupted.

    Args:
        source: ``s3://BUCKET/photos``, or a folder that flow and Ray nodes see: ``/mnt/photos``.
        destination: Another prefix or folder; relative paths are kept below it.
        model: Registered model: a name, which means its champion, or ``models:/NAME/VERSION``.
        config: Output format, quality, size of batches, tolerated share of failures.
        manifest: CSV, JSONL or Parquet, in S3 or a folder, whose column ``key`` names the images.
        plan_only: Say what there is to do and how long it will take, without doing it.
    """
    places = open_places(source, destination)
    if plan_only:
        return show_forecast(preview_run(*places, model, config, manifest))
    run, plan = plan_run(*places, model, config, manifest)
    if plan.is_nothing_new:
        withdraw_waiting()
        return Completed(message=f"Nothing is new below {source}: {plan.forecast_text}")
    finished, lost = run_batches(run, plan)
    report, summary = publish_summary(run, plan, finished, lost)
    show_samples(run)
    show_drift(run)
    check(summary, config.failure_tolerance)
    if config.only_new and not lost:
        withdraw_waiting()
    return report


def open_places(source: str, destination: str) -> tuple[Place, Place]:
    """Open both stores, once for the whole flow; refuse places that cannot be used together."""
    check_prefixes(source, destination)
    settings = open_services().settings
    places = open_place(settings, source), open_place(settings, destination)
    require_visible(places[0], machine="the machine that the flow runs on")
    return places


@io_task
def preview_run(
    source: Place, destination: Place, model: str, config: UpscaleConfig, manifest: str | None
) -> Forecast:
    """Estimate the run without writing anything."""
    services = open_services(get_run_logger().warning)
    run = BulkRun("preview", source, destination, services.version(model), config)
    with find_key_list(services, manifest) as key_list:
        return preview(run, key_list, sampling(services, run))


@io_task
def plan_run(
    source: Place,
    destination: Place,
    model: str,
    config: UpscaleConfig,
    manifest: str | None = None,
) -> tuple[BulkRun, BulkPlan]:
    """Plan the run with one version of the model; a flow that is put back finds its own plan."""
    logger = get_run_logger()
    services = open_services(logger.warning)
    addresses = source.address, destination.address
    name = f"{root_flow_run_id()}-{config_digest(*addresses, model, config, manifest)[:8]}"
    name = name_run(destination, name)
    plan = find_plan(destination, name)
    trial = services.version(config.trial) if config.trial else None
    if plan is not None:
        logger.info("Going on with the plan of an earlier attempt of this run")
        run = BulkRun(name, source, destination, plan.model, config, trial)
    else:
        run = BulkRun(name, source, destination, services.version(model), config, trial)
        # A bucket has room for any number of bytes; a disk may not.
        sample = sampling(services, run) if is_folder(destination.address) else None
        with find_key_list(services, manifest) as key_list:
            plan = make_plan(run, key_list, sample)
    logger.info("With %s: %s", plan.model.uri, plan.forecast_text)
    return run, plan


def withdraw_waiting() -> None:
    """Cancel the runs that wait to do what this run has done; a warning if that fails.

    Not before it is done: if this run fails, one of them does it.
    """
    state = cancel_waiting(return_state=True)
    if state.is_failed():
        get_run_logger().warning("Runs that wait list everything once more: %s", state.message)


@io_task
def cancel_waiting() -> None:
    """Cancel the runs of this deployment with these parameters that wait since before this one.

    They were due before it began, and have never begun. A limit of the deployment collects them
    while a long run works.
    """
    with get_client(sync_client=True) as client:
        this = client.read_flow_run(UUID(str(current_flow_run.id)))
        if this.deployment_id is None:
            return
        waiting = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[this.deployment_id]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=this.start_time),
                start_time=FlowRunFilterStartTime(is_null_=True),
            )
        )
        for each in waiting:
            if each.parameters == this.parameters:
                message = f"Run {this.name} began after this one was due, and does what is new"
                client.set_flow_run_state(each.id, Cancelled(message=message))


@contextmanager
def find_key_list(services: Services, address: str | None) -> Iterator[KeyList | None]:
    """Provide the manifest as a file on this disk while it is needed; None without a manifest."""
    if address is None:
        yield None
        return
    check_kind(address)
    if is_folder(address):
        if not Path(address).is_file():
            raise DataError(f"the manifest {address} does not exist on the flow's machine")
        yield KeyList(Path(address), address)
        return
    bucket, key = split_uri(address)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "manifest"
        open_store(services.settings, bucket).download(key, path)
        yield KeyList(path, address)


def sampling(services: Services, run: BulkRun) -> Callable[[Iterator[Item]], Throughput]:
    """Estimate outputs before a first run; the model is loaded only when that is called."""

    def sample(items: Iterator[Item]) -> Throughput:
        # Importing torch takes seconds, which runs that follow earlier ones do not pay.
        from srgan.models.interchange import load_generator

        scale = load_generator(services.registry.load_generator_bytes(run.model)).scale
        with Decoders(1) as decoders:
            return measure_some(items, run, decoders.decode, scale)

    return sample


def run_batches(run: BulkRun, plan: BulkPlan) -> tuple[dict[int, Tally], dict[int, str]]:
    """Return the tallies of finished batches and the errors of the others, by number."""
    finished: dict[int, Tally] = {}
    lost: dict[int, str] = {}
    numbers = iter(range(plan.num_batches))
    following: dict[int, PrefectFuture[Tally]] = {}
    have_ended = threading.Event()
    # Few tasks exist at once, however many batches there are; each only looks for its records.
    limit: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(
        max_workers=1 + _FOLLOWED * run.config.max_workers
    )
    with limit as runner:
        workers = runner.submit(run_workers, {"run": run, "num_batches": plan.num_batches})
        progress = RunProgressBar(run, plan)
        try:
            while True:
                for number in islice(numbers, _FOLLOWED * run.config.max_workers - len(following)):
                    parameters = {"number": number, "run": run, "num_batches": plan.num_batches}
                    following[number] = runner.submit(
                        follow_batch, {**parameters, "have_ended": have_ended}
                    )
                if not following:
                    break
                waited = [*following.values(), *([] if have_ended.is_set() else [workers])]
                done = wait(waited, timeout=_LOOK_EVERY_S).done
                if workers in done:
                    have_ended.set()
                progress.update(following)
                for number in [number for number, future in following.items() if future in done]:
                    end = following.pop(number).result(raise_on_failure=False)
                    if isinstance(end, Tally):
                        finished[number] = end
                    else:
                        lost[number] = str(end)
        finally:
            # Also after an error: the runner's end waits for its threads, and they for this.
            have_ended.set()
        why = workers.result(raise_on_failure=False)
    done_later = find_done_later(run, list(lost)) if lost else {}
    cause = f": {why}" if isinstance(why, Exception) else ""
    lost = {number: text + cause for number, text in lost.items() if number not in done_later}
    return finished | done_later, lost


@io_task(task_run_name="workers")
def run_workers(run: BulkRun, num_batches: int) -> None:
    """Have the workers of one Ray job do every batch that has no records."""
    services = open_services()
    recorded = find_recorded(run)
    batches = tuple(number for number in range(num_batches) if number not in recorded)
    if not batches:
        return

    def forget_lost() -> None:
        """Delete why earlier jobs lost batches, which the next job does again.

        Not before one is submitted: a job that still runs does no batch again that it has lost.
        """
        for info in list(services.store.list(batches_prefix(run.name))):
            if failure_key.names(info.key):
                services.store.delete(info.key)

    spec = UpscaleSpec(
        run=run.name,
        source=run.source.address,
        destination=run.destination.address,
        model=run.model,
        config=run.config,
        trial=run.trial,
        batches=batches,
        num_batches=num_batches,
        release_version=release_version(),
    )
    job_run = bulk_job_run(run.name)
    run_job(
        services=services,
        label=f"upscale-{run.name[-8:]}",
        run=job_run,
        module="srgan.jobs.upscale",
        spec=spec,
        shows_progress=False,  # `RunProgressBar` knows more
        takes_success=False,  # a job that has lost batches succeeds
        before_submit=forget_lost,
    )


@io_task(task_run_name="batch-{number}")
def follow_batch(number: int, run: BulkRun, num_batches: int, have_ended: threading.Event) -> Tally:
    """Wait until a worker has done a batch, and return the tally of its records.

    `ClusterError` if the batch is lost, or if the workers `have_ended` without it.
    """
    counts = wait_for_records(number, run, have_ended)
    get_run_logger().info(
        "Batch %d of %d: %d done, %d skipped, %d failed, %d not photos",
        number + 1,
        num_batches,
        counts.num_done,
        counts.num_skipped,
        counts.num_failed,
        counts.num_passed_over,
    )
    return counts


def wait_for_records(number: int, run: BulkRun, have_ended: threading.Event) -> Tally:
    """Look for a batch's records, or for its failure, until one is there or the workers ended."""
    services = open_services()
    failure = failure_key(batch_run(run.name, number))
    while True:
        is_last_look = have_ended.is_set()
        try:
            if (counts := find_tally(run, number)) is not None:
                return counts
            if (found := find_document(services.store, failure, Failure)) is not None:
                raise ClusterError(f"batch {number} is lost: {found}")
        except StorageError:
            if is_last_look:
                raise
        if is_last_look:
            raise ClusterError(f"the workers ended without batch {number}")
        have_ended.wait(_LOOK_EVERY_S)


@io_task
def find_done_later(run: BulkRun, lost: list[int]) -> dict[int, Tally]:
    """Look again for lost batches: a later attempt of the workers may have done them."""
    found = {number: find_tally(run, number) for number in lost}
    return {number: counts for number, counts in found.items() if counts is not None}


def find_recorded(run: BulkRun) -> set[int]:
    """List the numbers of batches that have records."""
    prefix = records_key.below(run.destination.address, run.name)
    keys = (info.key for info in run.destination.store.list(prefix))
    return {int(names["batch"]) for key in keys if (names := records_key.names(key))}


def find_tally(run: BulkRun, number: int) -> Tally | None:
    """Add up the records of a batch; None if it has none yet."""
    store = run.destination.store
    key = records_key(run.destination.address, run.name, number)
    found = store.find(key)
    return None if found is None else tally(from_parquet(found, store.uri(key)))
