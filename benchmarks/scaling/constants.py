"""Every number that the simulator starts from: what it is, where it comes from, and when.

Replace a measured one by what the named command prints on your machines. `MEASURED_RUNS` are whole
runs, with which the simulator's predictions are compared.
"""

from dataclasses import dataclass
from typing import Self

_COUNT = "python -m benchmarks.scaling.count"
_BULK = "python benchmarks/upscale_bulk.py"
_PLAN = "python benchmarks/upscale_plan.py"
_PLANNER = "python -m benchmarks.training.planner (calculated)"
_TRAINING = "make bench-training"


class Constant(float):
    """A number with its origin: a command, a file of the code, or the word ``assumed``."""

    origin: str
    date: str

    def __new__(cls, value: float, origin: str, date: str) -> Self:
        made = super().__new__(cls, value)
        made.origin, made.date = origin, date
        return made


# Requests to the object store.

HEADS_PER_IMAGE = Constant(0, f"{_COUNT} requests", "2026-12-01")
"""On a first attempt at what was not there when the run was planned."""
GETS_PER_IMAGE = Constant(1, f"{_COUNT} requests", "2026-11-29")
PUTS_PER_IMAGE = Constant(1, f"{_COUNT} requests", "2026-11-29")
GETS_PER_BATCH = Constant(3, f"{_COUNT} requests", "2026-12-01")
"""The list of its photos, and looks for records and progress that an earlier attempt wrote."""
PUTS_PER_BATCH = Constant(4, f"{_COUNT} requests", "2026-11-29")
"""By the plan its list; by the worker its progress, samples and records."""
DRIVER_PUTS_PER_BATCH = Constant(1, "srgan/jobs/upscale_pool.py", "2026-11-29")
PROGRESS_EVERY_S = Constant(5, "srgan/bulk/progress.py", "2026-11-29")
"""Between two writes of a batch's progress."""
KEYS_PER_LIST = Constant(1000, "S3's limit", "2026-11-29")

GET_PRICE = Constant(0.0004 / 1000, "assumed: list price of S3 Standard, us-east-1", "2026-11-29")
"""Dollars; HEAD costs as much."""
PUT_PRICE = Constant(0.005 / 1000, "assumed: list price of S3 Standard, us-east-1", "2026-11-29")
"""Dollars; LIST costs as much."""
S3_GETS_PER_S = Constant(5500, "assumed: AWS's documentation, for each prefix", "2026-11-29")
"""HEAD counts too."""
S3_PUTS_PER_S = Constant(3500, "assumed: AWS's documentation, for each prefix", "2026-11-29")

# Following a run, and doing its batches.

LOOK_EVERY_S = Constant(2, "flows/upscale.py", "2026-11-29")
FOLLOWED_PER_WORKER = Constant(3, "flows/upscale.py", "2026-11-29")
GETS_PER_LOOK = Constant(2, "flows/upscale.py", "2026-11-29")
"""For a followed batch that is not finished: its records, and its failure."""
GET_S = Constant(0.015, "assumed: a small object", "2026-11-29")
PUT_S = Constant(0.03, "assumed: a small object", "2026-11-29")

TASK_S = Constant(0.0137, "1,000 tasks of a thread task runner in 13.7 s", "2026-11-22")
CALLS_PER_RUN = Constant(10, f"{_COUNT} following", "2026-11-29")
"""Requests of the flow to Prefect's server besides those below; a task makes none."""
LOGS_EVERY_S = Constant(2, "Prefect's default", "2026-11-29")
"""Log lines wait so long and go together."""
EVENTS_PER_BATCH = Constant(3, f"{_COUNT} following", "2026-11-29")
"""The task that follows it sends them; all go through one open connection."""
FLOW_BYTES = Constant(423e6, f"{_COUNT} following", "2026-11-29")
FLOW_BYTES_PER_BATCH = Constant(3243, f"{_COUNT} sizes", "2026-12-01")
FLOW_MEMORY_BYTES = Constant(4 * 2**30, "infra/kubernetes/base/flows/worker.yaml", "2026-11-29")
FLOW_DISK_BYTES = Constant(10e9, "assumed", "2026-11-29")
DRIVER_BYTES = Constant(418e6, f"{_COUNT} driver", "2026-12-01")
DRIVER_BYTES_PER_BATCH = Constant(2e3, f"{_COUNT} driver", "2026-12-01")

# Planning and what it leaves.

PLAN_S_PER_KEY = Constant(175e-6, _PLAN, "2026-11-28")
REPEAT_S_PER_KEY = Constant(278e-6, _PLAN, "2026-11-28")
"""If everything is done already, outputs and records included."""
SQLITE_BYTES_PER_KEY = Constant(171, f"{_COUNT} sizes", "2026-12-01")
REPEAT_SQLITE_BYTES_PER_KEY = Constant(349, f"{_COUNT} sizes", "2026-12-01")
RECORD_BYTES = Constant(127, f"{_COUNT} sizes", "2026-12-01")
"""In Parquet files of 250 rows; 98 in files of 5,000."""
LISTED_BYTES = Constant(154, f"{_COUNT} sizes", "2026-12-01")
"""A photo in the list of a batch, keys of about 30 characters."""

# Work on an image.

