"""Rank 0's news of a training job: printed, in the bucket, in MLflow. None of it stops training."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from srgan.adapters.metric_log import MetricLog
from srgan.adapters.system_metrics import SystemMetrics
from srgan.adapters.timeline import Timeline
from srgan.errors import StorageError
from srgan.evaluate.figures import figure_text
from srgan.keys import progress_key
from srgan.settings import Settings
from srgan.storage import ObjectStore, write_document
from srgan.train.progress import Progress

if TYPE_CHECKING:
    from srgan.adapters.ray_train import TrainSpec

logger = logging.getLogger(__name__)


class JobReporter:
    """The `Reporter` of a Ray job.

    The progress object is written beside the training; while a write hangs, newer progress is
    printed but not written, so that a slow store costs freshness and no steps.
    """

    def __init__(
        self, settings: Settings, store: ObjectStore, spec: "TrainSpec", timeline: Timeline
    ) -> None:
        self._timeline = timeline
        self._store = store
        self._key = progress_key(spec.run)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress")
        self._writing: Future[None] | None = None
        self._metrics = MetricLog(settings, spec.mlflow_run_id) if spec.mlflow_run_id else None
        self._system = SystemMetrics()

    def begin(self, step: int) -> None:
        self._timeline.end("stage and data")
        print(f"ready for step {step} after {self._timeline.line()}", flush=True)  # noqa: T201  # the job's log is read by people

    def progress(self, progress: Progress) -> None:
        print(progress.line(), flush=True)  # noqa: T201  # the job's log is read by people
        if self._writing is None or self._writing.done():
            self._writing = self._thread.submit(self._write, progress)
        if self._metrics:
            figures = {
                "crops_per_s": progress.crops_per_s,
                "learning_rate": progress.learning_rate,
                "data_wait_share": progress.data_wait_share,
                "memory_bytes": float(progress.memory_bytes),
            }
            self._metrics.log(progress.step, {**progress.losses, **figures, **self._system.read()})

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        figures = "  ".join(
            f"{name} {figure_text(name.removeprefix('bicubic_'), value)}"
            for name, value in sorted(metrics.items())
        )
        print(f"validation at step {step}: {figures}", flush=True)  # noqa: T201  # as above
        if self._metrics:
            self._metrics.log(step, metrics)

    def picture(self, name: str, png: bytes, step: int) -> None:
        if self._metrics:
            self._metrics.picture(f"{name}-step-{step:09d}", png)

    def close(self) -> None:
        """Wait for what is on its way."""
        self._thread.shutdown(wait=True)
        if self._metrics:
            self._metrics.close()

    def _write(self, progress: Progress) -> None:
        try:
            write_document(self._store, self._key, progress)
        except StorageError as error:
            logger.warning("progress could not be written: %s", error)
