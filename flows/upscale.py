"""Bulk upscaling: every image of a source through the champion, each exactly once."""

from itertools import islice

from prefect import flow, get_run_logger, task
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.jobs import root_flow_run_id, run_job, stop_jobs
from flows.retries import PATIENTLY
from flows.upscale_report import RunProgressBar, publish_summary, show_forecast, show_samples
from flows.upscale_sources import find_manifest, sampling
from srgan.adapters.champion import find_version
from srgan.adapters.registry import Registry
from srgan.adapters.s3 import open_store
from srgan.adapters.stores import open_address, require_visible
from srgan.adapters.upscale_worker import UpscaleSpec
from srgan.config import UpscaleConfig
from srgan.keys import batch_run, records_key, spec_key
from srgan.refs import ModelRef, UpscaleReport, config_digest
from srgan.settings import Settings
from srgan.storage import is_folder
from srgan.upscale.forecast import Forecast
from srgan.upscale.names import check_prefixes
from srgan.upscale.plan import Plan, find_plan, make_plan, name_run, preview
from srgan.upscale.records import Tally, from_parquet, tally
from srgan.upscale.summary import check
from srgan.version import release_version

_LOOK_EVERY_S = 5.0
_AHEAD = 3
"""Tasks for each job at once, so that the next begins while the flow still looks elsewhere."""


@flow(name="upscale", on_cancellation=[stop_jobs])
def upscale(
    source: str,
    destination: str,
    model: str = "srgan",
    config: UpscaleConfig = UpscaleConfig(),  # noqa: B008  # frozen
    manifest: str | None = None,
    plan_only: bool = False,
) -> UpscaleReport | Forecast:
    """Upscale every image below `source` into `destination` and record what became of each.

    Images that an earlier run has done with the same model and settings are skipped, so running
    again does only what is new, and finishes a run that was interrupted.

    Args:
        source: ``s3://BUCKET/photos``, or a folder that flow and Ray nodes see: ``/mnt/photos``.
        destination: Another prefix or folder; relative paths are kept below it.
        model: Registered model: a name, which means its champion, or ``models:/NAME/VERSION``.
        config: Output format, quality, size of batches, tolerated share of failures.
        manifest: CSV, JSONL or Parquet, in S3 or a folder, whose column ``key`` names the images.
        plan_only: Say what there is to do and how long it will take, and do nothing.
    """
    if plan_only:
        return show_forecast(preview_run(source, destination, model, config, manifest))
    plan = plan_run(source, destination, model, config, manifest)
    finished, lost = run_batches(plan)
    report, summary = publish_summary(plan, finished, lost)
    show_samples(plan)
    check(summary, config.failure_tolerance)
    return report


@task(**PATIENTLY)
def preview_run(
    source: str, destination: str, model: str, config: UpscaleConfig, manifest: str | None
) -> Forecast:
    """The plan in numbers; nothing is written."""
    _check(source, destination)
    settings = Settings()
    found = version_of(settings, model)
    source_store = open_address(settings, source)
    with find_manifest(settings, manifest) as listed:
        return preview(
            source_store,
            open_address(settings, destination),
            source=source,
            destination=destination,
            model=found,
            config=config,
            manifest=listed,
            sample=sampling(settings, source_store, found, config),
            own_bucket=settings.bucket,
        )


@task(**PATIENTLY)
def plan_run(
    source: str,
    destination: str,
    model: str,
    config: UpscaleConfig,
    manifest: str | None = None,
) -> Plan:
    """What is to do, and with which version of the model; a flow that is put back finds its own."""
    _check(source, destination)
    settings, logger = Settings(), get_run_logger()
    run = f"{root_flow_run_id()}-{config_digest(source, destination, model, config, manifest)[:8]}"
    store = open_address(settings, destination)
    run = name_run(store, destination, run)
    plan = find_plan(store, destination, run)
    if plan is not None:
        logger.info("Going on with the plan of an earlier life of this run")
    else:
        found = version_of(settings, model)
        source_store = open_address(settings, source)
        with find_manifest(settings, manifest) as listed:
            plan = make_plan(
                source_store,
                store,
                source=source,
                destination=destination,
                run=run,
                model=found,
                config=config,
                manifest=listed,
                # A bucket has room for everything; a disk may not.
                sample=sampling(settings, source_store, found, config)
                if is_folder(destination)
                else None,
                own_bucket=settings.bucket,
            )
    logger.info("With %s: %s", plan.model.uri, plan.forecast_text)
    return plan


def version_of(settings: Settings, model: str) -> ModelRef:
    """The version that a run works with: of a name, the champion by the promotion log."""
    registry, store = Registry(settings), open_store(settings)
    return find_version(registry, store, model, get_run_logger().warning)


def run_batches(plan: Plan) -> tuple[dict[int, Tally], dict[int, str]]:
    """Tallies of the batches that finished and reasons of those that did not, by number."""
    finished: dict[int, Tally] = {}
    lost: dict[int, str] = {}
    progress = RunProgressBar(plan)
    max_jobs = plan.config.max_jobs
    numbers = iter(range(plan.num_batches))
    following: dict[int, PrefectFuture[Tally]] = {}
    # Each task only follows its job. Few wait here, however many there are; none waits as a job,
    # which would be a process.
    limit: ThreadPoolTaskRunner[Tally] = ThreadPoolTaskRunner(max_workers=max_jobs)
    with limit as runner:
        while True:
            for number in islice(numbers, _AHEAD * max_jobs - len(following)):
                following[number] = runner.submit(upscale_batch, {"number": number, "plan": plan})
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


@task(**PATIENTLY, task_run_name="batch-{number}")
def upscale_batch(number: int, plan: Plan) -> Tally:
    """Have one batch done by a Ray job and count its records."""
    spec = UpscaleSpec(
        run=plan.run,
        batch=number,
        source=plan.source,
        destination=plan.destination,
        model=plan.model,
        config=plan.config,
        release_version=release_version(),
    )
    name = f"upscale-{plan.run[-8:]}-{number:06d}"
    run = batch_run(plan.run, number)
    run_job(
        stage=name,
        run=run,
        module="srgan.adapters.ray_upscale",
        spec=spec,
        spec_key=spec_key(run),
    )
    store = open_address(Settings(), plan.destination)
    key = records_key(plan.destination, plan.run, number)
    counts = tally(from_parquet(store.get(key), store.uri(key)))
    get_run_logger().info(
        "Batch %d of %d: %d done, %d skipped, %d failed",
        number + 1,
        plan.num_batches,
        counts.num_done,
        counts.num_skipped,
        counts.num_failed,
    )
    return counts


def _check(source: str, destination: str) -> None:
    check_prefixes(source, destination)
    require_visible(source, machine="the machine that the flow runs on")
