"""Preparing photos as a Ray job: ``python -m srgan.jobs.prepare <spec_key> <job_id>``.

The job's driver only waits. One task reads the photos, has other processes decode them, and
reserves the memory for all of that.
"""

import logging
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import Field

from srgan.config import Config, DataConfig, Name, Scale, SetConfig
from srgan.data.pairs import PairListing, list_pairs, match, prepare_pairs
from srgan.data.prepare import (
    Listing,
    digest_of_objects,
    list_photos,
    prepare_dataset,
    some_sources,
)
from srgan.data.reading import BYTES_PER_PIXEL, PhotoReader
from srgan.errors import StorageError
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import (
    Need,
    count_drivers,
    memory_of,
    node_resources,
    options_of,
    start,
    wait_for_cluster,
)
from srgan.keys import prepared_key
from srgan.measure.sets import prepare_paired_set, prepare_set
from srgan.progress import Progress, write_progress
from srgan.readable import Countdown
from srgan.refs import DatasetRef, SetRef
from srgan.services.folder import open_place
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import Place, split_uri, write_document

logger = logging.getLogger(__name__)

_MOST_CPUS = 4
"""One thread looks at photos, cuts and stores them, 15 ms for a megapixel; decoding one takes 29 ms
from JPEG and 61 ms from PNG (`benchmarks/prepare.py`, 2026-11-29). More decoders would wait."""
_DECODE_LIMIT_S = 600.0
"""A photo that hangs is left out after this time, and none because a node is busy."""
_BASE_BYTES = 2**29
"""The task and its decoders without photos."""
_SHARD_COPIES = 4
"""Two shards that are filled, and one of them twice more while it is stored."""
_LEAST_PHOTO_BYTES = 2**30
"""Least memory to ask for, for photos: one of 42 megapixels, or several smaller ones."""
_SAY_EVERY_S = 5.0


class Photos(Config):
    """Photos that become a dataset; the parameters of the flow ``prepare``."""

    kind: Literal["photos"] = "photos"
    source: str
    dataset: Name
    config: DataConfig
    licence: str | None = None

    def listing(self, settings: Settings, store: S3Store) -> Listing:
        """Find what has to be read; errors are those of `list_photos`."""
        return list_photos(_open(settings, self.source), store, self.dataset, self.config)


class PhotoPairs(Config):
    """HR and LR photos that become a dataset of pairs; the parameters of ``prepare-pairs``."""

    kind: Literal["pairs"] = "pairs"
    hr: str
    lr: str
    dataset: Name
    config: DataConfig
    licence: str | None = None

    def listing(self, settings: Settings, store: S3Store) -> PairListing:
        """Find what has to be read; errors are those of `list_pairs`."""
        hr, lr = _open(settings, self.hr), _open(settings, self.lr)
        return list_pairs(hr, lr, store, self.dataset, self.config)


class SetPhotos(Config):
    """Photos that become an evaluation set; the parameters of ``prepare-eval``."""

    kind: Literal["set"] = "set"
    source: str
    name: Name
    config: SetConfig

    def digest(self, settings: Settings, store: S3Store) -> str:
        """Digest of the objects below the prefix; `DataError` if there are none."""
        objects = some_sources(_open(settings, self.source))
        return digest_of_objects((info.key, info.token) for info in objects)


class SetPairs(Config):
    """HR and LR photos that become an evaluation set; parameters of ``prepare-eval``."""

    kind: Literal["set-pairs"] = "set-pairs"
    hr: str
    lr: str
    scale: Scale
    name: Name
    config: SetConfig

    def digest(self, settings: Settings, store: S3Store) -> str:
        """Digest of the objects below both prefixes; errors are those of `match`."""
        pairs, lonely = match(_open(settings, self.hr), _open(settings, self.lr))
        both = [(pair.hr.key, pair.token) for pair in pairs]
        return digest_of_objects([*both, *((each.key, each.token) for each in lonely)])


Work = Photos | PhotoPairs | SetPhotos | SetPairs


class PrepareSpec(Config):
    """The work of one job."""

    run: str
    work: Annotated[Work, Field(discriminator="kind")]
    release_version: str


def main(spec_key: str, job_id: str) -> None:
    """Wait for a node with the memory, and read the photos there."""
    import ray

    # Imported under its own name: as part of ``__main__`` it would travel by value.
    from srgan.jobs.prepare import run_preparation

    settings, _, spec = start(spec_key, PrepareSpec)
    found = wait_for_cluster(
        lambda: need_of(spec.work, node_resources(), count_drivers()),
        settings.cluster_wait_s,
        job_id,
    )
    remote = ray.remote(max_retries=2, **options_of(found))(run_preparation)
    ray.get(remote.remote(spec_key, int(found.cpus), found.memory_bytes))


