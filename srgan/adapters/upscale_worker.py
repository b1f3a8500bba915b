"""The work of a batch job, in the Ray worker that holds its CPU or GPU."""

import logging
import sys
import time
from collections.abc import Callable

from srgan.adapters.s3 import open_store
from srgan.config import Config, UpscaleConfig
from srgan.refs import ModelRef
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.upscale.names import prefix_of
from srgan.upscale.plan import read_batch, records_key, stamp_of
from srgan.upscale.records import Record, tally

logger = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0


class UpscaleSpec(Config):
    """One batch of a bulk run."""

    run: str
    batch: int
    source: str
    destination: str
    model: ModelRef
    """The version that the run began with, whatever the champion is by now."""
    config: UpscaleConfig
    code_version: str


class UpscaleWorker:
    """An actor: to be alive means to hold the resources."""

    def ready(self) -> None:
        """Answers once the actor runs."""

    def run(self, spec: UpscaleSpec) -> str:
        """Do the batch; one line that says what came of it."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        began = time.monotonic()
        settings = Settings()
        source = open_store(settings, prefix_of(spec.source)[0])
        destination = open_store(settings, prefix_of(spec.destination)[0])
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

    generator = load_generator(Registry(settings).load_generator_bytes(spec.model))
    engine = Engine(
        generator,
        tile=spec.config.tile,
        memory_bytes=spec.config.memory_bytes,
        precision=spec.config.precision,
    )
    items = read_batch(destination, spec.destination, spec.run, spec.batch)
    logger.info("batch %d: %d images with %s", spec.batch, len(items), spec.model.uri)
    with Decoders(NUM_READERS) as decoders:
        batch = Batch(
            source,
            destination,
            engine,
            decode=decoders.decode,
            stamp=stamp_of(spec.model, spec.config),
            config=spec.config,
            progress=_say_progress(spec.batch, len(items), sum(item.size_bytes for item in items)),
        )
        return batch.run(items, records_key(spec.destination, spec.run, spec.batch))


def _say_progress(batch: int, num_images: int, total_bytes: int) -> Callable[[Record], None]:
    """A line every few seconds; failures at once. Time left is judged by source bytes."""
    began = said = time.monotonic()
    finished = 0
    finished_bytes = 0
    megapixels = 0.0

    def say(row: Record) -> None:
        nonlocal said, finished, finished_bytes, megapixels
        finished += 1
        finished_bytes += row.source_bytes
        megapixels += row.width * row.height / 1e6
        if row.outcome == "failed":
            logger.warning("failed: %r: %s: %s", row.source_key, row.reason, row.detail)
        now = time.monotonic()
        if now - said < _SAY_EVERY_S and finished < num_images:
            return
        said = now
        left_s = (now - began) * (total_bytes - finished_bytes) / max(finished_bytes, 1)
        logger.info(
            "batch %d: %d of %d images, %.1f output megapixels at %.2f per second, %.0f s left",
            batch,
            finished,
            num_images,
            megapixels,
            megapixels / (now - began),
            left_s,
        )

    return say
