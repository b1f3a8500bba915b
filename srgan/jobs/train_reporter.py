"""News of a training job from rank 0: logged, in the bucket, in MLflow and for Prometheus.

None of them stops the training.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor

import psutil

from srgan.errors import StorageError
from srgan.jobs.node import Timeline
from srgan.measure.figures import figure_text
from srgan.progress import StageProgress, write_progress
from srgan.services import ray_metrics
from srgan.services.metric_log import MetricLog
from srgan.settings import Settings
from srgan.storage import ObjectStore

logger = logging.getLogger(__name__)

_MEGABYTE = 10**6


class JobReporter:
    """The `Reporter` of a Ray job.

    Progress is written to the bucket in the background. While a write hangs, newer progress is
    logged but not written, so a slow store costs freshness but no steps.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        run: str,
        mlflow_run_id: str | None,
        timeline: Timeline,
        device: str = "cpu",
    ) -> None:
        """`device` is the type of the device that the stage computes on."""
        self._device = device
        self._timeline = timeline
        self._store = store
        self._run = run
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress")
        self._writing: Future[None] | None = None
        self._metrics = MetricLog(settings, mlflow_run_id) if mlflow_run_id else None
        psutil.cpu_percent()  # the first call returns 0 and begins the count

    def begin(self, step: int) -> None:
        self._timeline.end("stage and data")
        logger.info("ready for step %d after %s", step, self._timeline.line(), extra={"step": step})

    def progress(self, progress: StageProgress) -> None:
        logger.info("%s", progress.line(), extra={"step": progress.step})
        ray_metrics.show_training(self._run, progress)
        if self._writing is None or self._writing.done():
            self._writing = self._thread.submit(self._write, progress)
        if self._metrics:
            figures = {
                "crops_per_s": progress.crops_per_s,
                "learning_rate": progress.learning_rate,
                "data_wait_share": progress.data_wait_share,
                "data_wait_s": progress.data_wait_s,
                "memory_bytes": float(progress.memory_bytes),
            }
            figures |= system_metrics(self._device)
            self._metrics.log(progress.step, {**progress.losses, **figures})

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        figures = "  ".join(
            f"{name} {figure_text(name.removeprefix('bicubic_'), value)}"
            for name, value in sorted(metrics.items())
        )
        logger.info("validation at step %d: %s", step, figures, extra={"step": step})
        if self._metrics:
            self._metrics.log(step, metrics)

    def picture(self, name: str, png: bytes, step: int) -> None:
        if self._metrics:
            self._metrics.picture(f"{name}-step-{step:09d}", png)

    def note(self, step: int, text: str) -> None:
        logger.info("%s", text, extra={"step": step})
        if self._metrics:
            self._metrics.note(f"step-{step:09d}", text)

    def close(self) -> None:
        """Wait for the writes that are under way."""
        self._thread.shutdown(wait=True)
        if self._metrics:
            self._metrics.close()

    def _write(self, progress: StageProgress) -> None:
        try:
            write_progress(self._store, self._run, progress)
        except StorageError as error:
            logger.warning("progress could not be written: %s", error)


def system_metrics(device: str) -> dict[str, float]:
    """Return the load of this machine and its GPU, under the names of MLflow's own collector.

    A training on the CPU does not ask for a GPU, because the question alone takes some hundred
    megabytes of it. The CPU's load is the mean since this thread's previous call of
    `psutil.cpu_percent`.
    """
    import torch

    memory = psutil.virtual_memory()
    found = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": (memory.total - memory.available) / _MEGABYTE,
        "system/system_memory_usage_percentage": memory.percent,
    }
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        found |= {
            "system/gpu_0_memory_usage_megabytes": (total - free) / _MEGABYTE,
            "system/gpu_0_memory_usage_percentage": 100 * (total - free) / total,
        }
    return found