FIXED_S = Constant(17.7, f"{_BULK} --sections small", "2026-11-28")
"""Time of a run of one tiny image, services and caches warm."""
IMAGE_S = Constant(14.3e-3, f"{_BULK} --sections small", "2026-11-28")
"""For a tiny image, two workers with a CPU each: everything but pixels."""
WORKERS_OF_IMAGE_S = 2
JPEG_DECODED_MP_PER_S = Constant(61.6, f"{_COUNT} codecs", "2026-11-29")
ENCODED_MP_PER_S = {
    "jpeg": Constant(115.4, f"{_COUNT} codecs", "2026-11-29"),
    "png": Constant(15.4, f"{_COUNT} codecs", "2026-11-29"),
    "webp": Constant(7.7, f"{_COUNT} codecs", "2026-11-29"),
}
"""Output megapixels by a CPU second."""
NEXT_BATCH_S = Constant(0.46, f"{_BULK} --sections batches", "2026-12-01")
"""From the end of a worker's batch to the next one."""
GPU_MP_PER_S = Constant(300, "assumed: an estimate for one H200; not measured", "2026-11-29")
"""Output megapixels of SRResNet 16×64."""
CPUS_PER_GPU = Constant(8, "infra/kubernetes/base/ray.yaml", "2026-11-29")

# All-reduce of gradients and what a training writes.

GENERATOR_BYTES = Constant(6.2e6, f"{_TRAINING} (SRResNet 16×64)", "2026-11-25")
DISCRIMINATOR_BYTES = Constant(94.3e6, _TRAINING, "2026-11-25")


@dataclass(frozen=True)
class Link:
    """A network between workers."""

    name: str
    bytes_per_s: Constant
    latency_s: Constant
    """Time of one hop of the ring."""
    max_workers: int = 64


LINKS = (
    Link(
        "this machine, gloo",
        Constant(6.2e6 / 8.3e-3, f"{_TRAINING}: 6.2 MB by two ranks in 8.3 ms", "2026-11-25"),
        Constant(0, "in the figure before", "2026-11-25"),
        max_workers=2,
    ),
    Link(
        "25 Gbit/s",
        Constant(25e9 / 8, "assumed", "2026-11-29"),
        Constant(30e-6, "assumed", "2026-11-29"),
    ),
    Link(
        "100 Gbit/s",
        Constant(100e9 / 8, "assumed", "2026-11-29"),
        Constant(30e-6, "assumed", "2026-11-29"),
    ),
    Link(
        "400 Gbit/s",
        Constant(400e9 / 8, "assumed", "2026-11-29"),
        Constant(10e-6, "assumed", "2026-11-29"),
    ),
    Link(
        "NVLink in one machine",
        Constant(450e9, "assumed: an H100's data sheet, one direction", "2026-11-29"),
        Constant(5e-6, "assumed", "2026-11-29"),
        max_workers=8,
    ),
)


@dataclass(frozen=True)
class StepTime:
    """How long a step takes on one device."""

    name: str
    crop_s: Constant
    least_s: Constant
    """However few crops there are: operations have to be launched."""
    gradient_bytes: float


STEPS = (
    StepTime(
        "SRResNet, 2 CPU cores",
        Constant(1 / 35.5, _TRAINING, "2026-11-25"),
        Constant(0, "no launches", "2026-11-25"),
        GENERATOR_BYTES,
    ),
    StepTime(
        "SRResNet, GPU",
        Constant(1 / 32_285, _PLANNER, "2026-11-29"),
        Constant(16 / 5_808, _PLANNER, "2026-11-29"),
        GENERATOR_BYTES,
    ),
    StepTime(
        "SRGAN on VGG54, GPU",
        Constant(1 / 3_819, _PLANNER, "2026-11-29"),
        Constant(16 / 3_162, _PLANNER, "2026-11-29"),
        GENERATOR_BYTES + DISCRIMINATOR_BYTES,
    ),
)


REQUESTS_PER_RUN = Constant(9, f"{_COUNT} tracking", "2026-11-29")
"""Requests to MLflow at the beginning and the end of a stage."""
REQUESTS_PER_PICTURE = Constant(1, f"{_COUNT} tracking", "2026-11-29")
FLUSH_EVERY_S = Constant(2, "srgan/services/metric_log.py", "2026-11-29")
FIGURES_PER_LOG = Constant(11, "srgan/jobs/train_reporter.py", "2026-11-29")
"""On a GPU: the loss and the share of skipped steps, four of progress, five of the machine."""
PICTURES_PER_VALIDATION = Constant(3, "srgan/train/validation.py", "2026-11-29")
BYTES_PER_FIGURE = Constant(238, f"{_COUNT} figures", "2026-11-29")


@dataclass(frozen=True)
class MeasuredRun:
    """A whole run that was measured, and what was measured beside it."""

    title: str
    seconds: float
    """Time of the run, start to end: what is predicted."""
    fixed_s: float
    """Time of a run of one tiny image."""
    engine_mp_per_s: float
    """Output megapixels of the engine alone with all CPUs."""
    image_s: float
    """For each further tiny image, by two workers."""
    next_batch_s: float
    num_cpus: int
    num_workers: int
    num_images: int
    num_batches: int
    megapixels: float
    """LR megapixels of all images."""


MEASURED_RUNS = (
    MeasuredRun(
        f"{_BULK}, 2026-11-28, Xeon with AMX; each batch was a job",
        seconds=130.6,
        fixed_s=17.7,
        engine_mp_per_s=1.825,
        image_s=14.3e-3,
        next_batch_s=10.0,
        num_cpus=2,
        num_workers=2,
        num_images=300,
        num_batches=4,
        megapixels=12.0,
    ),
)
"""Add a run here to compare it."""
