"""Arithmetic of a bulk run: batches, seconds, requests and money, from the constants alone."""

from dataclasses import dataclass
from math import ceil

from benchmarks.scaling import constants as c
from srgan.bulk.forecast import Throughput
from srgan.bulk.plan import _MAX_BATCH_KEYS, _num_batches
from srgan.config import UpscaleConfig

SCALE = 4
_NUM_MEASURED = 1000


@dataclass(frozen=True)
class Worker:
    """A worker: what it has, and what its parts cost."""

    mp_per_s: float = c.GPU_MP_PER_S
    """Output megapixels of its engine."""
    num_cpus: float = c.CPUS_PER_GPU
    has_gpu: bool = True
    """If so, the engine computes while its CPUs decode and encode; else they do both."""
    image_cpu_s: float = c.WORKERS_OF_IMAGE_S * c.IMAGE_S
    """CPU time for an image besides its pixels."""
    next_batch_s: float = c.NEXT_BATCH_S

    def image_s(self, megapixels: float, output_format: str) -> float:
        """Seconds for an image of so many LR megapixels."""
        cpus = self.cpu_s(megapixels, output_format)
        engine = SCALE**2 * megapixels / self.mp_per_s
        return max(cpus, engine) if self.has_gpu else cpus + engine

    def cpu_s(self, megapixels: float, output_format: str) -> float:
        """Seconds for which an image keeps the CPUs busy, without the engine."""
        made = SCALE**2 * megapixels
        codecs = megapixels / c.JPEG_DECODED_MP_PER_S + made / c.ENCODED_MP_PER_S[output_format]
        return (self.image_cpu_s + codecs) / self.num_cpus


@dataclass(frozen=True)
class Work:
    """Photos to upscale: JPEGs with 2 bits a pixel unless said otherwise."""

    num_images: int
    num_workers: int = 64
    worker: Worker = Worker()
    megapixels: float = 1.0
    """LR megapixels of an image."""
    image_bytes: int = 250_000
    output_format: str = "jpeg"
    batch_bytes: int = UpscaleConfig().batch_bytes
    is_measured: bool = True
    """Earlier runs into the destination say how long a batch will take."""

    @property
    def num_batches(self) -> int:
        """The number that the planner would choose."""
        config = UpscaleConfig(max_workers=self.num_workers, batch_bytes=self.batch_bytes)
        measured = Throughput(
            source_bytes=self.image_bytes,
            megapixels=SCALE**2 * self.megapixels,
            upscale_s=SCALE**2 * self.megapixels / self.worker.mp_per_s,
        )
        # The planner takes no measurement of less than ten seconds.
        measured = sum((measured for _ in range(_NUM_MEASURED)), Throughput())
        chosen = _num_batches(
            config,
            self.num_images * self.image_bytes,
            measured if self.is_measured else Throughput(),
        )
        return max(chosen, ceil(self.num_images / _MAX_BATCH_KEYS))

    @property
    def image_s(self) -> float:
        return self.worker.image_s(self.megapixels, self.output_format)

    @property
    def seconds(self) -> float:
        """Seconds of the workers' work, without plan and start."""
        share = self.num_images / self.num_workers
        pauses = ceil(self.num_batches / self.num_workers) - 1
        return share * self.image_s + pauses * self.worker.next_batch_s

    @property
    def plan_s(self) -> float:
        """Seconds of planning on a first run."""
        return self.num_images * c.PLAN_S_PER_KEY

    @property
    def whole_s(self) -> float:
        """Seconds of the run; the flow ends it when it has noticed the end of every batch."""
        followed_s = self.num_batches / followed_per_s(self)
        return c.FIXED_S + self.plan_s + max(self.seconds, followed_s)


def predicted_s(run: c.MeasuredRun) -> float:
    """Seconds of a run on CPUs, from what was measured of its parts."""
    worker = Worker(
        mp_per_s=run.engine_mp_per_s / run.num_cpus,
        num_cpus=1,
        has_gpu=False,
        image_cpu_s=c.WORKERS_OF_IMAGE_S * run.image_s,
    )
    image_s = worker.image_s(run.megapixels / run.num_images, "jpeg")
    pauses = ceil(run.num_batches / run.num_workers) - 1
    return run.fixed_s + run.num_images * image_s / run.num_workers + pauses * run.next_batch_s


@dataclass(frozen=True)
class Requests:
    """Requests to the object store."""

    get: float = 0
    head: float = 0
    put: float = 0
    list: float = 0

    def __add__(self, other: "Requests") -> "Requests":
        return Requests(
            self.get + other.get,
            self.head + other.head,
            self.put + other.put,
            self.list + other.list,
        )

    @property
    def dollars(self) -> float:
        """Price of all of them."""
        return (self.get + self.head) * c.GET_PRICE + (self.put + self.list) * c.PUT_PRICE


