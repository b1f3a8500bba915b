"""Requests to the object store, bytes of tables and files, and CPU seconds of codecs."""

import hashlib
import statistics
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from benchmarks.bulk_ceiling import FORMATS, Free
from benchmarks.png import enlarged
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.decoders import Decode, Decoders
from srgan.bulk.join import Item, Join
from srgan.bulk.plan import _ITEMS, make_plan, read_batch
from srgan.bulk.progress import BatchProgress
from srgan.bulk.records import Record, tally, to_parquet
from srgan.bulk.run import BulkRun
from srgan.bulk.samples import BatchSamples
from srgan.config import UpscaleConfig
from srgan.demo.photos import shipped_photos
from srgan.images import Photo, decode
from srgan.images.rows import encode_into
from srgan.keys import MAP
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.storage import ObjectInfo, Place

MODEL = ModelRef(name="counted", version=1, run="none", weights_digest="ab" * 32)
PER_BATCH = 250
"""Images of a batch, about as many as the usual 64 MiB of photos are."""
NUM_IMAGES, NUM_BATCHES = 12, 3
_NUM_KEYS = 100_000
_ROUNDS = 5
_NUM_TALLIES = 20


def requests() -> None:
    """Print the requests of a first run, of one that lost its records, and of one with no work."""
    store = open_store(Settings())
    with Decoders(2) as decoders:
        for title, planned, done in counted_runs(store, decoders.decode):
            show(f"{title}, plan", planned)
            show(f"{title}, batches", done)


Counts = Counter[tuple[str, str]]
"""Requests by operation and kind of object."""