def need_of(work: Work, nodes: Iterable[Mapping[str, float]], num_drivers: int = 1) -> Need:
    """Return what to reserve, by the resources of each node and the drivers that run.

    It is the memory for the largest photo that the config allows. If no node has so much, it is
    all that one has: most photos are smaller. While no node is up it is the least that is useful,
    so that an autoscaler may start any node, and then what that one has.
    """
    besides_bytes = bytes_besides(work)
    wanted_bytes = besides_bytes + bytes_for_photos(work)
    possible = [
        (memory_of(node, num_drivers, besides_bytes), min(int(node["CPU"]), _MOST_CPUS))
        for node in nodes
        if node.get("CPU", 0) >= 1
    ]
    offers = [(min(wanted_bytes, memory), cpus) for memory, cpus in possible if memory]
    least_bytes = besides_bytes + _LEAST_PHOTO_BYTES
    memory_bytes, num_cpus = max(offers, default=(least_bytes, 1))
    return Need("preparing", cpus=num_cpus, memory_bytes=memory_bytes)


def bytes_for_photos(work: Work) -> int:
    """Memory for the largest photo, or for several of the usual size."""
    return max(BYTES_PER_PIXEL * work.config.max_pixels, _LEAST_PHOTO_BYTES)


def bytes_besides(work: Work) -> int:
    """Memory for what is there besides photos."""
    shard_bytes = 0 if isinstance(work, SetPhotos | SetPairs) else work.config.shard_bytes
    return _BASE_BYTES + _SHARD_COPIES * shard_bytes


def run_preparation(spec_key: str, num_cpus: int, memory_bytes: int) -> None:
    """Prepare within the memory, then write the result, which marks the job as done."""
    from srgan.bulk.decoders import Decoders

    settings, store, spec = start(spec_key, PrepareSpec)
    with Decoders(num_cpus, limit_s=_DECODE_LIMIT_S) as decoders:
        reader = PhotoReader(
            decode=decoders.decode_in_8_bits,
            measure=decoders.declared_pixels,
            memory_bytes=memory_bytes - bytes_besides(spec.work),
        )
        made = prepared(spec, settings, store, reader)
    write_document(store, prepared_key(spec.run), made)


def prepared(
    spec: PrepareSpec, settings: Settings, store: S3Store, reader: PhotoReader
) -> DatasetRef | SetRef:
    """Do the work of a spec."""
    match spec.work:
        case Photos() as work:
            source = _open(settings, work.source)
            progress = _Progress(store, spec.run, "new or changed photos read")
            return prepare_dataset(
                source,
                store,
                work.dataset,
                work.config,
                progress,
                work.licence,
                reader,
            )
        case PhotoPairs() as work:
            hr, lr = _open(settings, work.hr), _open(settings, work.lr)
            progress = _Progress(store, spec.run, "new or changed pairs read")
            return prepare_pairs(
                hr, lr, store, work.dataset, work.config, progress, work.licence, reader
            )
        case SetPhotos() as work:
            source = _open(settings, work.source)
            progress = _Progress(store, spec.run, "photos read")
            made = prepare_set(source, store, work.name, work.config, progress, reader)
            return made.ref
        case SetPairs() as work:
            hr, lr = _open(settings, work.hr), _open(settings, work.lr)
            progress = _Progress(store, spec.run, "pairs read")
            made = prepare_paired_set(
                hr, lr, work.scale, store, work.name, work.config, progress, reader
            )
            return made.ref


class _Progress:
    """Called with how far the work is; tells the log, and every few seconds the store."""

    def __init__(self, store: S3Store, run: str, what: str) -> None:
        self._store = store
        self._run = run
        self._say = Countdown(logger.info, what, _SAY_EVERY_S)
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        self._say(done, total)
        now = time.monotonic()
        if 0 < done < total and now - self._told < _SAY_EVERY_S:
            return
        self._told = now
        left_s = (now - self._began) / done * (total - done) if done else None
        progress = Progress(step=done, steps=total, eta_s=left_s, what="photos")
        with suppress(StorageError):  # only a display; the result is what counts
            write_progress(self._store, self._run, progress)


def _open(settings: Settings, address: str) -> Place:
    """Open a prefix of a bucket; `ConfigError` for anything else, also a folder."""
    split_uri(address)
    return open_place(settings, address)


if __name__ == "__main__":
    with leaving_failure(*sys.argv[1:]):
        main(*sys.argv[1:])
