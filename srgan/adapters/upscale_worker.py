"""The work of a batch job, in the Ray worker that holds its CPU or GPU."""

import logging
import socket
import sys
import time

from srgan.adapters.stores import open_address, require_visible
from srgan.allocator import use_large_pages
from srgan.config import Config, UpscaleConfig
from srgan.errors import ClusterError
from srgan.keys import batch_progress_key, records_key, samples_key
from srgan.refs import ModelRef
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.upscale.plan import find_plan, read_batch, stamp_of
from srgan.upscale.progress import BatchProgress
from srgan.upscale.records import Record, tally

logger = logging.getLogger(__name__)


class UpscaleSpec(Config):
    """One batch of a bulk run."""

    run: str
    batch: int
    source: str
    destination: str
    model: ModelRef
    """The version that the run began with, whatever the champion is by now."""
    config: UpscaleConfig
    release_version: str


class UpscaleWorker:
    """An actor: to be alive means to hold the resources."""

    def ready(self) -> None:
        """Answers once the actor runs."""

    def run(self, spec: UpscaleSpec) -> str:
        """Do the batch; one line that says what came of it."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        use_large_pages()
        began = time.monotonic()
        settings = Settings()
        for address in (spec.source, spec.destination):
            require_visible(address, machine=f"the Ray node {socket.gethostname()}")
        source = open_address(settings, spec.source)
        destination = open_address(settings, spec.destination)
        if find_plan(destination, spec.destination, spec.run) is None:
            raise ClusterError(
                f"the Ray node {socket.gethostname()} does not find the run's plan below "
                f"{spec.destination}: its folder of that name is another one than the flow's"
            )
        records = upscale(spec, settings, source, destination)
        counts, seconds = tally(records), time.monotonic() - began
        return (
            f"batch {spec.batch}: {counts.num_done} done, {counts.num_skipped} skipped, "
            f"{counts.num_failed} failed in {seconds:.0f} s, "
            f"{counts.output_megapixels / seconds:.2f} output megapixels per second"
        )


def upscale(
    spec: UpscaleSpec, settings: Settings, source: ObjectStore, destination: ObjectStore
) -> list[Record]:
    """Load the model once and run the batch with it."""
    # torch and MLflow cost seconds, which the drivers that only wait do not pay.
    from srgan.adapters.registry import Registry
    from srgan.models.interchange import load_generator
    from srgan.upscale.batch import NUM_READERS, Batch
    from srgan.upscale.decoders import Decoders
    from srgan.upscale.engine import Engine
    from srgan.upscale.samples import Samples
    from srgan.upscale.sizing import Sizing

    generator = load_generator(Registry(settings).load_generator_bytes(spec.model))
    engine = Engine(
        generator,
        tile=spec.config.tile,
        memory_bytes=spec.config.memory_bytes,
        precision=spec.config.precision,
        growth=Sizing(generator.scale, scale=spec.config.scale, size=spec.config.size).growth,
    )
    items = read_batch(destination, spec.destination, spec.run, spec.batch)
    logger.info("batch %d: %d images with %s", spec.batch, len(items), spec.model.uri)
    samples = Samples(engine.scale)
    progress = BatchProgress(
        destination,
        batch_progress_key(spec.destination, spec.run, spec.batch),
        batch=spec.batch,
        num_images=len(items),
        total_bytes=sum(item.size_bytes for item in items),
    )
    with Decoders(NUM_READERS) as decoders:
        batch = Batch(
            source,
            destination,
            engine,
            decode=decoders.decode,
            stamp=stamp_of(spec.model, spec.config),
            config=spec.config,
            progress=progress,
            sample=samples,
        )
        rows = batch.run(items, records_key(spec.destination, spec.run, spec.batch))
    samples.publish(destination, samples_key(spec.destination, spec.run, spec.batch))
    return rows
