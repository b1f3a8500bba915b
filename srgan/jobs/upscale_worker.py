"""Do a batch of a bulk run in the Ray worker that holds its CPU or GPU."""

import logging
import socket
import sys
import time

from srgan.allocator import use_large_pages
from srgan.bulk.plan import find_plan, read_batch
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record, tally
from srgan.bulk.run import BulkRun
from srgan.config import Config, UpscaleConfig
from srgan.errors import ClusterError
from srgan.refs import ModelRef
from srgan.services.places import open_place, require_visible
from srgan.settings import Settings

logger = logging.getLogger(__name__)


class UpscaleSpec(Config):
    """One batch of a bulk run."""

    run: str
    batch: int
    source: str
    destination: str
    model: ModelRef
    """The version that the run began with, even if the champion has changed since."""
    config: UpscaleConfig
    release_version: str


class UpscaleWorker:
    """An actor, which holds its resources for as long as it lives."""

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
            f"{counts.num_failed} failed in {seconds:.0f} s, "
            f"{counts.output_megapixels / seconds:.2f} output megapixels per second"
        )


def upscale(run: BulkRun, batch: int, settings: Settings) -> list[Record]:
    """Load the model once and do the batch with it."""
    # torch and MLflow cost seconds, which the drivers that only wait do not pay.
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
