"""A bulk run over files made to break it: each ends as an image or as a recorded failure."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from srgan.bulk.batch import BatchPipeline, num_readers
from srgan.bulk.decoders import Decoders
from srgan.bulk.plan import make_plan, read_batch
from srgan.bulk.records import Record, from_parquet
from srgan.config import GeneratorConfig
from srgan.images import decode
from srgan.inference.engine import Engine
from srgan.models.build import build_generator
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.bulk_runs import bulk_run
from tests.support.hostile import HOSTILE_NAMES, corpus
from tests.support.memory import forget_peak, memory_bytes
from tests.support.stores import Around

SCALE = 2
MAX_PIXELS = 1_000_000
MEMORY_BYTES = 2**30
"""Limit of this process above what it has at the start, and of each decoder in all."""
REASONS = {"corrupt", "empty", "not_an_image", "too_large", "truncated", "unsupported"}
SOME, MANY = 138, 1150


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    config = GeneratorConfig(kind="bicubic_resnet", scale=SCALE, num_blocks=1, num_channels=4)
    return Engine(build_generator(config), tile=128)


class StoreWithAnyName(Around):
    """The real store; keys that only other S3 stores allow are copies of one of its keys."""

    def __init__(self, store: S3Store, copied: str, keys: list[str]) -> None:
        super().__init__(store)
        self._copied = copied
        self._keys = keys

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        yield from self.store.list(prefix)
        info = self.store.head(self._copied)
        assert info is not None
        for key in self._keys:
            yield ObjectInfo(key, info.token, info.size_bytes)

    def find(self, key: str) -> bytes | None:
        return self.store.find(self._copied if key in self._keys else key)


def run(source: object, store: S3Store, engine: Engine, decoders: Decoders) -> list[Record]:
    """Plan and run, as flow and worker would; return the rows of all parts."""
    place = Place(store.uri("photos"), source)  # type: ignore[arg-type]  # passes through
    this = replace(bulk_run(store, max_pixels=MAX_PIXELS), source=place)
    batch = BatchPipeline(this, engine, decoders.decode)
    for number in range(make_plan(this).num_batches):
        batch.run(number, read_batch(this, number))
    parts = [info.key for info in store.list("up/_srgan/run/records/")]
    return [row for key in parts for row in from_parquet(store.get(key), key)]


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        (0, SOME),
        pytest.param(1, MANY, marks=[pytest.mark.slow(group="images"), pytest.mark.timeout(1200)]),
    ],
)
def test_every_hostile_file_is_upscaled_or_recorded_within_the_memory(
    object_store: S3Store, engine: Engine, seed: int, count: int
) -> None:
    files = dict(corpus(seed, count))
    assert len(files) == count
    for name, data in files.items():
        object_store.put(f"photos/{name}", data)
    forget_peak()
    before = memory_bytes("VmRSS")
    with Decoders(num_readers(1)) as decoders:
        rows = run(object_store, object_store, engine, decoders)
        children = [memory_bytes("VmHWM", pid) for pid in decoders.pids()]
    grown = memory_bytes("VmHWM") - before
    assert sorted(row.source_key for row in rows) == sorted(f"photos/{name}" for name in files)
    for row in rows:
        if row.outcome == "done":
            photo = decode(object_store.get(row.destination_key), max_pixels=10**8)
            assert photo.pixels.shape[:2] == (row.height, row.width)
        else:
            assert (row.outcome, row.error) == ("failed", "ImageError"), row
            assert row.reason in REASONS, row
    written = {info.key for info in object_store.list("") if not info.key.startswith("photos/")}
    done = {row.destination_key for row in rows if row.outcome == "done"}
    assert {key for key in written if "/_srgan/" not in key} == done
    assert all(key.startswith("up/") for key in written)
    outcomes = {row.source_key.split("/")[1]: row.outcome for row in rows}
    assert outcomes["whole"] == "done", "what is whole is not blamed for the others"
    assert outcomes["empty"] == outcomes["noise"] == "failed"
    assert grown < MEMORY_BYTES, f"{grown / 2**20:.0f} MiB"
    assert max(children) < MEMORY_BYTES, f"{max(children) / 2**20:.0f} MiB"


def test_names_that_lead_elsewhere_are_recorded_and_nothing_is_written_for_them(
    object_store: S3Store, engine: Engine
) -> None:
    (_, whole), *_ = corpus(2, 1)
    object_store.put("photos/good.png", whole)
    hostile = [f"photos/{name}" for name in HOSTILE_NAMES]
    source = StoreWithAnyName(object_store, "photos/good.png", hostile)
    with Decoders(1) as decoders:
        rows = run(source, object_store, engine, decoders)
    outcomes = {row.source_key: (row.outcome, row.reason) for row in rows}
    assert outcomes.pop("photos/good.png") == ("done", "")
    assert outcomes.keys() == set(hostile)
    assert set(outcomes.values()) == {("failed", "unsafe_name"), ("failed", "name_too_long")}
    written = {info.key for info in object_store.list("") if "_srgan/" not in info.key}
    assert written == {"photos/good.png", "up/good.png"}
