"""Show a bulk run: its forecast, its progress, its summary and a few of its images."""

import base64
import time
from collections.abc import Iterable

from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.support.artifacts import ProgressArtifact
from flows.support.tasks import io_task
from srgan.bulk.forecast import Forecast
from srgan.bulk.plan import BulkPlan
from srgan.bulk.progress import Finished, RunProgress
from srgan.bulk.records import Tally
from srgan.bulk.run import BulkRun
from srgan.bulk.samples import contact_sheet
from srgan.bulk.summary import Summary, others, summarise, write_summary
from srgan.errors import StorageError
from srgan.keys import contact_sheet_key
from srgan.promotion.drift import BOUND, Drift, keep_drift, measure_drift
from srgan.readable import duration
from srgan.refs import UpscaleReport
from srgan.versions.services import open_services

_LOG_EVERY_S = 30.0


class RunProgressBar:
    """A progress artifact, and every half minute a log line with the time left.

    The time left is estimated from the source bytes done since this process began to follow the
    batches.
    """

    def __init__(self, run: BulkRun, plan: BulkPlan) -> None:
        self._plan = plan
        self._logger = get_run_logger()
        self._progress = RunProgress(run)
        self._began = self._said = time.monotonic()
        try:
            self._first = self._progress.read_all()
        except StorageError:
            self._first = Finished()
        self._shown = self._first
        self._artifact = ProgressArtifact("upscale-progress")

    def update(self, batches: Iterable[int]) -> None:
        """Show what these batches have done since the last call."""
        try:
            now = self._progress.read(batches)
        except StorageError:
            return  # only a display; batches report their own errors
        if now == self._shown:
            return
        self._shown = now
        percent, text = self._standing(now)
        self._artifact.show(percent, text)
        if time.monotonic() - self._said >= _LOG_EVERY_S:
            self._said = time.monotonic()
            self._logger.info(text)

    def _standing(self, now: Finished) -> tuple[float, str]:
        total = max(self._plan.todo_bytes, 1)
        seconds = time.monotonic() - self._began
        done = now.source_bytes - self._first.source_bytes
        megapixels = now.megapixels - self._first.megapixels
        text = (
            f"{now.num_images} of {self._plan.num_todo} images ({now.num_failed} failed), "
            f"{megapixels / seconds:.2f} output megapixels per second"
        )
        if done:
            left_s = seconds * (total - now.source_bytes) / done
            text += f", about {duration(left_s)} left"
        return 100 * now.source_bytes / total, text


@io_task
def show_forecast(forecast: Forecast) -> Forecast:
    """Show the plan as an artifact and in the log."""
    create_markdown_artifact(
        "\n".join(f"- {part}" for part in forecast.text.split("; ")),
        key="upscale-plan",
        description="What a run would do; nothing was written",
    )
    get_run_logger().info("Plan only: %s", forecast.text)
    return forecast


