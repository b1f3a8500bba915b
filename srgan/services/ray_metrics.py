"""Metrics of ours that Ray's nodes export for Prometheus; docs/monitoring.md has their table.

Ray exports them beside its own, with ``ray_`` before each name, ``_total`` after that of a counter,
and further labels, such as ``WorkerId``. Outside of a process of Ray nothing is recorded.

A process sends what it counted every ten seconds, so one that dies may take those of the last ten
with it. These are figures to watch; records, results and MLflow have the exact ones.
"""

import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srgan.bulk.records import Record
    from srgan.progress import StageProgress


_REPEAT_S = 5.0
"""Ray sends a gauge once, with the next report, and forgets what was not sent for two of them."""


@dataclass(frozen=True)
class Metric:
    """A name, what it says, and its labels, whose values must be few."""

    name: str
    text: str
    labels: tuple[str, ...]

    @property
    def exported(self) -> str:
        """The name that Prometheus knows."""
        return f"ray_{self.name}"


class Gauge(Metric):
    """A value that is overwritten; it stays as long as its process."""

    def set(self, value: float, **labels: str) -> None:
        """Overwrite the value of these labels, which must be all."""
        if _is_in_ray():
            _repeater().set(self, value, labels)


class Counter(Metric):
    """A sum that grows; it stays until its node stops."""

    @property
    def exported(self) -> str:
        return f"ray_{self.name}_total"

    def add(self, value: float = 1, **labels: str) -> None:
        """Add more than zero to the sum of these labels, which must be all."""
        if _is_in_ray():
            _recorder(self).inc(value, labels)


TRAIN_CROPS_PER_SECOND = Gauge(
    "srgan_train_crops_per_second",
    "HR crops per second over all ranks, without validation and checkpoints",
    ("run", "stage"),
)
TRAIN_STEP = Gauge("srgan_train_step", "Steps that are done", ("run", "stage"))
TRAIN_STEPS = Gauge("srgan_train_steps", "Steps of the whole stage", ("run", "stage"))
TRAIN_LOSS = Gauge(
    "srgan_train_loss",
    "Mean of a loss over the latest interval, by its name in the log",
    ("run", "stage", "loss"),
)
TRAIN_DATA_WAIT = Gauge(
    "srgan_train_data_wait_share",
    "Share of the time, 0 to 1, that the slowest rank waited for patches",
    ("run", "stage"),
)
EVALUATED_IMAGES = Counter("srgan_evaluated_images", "Images that were measured", ("run",))
BULK_IMAGES = Counter(
    "srgan_bulk_images",
    "Images that a bulk run is done with: outcome `done`, `skipped`, `failed` or `passed_over`, "
    "with a reason for the last two. One whose storage failed counts again when it is tried again",
    ("run", "outcome", "reason"),
)
BULK_MEGAPIXELS = Counter("srgan_bulk_output_megapixels", "Megapixels of new outputs", ("run",))
BULK_BATCHES = Gauge(
    "srgan_bulk_batches",
    "Batches of a bulk run by state: `waiting`, or `working` on a worker",
    ("run", "state"),
)

METRICS: tuple[Metric, ...] = (
    TRAIN_CROPS_PER_SECOND,
    TRAIN_STEP,
    TRAIN_STEPS,
    TRAIN_LOSS,
    TRAIN_DATA_WAIT,
    EVALUATED_IMAGES,
    BULK_IMAGES,
    BULK_MEGAPIXELS,
    BULK_BATCHES,
)


def show_training(run: str, progress: "StageProgress") -> None:
    """Export the progress of a training stage."""
    stage = progress.stage
    TRAIN_CROPS_PER_SECOND.set(progress.crops_per_s, run=run, stage=stage)
    TRAIN_STEP.set(progress.step, run=run, stage=stage)
    TRAIN_STEPS.set(progress.steps, run=run, stage=stage)
    TRAIN_DATA_WAIT.set(progress.data_wait_share, run=run, stage=stage)
    for name, value in progress.losses.items():
        TRAIN_LOSS.set(value, run=run, stage=stage, loss=name)


def count_image(run: str, row: "Record") -> None:
    """Count an image that a bulk run is done with."""
    BULK_IMAGES.add(run=run, outcome=row.outcome, reason=row.reason)
    if row.outcome == "done":
        BULK_MEGAPIXELS.add(row.width * row.height / 1e6, run=run)


def show_batches(run: str, *, waiting: int, working: int) -> None:
    """Export how many batches of a bulk run wait, and how many are with a worker."""
    BULK_BATCHES.set(waiting, run=run, state="waiting")
    BULK_BATCHES.set(working, run=run, state="working")


def _is_in_ray() -> bool:
    """True in a job's driver, a task or an actor; Ray is not imported for the question."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


class _Repeater:
    """Sets each gauge of this process again and again, in a thread."""

    def __init__(self) -> None:
        self._values: dict[tuple[Gauge, tuple[tuple[str, str], ...]], float] = {}
        threading.Thread(target=self._repeat, name="gauges", daemon=True).start()

    def set(self, gauge: Gauge, value: float, labels: dict[str, str]) -> None:
        self._values[gauge, tuple(labels.items())] = value
        _recorder(gauge).set(value, labels)

    def _repeat(self) -> None:
        while True:
            time.sleep(_REPEAT_S)
            for (gauge, labels), value in list(self._values.items()):
                if _is_in_ray():
                    _recorder(gauge).set(value, dict(labels))


@cache
def _repeater() -> _Repeater:
    """Return the one of this process; its thread starts with the first gauge."""
    return _Repeater()


@cache
def _recorder(metric: Metric) -> Any:
    """Ray's own object, made once in each process; two of one name would share their values."""
    from ray.util import metrics

    kind = metrics.Counter if isinstance(metric, Counter) else metrics.Gauge
    return kind(metric.name, metric.text, metric.labels)
