"""Rank 0's news of a training job: printed, in the bucket, in MLflow. None of it stops training."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from srgan.errors import StorageError
from srgan.jobs.node import Timeline
from srgan.keys import progress_key
from srgan.measure.figures import figure_text
from srgan.services.metric_log import MetricLog
from srgan.settings import Settings
from srgan.storage import ObjectStore, write_document
from srgan.train.progress import Progress

_MEGABYTE = 10**6


class SystemMetrics:
    """Figures of this machine since the call before; empty where it does not tell them.

    MLflow's collector needs psutil, which nothing else here does; Linux tells the same in files.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before = self._ticks()

    def read(self) -> dict[str, float]:
        """CPU and memory of the machine, and of its GPU where torch sees one."""
        return {**self._cpu(), **self._memory(), **_gpu()}

    def _cpu(self) -> dict[str, float]:
        before, now = self._before, self._ticks()
        self._before = now
        if before is None or now is None or now[1] == before[1]:
            return {}
        busy = (now[0] - before[0]) / (now[1] - before[1])
        return {"system/cpu_utilization_percentage": 100 * busy}

    def _ticks(self) -> tuple[int, int] | None:
        """Busy and all ticks of all processors since the machine started."""
        try:
            first = (self._proc / "stat").read_text().splitlines()[0]
        except OSError:
            return None
        # user nice system idle iowait irq softirq steal; what guests use is part of user.
        ticks = [int(value) for value in first.split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _memory(self) -> dict[str, float]:
        try:
            lines = (self._proc / "meminfo").read_text().splitlines()
        except OSError:
            return {}
        bytes_of = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
        used = bytes_of["MemTotal"] - bytes_of["MemAvailable"]
        return {
            "system/system_memory_usage_megabytes": used / _MEGABYTE,
            "system/system_memory_usage_percentage": 100 * used / bytes_of["MemTotal"],
        }


def _gpu() -> dict[str, float]:
    import torch

    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "system/gpu_0_memory_usage_megabytes": (total - free) / _MEGABYTE,
        "system/gpu_0_memory_usage_percentage": 100 * (total - free) / total,
    }


logger = logging.getLogger(__name__)


class JobReporter:
    """The `Reporter` of a Ray job.

    The progress object is written beside the training; while a write hangs, newer progress is
    printed but not written, so that a slow store costs freshness and no steps.
    """

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        run: str,
        mlflow_run_id: str | None,
        timeline: Timeline,
    ) -> None:
        self._timeline = timeline
        self._store = store
        self._key = progress_key(run)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress")
        self._writing: Future[None] | None = None
        self._metrics = MetricLog(settings, mlflow_run_id) if mlflow_run_id else None
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