@io_task
def publish_summary(
    run: BulkRun, plan: BulkPlan, finished: dict[int, Tally], lost: dict[int, str]
) -> tuple[UpscaleReport, Summary]:
    """Write the run's summary, and show it as tables on the flow run's page."""
    summary = summarise(plan, finished, lost)
    report = write_summary(run, summary)
    counts = summary.counts
    create_table_artifact(
        key="upscale",
        description=f"`{plan.source}` → `{plan.destination}` with `{summary.model}`; everything "
        f"in `{report.summary_key}`",
        table=[
            {
                "model": summary.model,
                "images": summary.num_keys,
                "done": counts.num_done,
                "skipped": counts.num_skipped,
                "failed": counts.num_failed,
                "lost something": counts.num_lossy,
                "not photos": counts.num_passed_over,
                "MB read": round(counts.input_bytes / 1e6, 1),
                "MB written": round(counts.output_bytes / 1e6, 1),
                "output megapixels": round(counts.output_megapixels, 2),
                "megapixels per second": round(summary.megapixels_per_s, 3),
                "seconds": round(summary.seconds, 1),
            }
        ],
    )
    create_table_artifact(
        key="upscale-stages",
        description="Seconds over all images by stage of the work; stages overlap",
        table=[{"stage": name, "seconds": round(s, 1)} for name, s in counts.seconds.items()],
    )
    if counts.losses:
        create_table_artifact(
            key="upscale-losses",
            description=f"Metadata and parts that {counts.num_lossy} outputs could not keep; the "
            "records name them for each image in the column `lost`",
            table=[{"lost": name, "images": number} for name, number in counts.losses.items()],
        )
    if counts.failures:
        create_table_artifact(
            key="upscale-failures",
            description=f"The first {len(counts.failures)} of {counts.num_failed} failed images",
            table=[{"image": key, "reason": why} for key, why in counts.failures.items()],
        )
    get_run_logger().info(
        "%d done (%d lost something), %d skipped, %d failed of %d images%s: %.1f output megapixels "
        "in %.0f s",
        counts.num_done,
        counts.num_lossy,
        counts.num_skipped,
        counts.num_failed,
        summary.num_keys,
        others(counts),
        counts.output_megapixels,
        summary.seconds,
    )
    return report, summary


def show_drift(run: BulkRun) -> None:
    """Show how the sources differ from what the model was trained on.

    If that fails, it is a failed task and a warning, not a failed run: the images are upscaled.
    """
    state = compare_sources(run, return_state=True)
    if not state.is_completed():
        get_run_logger().warning("The drift could not be measured: %s", state.message)


@io_task
def compare_sources(run: BulkRun) -> Drift:
    """Measure the drift of a run's sources, show it, and keep it as a reason to train."""
    services = open_services()
    drift = measure_drift(services.store, run, services.registry.record(run.model))
    if drift.unknown:
        text = f"Unknown: {drift.unknown}"
    else:
        keep_drift(services.store, run.model, drift)
        text = f"With {run.model.uri}: {drift.sentence(BOUND)}"
    create_markdown_artifact(
        "\n".join([text, "", *_table_of(drift)]),
        key="upscale-drift",
        description="Sources against the LR images that the model was trained on",
    )
    get_run_logger().info("Drift: %s", text)
    return drift


def _table_of(drift: Drift) -> list[str]:
    """Lines of a Markdown table; none if nothing was compared."""
    if drift.unknown:
        return []
    verdicts = {each.statistic: "drift" for each in drift.beyond(BOUND)} | {
        each.statistic: f"not counted: {each.left_out}"
        for each in drift.differences
        if each.left_out
    }
    rows = [
        f"| {each.statistic} | {each.sources:.3g} | {each.inputs:.3g} | {each.distance:.2f} "
        f"| {verdicts.get(each.statistic, '')} |"
        for each in drift.differences
    ]
    return [
        f"| | median of {drift.num_sources} sources | of {drift.num_inputs} training inputs "
        "| distance | |",
        "|---|---:|---:|---:|---|",
        *rows,
        "",
        f"The distance is the Kolmogorov–Smirnov statistic, 0–1. Above {BOUND:g} it is drift, "
        "unless so few images may differ as much by chance.",
    ]


@io_task
def show_samples(run: BulkRun) -> None:
    """Store before and after of a few images with the run, and show them on its page."""
    sheet = contact_sheet(run)
    if sheet is None:
        return
    key = contact_sheet_key(run.destination.address, run.name)
    run.destination.store.put(key, sheet, content_type="image/jpeg")
    # Inside the artifact, because a browser does not have the keys of the bucket.
    create_image_artifact(
        f"data:image/jpeg;base64,{base64.b64encode(sheet).decode()}",
        key="upscale-samples",
        description="Before (enlarged by bicubic) and after, from the middle of a few images"
        + (f"; the last column is on trial: {run.trial.uri}" if run.trial else ""),
    )
