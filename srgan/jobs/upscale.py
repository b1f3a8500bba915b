"""A bulk run as one Ray job: ``python -m srgan.jobs.upscale <spec_key> <job_id>``.

The job's driver waits. Its workers are actors that hold CPUs and memory, and a GPU if the cluster
has one, and do batch after batch with one load of the model.

Torch, Ray and MLflow cost seconds and are imported where they are used, because the driver only
waits.
"""

import logging
import socket
import sys
import time
from functools import cached_property

from srgan.allocator import use_large_pages
from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.plan import find_plan, read_batch
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record, tally
from srgan.bulk.run import BulkRun
from srgan.errors import ClusterError, ConfigError
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import connect, start
from srgan.jobs.upscale_news import note_in_work
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import bulk_job_run
from srgan.logs import configure
from srgan.refs import ModelRef
from srgan.services import ray_metrics
from srgan.services.folder import open_place, require_visible
from srgan.services.s3 import open_store
from srgan.settings import Settings

logger = logging.getLogger(__name__)


def main(spec_key: str, job_id: str) -> None:
    """Start the workers, hand out the batches, and log how each ends."""
    from srgan.jobs.upscale_pool import Pool

    settings, store, spec = start(spec_key, UpscaleSpec)
    connect()
    Pool(spec, UpscaleWorker, store, job_id, settings.cluster_wait_s).run()


class UpscaleWorker:
    """An actor, which holds what is reserved for it for as long as it lives."""

    def __init__(self, spec: UpscaleSpec, num_cpus: int, device: str, memory_bytes: int) -> None:
        """`device` is ``cuda`` if a GPU is reserved for it; `memory_bytes` are reserved for it."""
        self._spec = spec
        self._num_cpus = num_cpus
        self._device = device
        self._memory_bytes = memory_bytes

    def where(self) -> str:
        """Answer once the actor has room, with the id of its node."""
        import ray

        return ray.get_runtime_context().get_node_id()

    def ready(self) -> None:
        """Open the bench; the pool gives no batch to a worker that cannot."""
        self._bench  # noqa: B018  # opened by the first look

    def run(self, batch: int, attempt: BatchAttempt = BatchAttempt()) -> str:  # noqa: B008  # frozen
        """Do a batch and return its counts in one line."""
        bench, began = self._bench, time.monotonic()
        counts, seconds = tally(bench.upscale(batch, attempt)), time.monotonic() - began
        return (
            f"batch {batch}: {counts.num_done} done, {counts.num_skipped} skipped, "
            f"{counts.num_failed} failed, {counts.num_passed_over} not photos "
            f"in {seconds:.1f} s, "
            f"{counts.output_megapixels / seconds:.2f} output megapixels per second"
        )

    @cached_property
    def _bench(self) -> "Bench":
        settings = Settings()
        configure(settings, sys.stdout, run=bulk_job_run(self._spec.run), stage="upscale")
        use_large_pages()
        return Bench(self._spec, settings, self._num_cpus, self._device, self._memory_bytes)


class Bench:
    """Model, stores and decoders, which a worker opens once for all its batches."""

    def __init__(
        self,
        spec: UpscaleSpec,
        settings: Settings,
        num_cpus: int,
        device: str,
        memory_bytes: int,
    ) -> None:
        """`ClusterError` if this node does not see the folders of the run, or starts no decoder."""
        from srgan.bulk.batch import num_readers
        from srgan.bulk.decoders import Decoders
        from srgan.bulk.samples import Trial
        from srgan.bulk.sizing import Sizing
        from srgan.inference.engine import Engine
        from srgan.inference.ensemble import SelfEnsemble
        from srgan.models.interchange import load_generator
        from srgan.services.mlflow_models import Registry

        self._run = _opened(spec, settings)
        self._settings = settings
        self._num_cpus = num_cpus
        config, registry = spec.config, Registry(settings)
        self._waiting_bytes = config.waiting_bytes(memory_bytes)

        def engine_of(model: ModelRef) -> Engine:
            generator = load_generator(registry.load_generator_bytes(model))
            return Engine(
                SelfEnsemble(generator) if config.self_ensemble else generator,
                tile=config.tile,
                context=config.context,
                memory_bytes=config.memory_bytes,
                precision=config.precision,
                device=device,
                growth=Sizing(generator.scale, scale=config.scale, size=config.size).growth,
            )

        self._engine = engine_of(spec.model)
        self._trial = None
        if spec.trial is not None:
            tried = engine_of(spec.trial)
            if tried.scale != self._engine.scale:
                raise ConfigError(
                    f"trial: {spec.trial.uri} upscales {tried.scale} times and {spec.model.uri} "
                    f"{self._engine.scale} times; try a version of the same scale"
                )
            mine, other = (f"{each.name}/{each.version}" for each in (spec.model, spec.trial))
            self._trial = Trial(mine, other, tried.upscale_photo)
        # Its processes end with the worker, because their pipes close.
        self._decoders = Decoders(num_readers(num_cpus)).__enter__()
        self._decoders.start_one()

    def upscale(self, batch: int, attempt: BatchAttempt) -> list[Record]:
        """Do a batch and return its rows."""
        from srgan.bulk.batch import BatchPipeline
        from srgan.bulk.samples import BatchSamples

        run = self._run
        items = read_batch(run, batch)
        logger.info("batch %d: %d images with %s", batch, len(items), run.model.uri)
        samples = BatchSamples(self._engine.scale, self._trial)
        progress = BatchProgress(run, batch, items)

        def finished(row: Record) -> None:
            progress(row)
            ray_metrics.count_image(bulk_job_run(run.name), row)

        def note(key: str) -> None:
            note_in_work(open_store(self._settings), run.name, batch, attempt, key)

        work = BatchPipeline(
            run,
            self._engine,
            self._decoders.decode,
            num_cpus=self._num_cpus,
            waiting_bytes=self._waiting_bytes,
            progress=finished,
            sample=samples,
            attempt=attempt,
            in_work=note,
        )
        rows = work.run(batch, items)
        samples.publish(run, batch)
        return rows


def _opened(spec: UpscaleSpec, settings: Settings) -> BulkRun:
    machine = f"the Ray node {socket.gethostname()}"
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
    return run


if __name__ == "__main__":
    # Through the module's own name: classes of `__main__` would reach the actor as copies.
    from srgan.jobs import upscale as job  # noqa: PLW0406  # this file is `__main__` here

    with leaving_failure(*sys.argv[1:]):
        job.main(*sys.argv[1:])