def requests(work: Work) -> dict[str, Requests]:
    """Requests of a first run, by what makes them."""
    images, batches = work.num_images, work.num_batches
    looks = work.seconds / look_s(work)
    return {
        "plan": Requests(list=ceil(images / c.KEYS_PER_LIST)),
        "images": Requests(
            get=images * c.GETS_PER_IMAGE,
            head=images * c.HEADS_PER_IMAGE,
            put=images * c.PUTS_PER_IMAGE,
        ),
        "batches": Requests(
            get=batches * c.GETS_PER_BATCH,
            put=batches * (c.PUTS_PER_BATCH + c.DRIVER_PUTS_PER_BATCH)
            + work.num_workers * work.seconds / c.PROGRESS_EVERY_S,
        ),
        "following": Requests(
            get=num_followed(work) * c.GETS_PER_LOOK * work.seconds / c.LOOK_EVERY_S
            + batches
            + num_followed(work) * looks,
            list=1,
        ),
    }


def num_followed(work: Work) -> float:
    """Batches that the flow follows at once."""
    return min(c.FOLLOWED_PER_WORKER * work.num_workers, work.num_batches)


def look_s(work: Work) -> float:
    """Seconds from one look at the batches to the next, if each look finds all of them finished."""
    followed = num_followed(work)
    return max(float(c.LOOK_EVERY_S), followed * c.TASK_S) + followed * c.GET_S


def followed_per_s(work: Work) -> float:
    """Batches whose end the flow can notice in a second."""
    return num_followed(work) / look_s(work)


def calls_to_prefect(work: Work) -> float:
    """Requests of the flow: its start and end, its log, and its progress after each look."""
    return c.CALLS_PER_RUN + work.seconds / c.LOGS_EVERY_S + work.seconds / look_s(work)


@dataclass(frozen=True)
class Limit:
    """Something that a run needs, and how much of it there is."""

    name: str
    needed: float
    there_is: float
    unit: str
    setting: str
    """A setting that moves it."""

    @property
    def share(self) -> float:
        """Above 1 it breaks, or slows everything else down."""
        return self.needed / self.there_is


def limits(work: Work) -> list[Limit]:
    """Compare what a run on GPUs needs with what there is, the scarcest first."""
    batches_per_s = work.num_batches / work.seconds
    images_per_s = work.num_images / work.seconds
    gpu_s = SCALE**2 * work.megapixels / work.worker.mp_per_s
    found = [
        Limit(
            "ends of batches that the flow notices",
            batches_per_s,
            followed_per_s(work),
            "a second",
            "`batch_bytes`; a small run into the same destination before the first large one",
        ),
        Limit(
            "ends of batches that the driver handles",
            batches_per_s,
            1 / c.PUT_S,
            "a second",
            "`batch_bytes`",
        ),
        Limit(
            f"CPU time of a worker for {work.output_format.upper()}",
            1e3 * work.worker.cpu_s(work.megapixels, work.output_format),
            1e3 * gpu_s,
            "ms an image, against the GPU's",
            "`cpus_per_worker`, nodes with more CPUs for each GPU, `output_format`, `compression`",
        ),
        Limit(
            "planning, which nothing else overlaps",
            work.plan_s,
            work.seconds,
            "s, against the work's",
            "several runs at once, each for a prefix or a `manifest`",
        ),
        Limit(
            "GET and HEAD of images",
            images_per_s * (c.GETS_PER_IMAGE + c.HEADS_PER_IMAGE),
            c.S3_GETS_PER_S,
            "a second",
            "folders: S3 splits prefixes that are asked for much",
        ),
        Limit(
            "PUT of images",
            images_per_s * c.PUTS_PER_IMAGE,
            c.S3_PUTS_PER_S,
            "a second",
            "as before, in the destination",
        ),
        Limit(
            "disk of the flow for the plan",
            work.num_images * c.SQLITE_BYTES_PER_KEY / 1e9,
            c.FLOW_DISK_BYTES / 1e9,
            "GB",
            "the temporary folder of the Prefect worker (`SQLITE_TMPDIR`)",
        ),
        Limit(
            "memory of the flow",
            (c.FLOW_BYTES + work.num_batches * c.FLOW_BYTES_PER_BATCH) / 1e6,
            c.FLOW_MEMORY_BYTES / 1e6,
            "MB",
            "`batch_bytes`; the limit in `infra/kubernetes/base/flows/worker.yaml`",
        ),
    ]
    return sorted(found, key=lambda each: -each.share)
