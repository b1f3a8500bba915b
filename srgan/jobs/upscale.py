"""One batch of a bulk run as a Ray job: ``python -m srgan.jobs.upscale <spec_key> <job_id>``.

The job's driver reserves nothing; its one actor holds a GPU if the cluster has one, else a CPU.
So jobs that do not fit wait in Ray's own queue, and each logs what it waits for.

Torch, Ray and MLflow cost seconds and are imported where they are used: flows import this module
for `UpscaleSpec`, and drivers only wait.
"""

import logging
import socket
import sys
import time
from typing import Any

from srgan.allocator import use_large_pages
from srgan.bulk.plan import find_plan, read_batch
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record, tally
from srgan.bulk.run import BulkRun
from srgan.config import Config, UpscaleConfig
from srgan.errors import ClusterError
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import cluster_resources, connect, missing, others, start
from srgan.refs import ModelRef
from srgan.services.folder import open_place, require_visible
from srgan.settings import Settings

logger = logging.getLogger(__name__)

_FIRST_NOTE_S = 5.0
_REPEAT_S = 30.0


class UpscaleSpec(Config):
    """One batch of a bulk run."""

    run: str
    batch: int
    source: str
    destination: str
    model: ModelRef
    """Version that the run began with, even if the champion has changed since."""
    config: UpscaleConfig
    release_version: str


def main(spec_key: str, job_id: str) -> None:
    """Place the worker, wait for it, and log the counts of the batch."""
    import ray

    settings, _, spec = start(spec_key, UpscaleSpec)
    connect()
    total, _ = cluster_resources()
    needed = {"CPU": 1.0, "GPU": 1.0} if total.get("GPU", 0) >= 1 else {"CPU": 1.0}
    # Ray gives a worker as many torch threads as it reserves CPUs.
    actor: Any = ray.remote(num_cpus=1, num_gpus=needed.get("GPU", 0))(UpscaleWorker)
    worker = actor.remote()
    _wait_for_place(worker, needed, f"batch {spec.batch}", settings.cluster_wait_s, job_id)
    logger.info(ray.get(worker.run.remote(spec)))


def _wait_for_place(
    worker: Any, needed: dict[str, float], what: str, limit_s: float, job_id: str
) -> None:
    """Return once the actor lives.

    A busy cluster is waited for without a limit, because it is usually busy with another batch of
    the same run. `ClusterError` after `limit_s` seconds if the cluster is too small.
    """
    import ray

    began = time.monotonic()
    ready = worker.ready.remote()
    pause_s = _FIRST_NOTE_S
    while not ray.wait([ready], timeout=pause_s)[0]:
        total, free = cluster_resources()
        too_small = missing(needed, total, total)
        waited_s = time.monotonic() - began
        if too_small and waited_s >= limit_s:
            raise ClusterError(
                f"{what} could not start within {limit_s:.0f} s: {too_small}. Add nodes, or raise "
                "SRGAN_CLUSTER_WAIT_S."
            )
        problem = missing(needed, total, free) or "its process is starting"
        logger.info("%s waits: %s (%.0f s); %s", what, problem, waited_s, others(job_id))
        pause_s = _REPEAT_S
    ray.get(ready)


class UpscaleWorker:
    """An actor, which holds its CPU or GPU for as long as it lives."""

    def ready(self) -> None:
        """Answer once the actor runs."""

    def run(self, spec: UpscaleSpec) -> str:
        """Do the batch and return its counts in one line."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        use_large_pages()
        began = time.monotonic()
        settings, machine = Settings(), f"the Ray node {socket.gethostname()}"
        run = BulkRun(
            name=spec.run,
            source=open_place(settings, spec.source),
            destination=open_place(settings, spec.destination),
            model=spec.model,
            config=spec.config,
        )
        for place in (run.source, run.destination):
            require_visible(place, machine=machine)
        if find_plan(run.destination, run.name) is None:
            raise ClusterError(
                f"{machine} does not find the run's plan below {spec.destination}: its folder of "
                "that name is not the flow's"
            )
        counts, seconds = tally(upscale(run, spec.batch, settings)), time.monotonic() - began
        return (
            f"batch {spec.batch}: {counts.num_done} done, {counts.num_skipped} skipped, "
            f"{counts.num_failed} failed, {counts.num_passed_over} not photos "
            f"in {seconds:.0f} s, "
            f"{counts.output_megapixels / seconds:.2f} output megapixels per second"
        )


def upscale(run: BulkRun, batch: int, settings: Settings) -> list[Record]:
    """Load the model once and do the batch with it."""
    from srgan.bulk.batch import NUM_READERS, Batch
    from srgan.bulk.decoders import Decoders
    from srgan.bulk.samples import Samples
    from srgan.bulk.sizing import Sizing
    from srgan.inference.engine import Engine
    from srgan.models.interchange import load_generator
    from srgan.services.mlflow_models import Registry

    generator = load_generator(Registry(settings).load_generator_bytes(run.model))
    engine = Engine(
        generator,
        tile=run.config.tile,
        context=run.config.context,
        memory_bytes=run.config.memory_bytes,
        precision=run.config.precision,
        growth=Sizing(generator.scale, scale=run.config.scale, size=run.config.size).growth,
    )
    items = read_batch(run, batch)
    logger.info("batch %d: %d images with %s", batch, len(items), run.model.uri)
    samples, progress = Samples(engine.scale), BatchProgress(run, batch, items)
    with Decoders(NUM_READERS) as decoders:
        work = Batch(run, engine, decoders.decode, progress=progress, sample=samples)
        rows = work.run(batch, items)
    samples.publish(run, batch)
    return rows


if __name__ == "__main__":
    # Through the module's own name: classes of `__main__` would reach the actor as copies.
    from srgan.jobs import upscale as job  # noqa: PLW0406  # this file is `__main__` here

    with leaving_failure(*sys.argv[1:]):
        job.main(*sys.argv[1:])