def counted_runs(store: S3Store, decode: Decode) -> Iterator[tuple[str, Counts, Counts]]:
    """Count the requests of plans, and of the batches that workers do then."""
    photo = _jpeg(np.zeros((24, 32, 3), np.uint8))
    for number in range(NUM_IMAGES):
        store.put(f"photos/{number:05d}.jpg", photo)
    config = UpscaleConfig(batch_bytes=NUM_IMAGES // NUM_BATCHES * len(photo))
    for title in ("first run", "outputs without records", "nothing new"):
        run = bulk_run(store, title, config)
        with counted_requests(store) as planned:
            plan = make_plan(run)
        with counted_requests(store) as done:
            for number in range(plan.num_batches):
                _do_batch(run, number, decode)
        yield title, planned, done
        if title == "first run":
            for info in list(store.list("up/_srgan/")):
                store.delete(info.key)


def _do_batch(run: BulkRun, number: int, decode: Decode) -> None:
    """Do what a worker does."""
    items = read_batch(run, number)
    samples, progress = BatchSamples(Free.scale), BatchProgress(run, number, items)
    BatchPipeline(run, Free(), decode, progress=progress, sample=samples).run(number, items)
    samples.publish(run, number)


@contextmanager
def counted_requests(store: S3Store) -> Iterator[Counts]:
    """Count the requests of a client, repeated ones too."""
    counts: Counts = Counter()

    def note(request: Any, event_name: str, **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        path = unquote(urlsplit(request.url).path)
        counts[operation, _kind(path.removeprefix(f"/{store.bucket}").lstrip("/"))] += 1

    events = store._client.meta.events
    events.register("before-send.s3", note)
    try:
        yield counts
    finally:
        events.unregister("before-send.s3", note)


def _kind(key: str) -> str:
    if not key:
        return "keys"
    ours = (each.template.rpartition("_srgan/")[2] for each in MAP if each.names(key))
    return next(ours, "of a photo" if key.startswith("photos/") else "of an output")


def sizes() -> None:
    """Print bytes for each key, of tables, files and what the flow keeps."""

    def key(number: int) -> str:
        return f"{number // 1000:05d}/{number:08d}.jpg"

    def token(number: int) -> str:
        return hashlib.md5(str(number).encode()).hexdigest()

    for title in ("first run", "nothing new"):
        with Join() as join:
            for number in range(_NUM_KEYS):
                info = ObjectInfo(f"photos/{key(number)}", token(number), 250_000)
                join.add_source(info, f"up/{key(number)}")
            if title == "nothing new":
                for number in range(_NUM_KEYS):
                    join.add_output(ObjectInfo(f"up/{key(number)}", token(number), 1))
                join.add_records(
                    (f"photos/{key(number)}", token(number), token(number))
                    for number in range(_NUM_KEYS)
                )
            counted = join.count()
            pages, page = (
                join._database.execute(f"PRAGMA page_{what}").fetchone()[0]
                for what in ("count", "size")
            )
        assert counted[1] == (_NUM_KEYS if title == "first run" else 0), counted
        print(f"SQLite, {title}: {pages * page / _NUM_KEYS:.0f} bytes a key")
    for count in (PER_BATCH, 5000):
        records = to_parquet(row(number) for number in range(count))
        print(f"records, {count} rows: {len(records) / count:.1f} bytes a row")
    tracemalloc.start()
    kept = [tally(map(row, range(PER_BATCH))) for _ in range(_NUM_TALLIES)]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"tally of a batch in the flow's memory: {held / len(kept):.0f} bytes")
    items = tuple(
        Item(
            key=f"photos/{key(number)}",
            token=token(number),
            size_bytes=250_000,
            output=f"up/{key(number)}",
            output_exists=False,
        )
        for number in range(PER_BATCH)
    )
    print(f"list of a batch: {len(_ITEMS.dump_json(items)) / PER_BATCH:.1f} bytes a key")


def row(number: int) -> Record:
    random = np.random.default_rng(number)
    token = hashlib.md5(str(number).encode()).hexdigest()
    return Record(
        source_key=f"photos/{number // 1000:05d}/{number:08d}.jpg",
        source_token=token,
        source_bytes=int(random.integers(100_000, 400_000)),
        model="counted/1@abababababababab",
        config_digest="cd" * 32,
        outcome="done",
        destination_key=f"up/{number // 1000:05d}/{number:08d}.jpg",
        destination_token=token[::-1],
        destination_bytes=int(random.integers(1_000_000, 4_000_000)),
        width=2560,
        height=1920,
        read_s=random.random(),
        decode_s=random.random(),
        upscale_s=random.random(),
        encode_s=random.random(),
        write_s=random.random(),
    )


def codecs() -> None:
    """Print megapixels of a CPU second, by format."""
    photos = [enlarged(path) for path in list(shipped_photos().values())[:4]]
    megapixels = sum(photo.shape[0] * photo.shape[1] for photo in photos) / 1e6
    files = [_jpeg(photo) for photo in photos]
    _say_cpu("decode jpeg", megapixels, lambda: [decode(data, max_pixels=10**8) for data in files])
    for form in FORMATS:

        def write(form: str = form) -> None:
            for photo in photos:
                encode_into(
                    BytesIO(),
                    Photo(photo, format="png"),
                    format=form,
                    jpeg_quality=UpscaleConfig().jpeg_quality,
                    jpeg_subsampling=UpscaleConfig().jpeg_subsampling,
                    compression=UpscaleConfig().compression,
                )

        _say_cpu(f"encode {form}", megapixels, write)


def _say_cpu(what: str, megapixels: float, work: Callable[[], object]) -> None:
    found = []
    for _ in range(_ROUNDS + 1):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    print(f"{what}: {megapixels / statistics.median(found[1:]):.1f} megapixels a CPU second")


def bulk_run(store: S3Store, name: str, config: UpscaleConfig) -> BulkRun:
    source, destination = (Place(store.uri(prefix), store) for prefix in ("photos", "up"))
    return BulkRun(name, source, destination, MODEL, config)


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def show(title: str, counts: Counter[tuple[str, str]] | Counter[str]) -> None:
    """Print counts, and their sum."""
    print(f"{title}: {sum(counts.values())} in all")
    for what, number in sorted(counts.items()):
        print(f"    {number:6} {what if isinstance(what, str) else ' '.join(what)}", flush=True)
