"""Bulk upscaling: every image below a prefix through the champion, each exactly once."""

from prefect import flow, get_run_logger, task, unmapped
from prefect.artifacts import create_table_artifact
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

from flows.jobs import root_flow_run_id, run_job, stop_jobs
from flows.retries import PATIENTLY
from srgan.adapters.registry import Registry
from srgan.adapters.s3 import S3Store, open_store
from srgan.adapters.upscale_worker import UpscaleSpec
from srgan.config import UpscaleConfig
from srgan.refs import UpscaleReport, config_digest
from srgan.settings import Settings
from srgan.upscale.names import check_prefixes, prefix_of
from srgan.upscale.plan import Plan, find_plan, make_plan, records_key
from srgan.upscale.records import Tally, from_parquet, tally
from srgan.upscale.summary import Summary, check, summarise, write_summary
from srgan.version import code_version


@flow(name="upscale", on_cancellation=[stop_jobs])
def upscale(
    source: str,
    destination: str,
    model: str = "srgan",
    config: UpscaleConfig = UpscaleConfig(),  # noqa: B008  # frozen
) -> UpscaleReport:
    """Upscale every image below `source` into `destination` and record what became of each.

    Images that an earlier run has done with the same model and settings are skipped, so running
    again does only what is new, and finishes a run that was interrupted.

    Args:
        source: S3 address of a prefix, ``s3://BUCKET/photos``.
        destination: S3 address of another prefix; relative paths are kept below it.
        model: Registered model: a name, which means its champion, or ``models:/NAME/VERSION``.
        config: Output format, quality, size of batches, tolerated share of failures.
    """
    plan = plan_run(source, destination, model, config)
    finished, lost = run_batches(plan)
    report, summary = publish_summary(plan, finished, lost)
    check(summary, config.failure_tolerance)
    return report


@task(**PATIENTLY)
def plan_run(source: str, destination: str, model: str, config: UpscaleConfig) -> Plan:
    """What is to do, and with which version of the model; a flow that is put back finds its own."""
    check_prefixes(source, destination)
    settings, logger = Settings(), get_run_logger()
    run = f"{root_flow_run_id()}-{config_digest(source, destination, model, config)[:8]}"
    store = _destination(destination)
    plan = find_plan(store, destination, run)
    if plan is not None:
        logger.info("Going on with the plan of an earlier life of this run")
    else:
        plan = make_plan(
            open_store(settings, prefix_of(source)[0]),
            store,
            source=source,
            destination=destination,
            run=run,
            model=Registry(settings).resolve(model),
            config=config,
        )
    logger.info(
        "%d images to upscale with %s (%.1f MB in %d batches), %d done by earlier runs, "
        "%d refused by name",
        plan.num_todo,
        plan.model.uri,
        plan.todo_bytes / 1e6,
        plan.num_batches,
        plan.num_covered,
        plan.refused.num_failed,
    )
    return plan


def run_batches(plan: Plan) -> tuple[dict[int, Tally], dict[int, str]]:
    """Tallies of the batches that finished and reasons of those that did not, by number."""
    finished: dict[int, Tally] = {}
    lost: dict[int, str] = {}
    # Each task only follows its job. What waits here costs nothing, a waiting job a process.
    limit: ThreadPoolTaskRunner[Tally] = ThreadPoolTaskRunner(max_workers=plan.config.max_jobs)
    with limit as runner:
        parameters = {"number": list(range(plan.num_batches)), "plan": unmapped(plan)}
        futures = runner.map(upscale_batch, parameters)
        wait(futures)
    for number, future in enumerate(futures):
        end = future.result(raise_on_failure=False)
        if isinstance(end, Tally):
            finished[number] = end
        else:
            lost[number] = str(end)
    return finished, lost


@task(task_run_name="batch-{number}")
def upscale_batch(number: int, plan: Plan) -> Tally:
    """Have one batch done by a Ray job and count its records."""
    spec = UpscaleSpec(
        run=plan.run,
        batch=number,
        source=plan.source,
        destination=plan.destination,
        model=plan.model,
        config=plan.config,
        code_version=code_version(),
    )
    name = f"upscale-{plan.run[-8:]}-{number:06d}"
    run = f"upscale-{plan.run}/{number:06d}"
    run_job(
        stage=name,
        run=run,
        module="srgan.adapters.ray_upscale",
        spec=spec,
        spec_key=f"runs/{run}/spec.json",
    )
    store = _destination(plan.destination)
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


@task(**PATIENTLY)
def publish_summary(
    plan: Plan, finished: dict[int, Tally], lost: dict[int, str]
) -> tuple[UpscaleReport, Summary]:
    """Write the run's summary, and show it as a table on the flow run's page."""
    summary = summarise(plan, finished, lost)
    report = write_summary(_destination(plan.destination), summary)
    counts = summary.counts
    create_table_artifact(
        key="upscale",
        description=f"`{plan.source}` → `{plan.destination}` with `{summary.model}`; everything "
        f"in `{report.summary_key}`",
        table=[
            {
                "images": summary.num_keys,
                "done": counts.num_done,
                "skipped": counts.num_skipped,
                "failed": counts.num_failed,
                "output megapixels": round(counts.output_megapixels, 2),
                "megapixels per second": round(summary.megapixels_per_s, 3),
                "seconds": round(summary.seconds, 1),
            }
        ],
    )
    if counts.failures:
        create_table_artifact(
            key="upscale-failures",
            description=f"The first {len(counts.failures)} of {counts.num_failed} failed images",
            table=[{"image": key, "reason": why} for key, why in counts.failures.items()],
        )
    get_run_logger().info(
        "%d done, %d skipped, %d failed of %d images: %.1f output megapixels in %.0f s",
        counts.num_done,
        counts.num_skipped,
        counts.num_failed,
        summary.num_keys,
        counts.output_megapixels,
        summary.seconds,
    )
    return report, summary


def _destination(uri: str) -> S3Store:
    return open_store(Settings(), prefix_of(uri)[0])
