"""Bulk upscaling: every image of a source through the champion, each exactly once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import flow, get_run_logger
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.support.jobs import root_flow_run_id, run_job, stop_jobs
from flows.support.tasks import io_task
from flows.support.upscale_report import (
    RunProgressBar,
    publish_summary,
    show_forecast,
    show_samples,
)
from srgan.bulk.decoders import Decoders
from srgan.bulk.forecast import Forecast, Throughput, measure_some
from srgan.bulk.join import Item
from srgan.bulk.names import check_prefixes
from srgan.bulk.plan import BulkPlan, find_plan, make_plan, name_run, preview
from srgan.bulk.records import Tally, from_parquet, tally
from srgan.bulk.run import BulkRun, Place
from srgan.bulk.sources import KeyList, check_kind
from srgan.bulk.summary import check
from srgan.config import UpscaleConfig
from srgan.errors import DataError
from srgan.jobs.upscale import UpscaleSpec
from srgan.keys import batch_run, records_key
from srgan.refs import UpscaleReport, config_digest
from srgan.services.folder import open_place, require_visible
from srgan.services.s3 import open_store
from srgan.storage import is_folder, split_uri
from srgan.version import release_version
from srgan.versions.services import Services, open_services

_LOOK_EVERY_S = 5.0
_AHEAD = 3
"""Tasks for each job at once, so that the next job starts while the flow is busy elsewhere."""


@flow(name="upscale", flow_run_name="upscale {source}", on_cancellation=[stop_jobs])
def upscale(
    source: str,
    destination: str,
    model: str = "srgan",
    config: UpscaleConfig = UpscaleConfig(),  # noqa: B008  # frozen
    manifest: str | None = None,
    plan_only: bool = False,
) -> UpscaleReport | Forecast:
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
    finished, lost = run_batches(run, plan)
    report, summary = publish_summary(run, plan, finished, lost)
    show_samples(run)
    check(summary, config.failure_tolerance)
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
    if plan is not None:
        logger.info("Going on with the plan of an earlier attempt of this run")
        run = BulkRun(name, source, destination, plan.model, config)
    else:
        run = BulkRun(name, source, destination, services.version(model), config)
        # A bucket has room for any number of bytes; a disk may not.
        sample = sampling(services, run) if is_folder(destination.address) else None
        with find_key_list(services, manifest) as key_list:
            plan = make_plan(run, key_list, sample)
    logger.info("With %s: %s", plan.model.uri, plan.forecast_text)
    return run, plan


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
    progress = RunProgressBar(run, plan)
    max_jobs = run.config.max_jobs
    numbers = iter(range(plan.num_batches))
    following: dict[int, PrefectFuture[Tally]] = {}
    # Each task only follows its job. Few exist at once, however many batches there are, because a
    # job that waits costs a process.
    limit: ThreadPoolTaskRunner[Tally] = ThreadPoolTaskRunner(max_workers=max_jobs)
    with limit as runner:
        while True:
            for number in islice(numbers, _AHEAD * max_jobs - len(following)):
                parameters = {"number": number, "run": run, "num_batches": plan.num_batches}
                following[number] = runner.submit(upscale_batch, parameters)
            if not following:
                return finished, lost
            done = wait(list(following.values()), timeout=_LOOK_EVERY_S).done
            progress.update()
            for number in [number for number, future in following.items() if future in done]:
                end = following.pop(number).result(raise_on_failure=False)
                if isinstance(end, Tally):
                    finished[number] = end
                else:
                    lost[number] = str(end)


@io_task(task_run_name="batch-{number}")
def upscale_batch(number: int, run: BulkRun, num_batches: int) -> Tally:
    """Have a Ray job do one batch, and return the tally of its records."""
    spec = UpscaleSpec(
        run=run.name,
        batch=number,
        source=run.source.address,
        destination=run.destination.address,
        model=run.model,
        config=run.config,
        release_version=release_version(),
    )
    job_run = batch_run(run.name, number)
    run_job(
        services=open_services(),
        stage=f"upscale-{run.name[-8:]}-{number:06d}",
        run=job_run,
        module="srgan.jobs.upscale",
        spec=spec,
    )
    store = run.destination.store
    key = records_key(run.destination.address, run.name, number)
    counts = tally(from_parquet(store.get(key), store.uri(key)))
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
