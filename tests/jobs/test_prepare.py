"""Preparing as a job: what it reserves, what it leaves in the bucket, how much memory it takes."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srgan.bulk.decoders import Decoders
from srgan.config import DataConfig, SetConfig
from srgan.data.manifest import read_manifest, read_sources
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import list_photos, prepare_dataset
from srgan.data.reading import BYTES_PER_PIXEL, PhotoReader
from srgan.errors import ImageError
from srgan.images import Photo
from srgan.jobs import prepare as job
from srgan.jobs.node import Need
from srgan.jobs.prepare import (
    PhotoPairs,
    Photos,
    PrepareSpec,
    SetPhotos,
    Work,
    need_of,
    run_preparation,
)
from srgan.keys import prepared_key, progress_key, spec_key
from srgan.measure.sets import prepare_set, read_set
from srgan.refs import DatasetRef, SetRef
from srgan.resize.arrays import imresize
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.memory import forget_peak, memory_bytes
from tests.support.photos import DrawPhoto
from tests.support.places import place
from tests.support.workshop import Asked

DATA = DataConfig(crop_size=32, eval_share=0.3, shard_bytes=8 * 32 * 32 * 3)
GIB = 2**30
SMALL_DECODERS = 2 * 100 * 2**20
"""Two decoders without a photo, and more."""

EncodePhoto = Callable[..., bytes]
Run = Callable[[Work], bytes]


@pytest.fixture
def run(
    object_store: S3Store,
    s3_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    shared_decoders: None,
) -> Run:
    """Do the work of a spec here, and return the result that it leaves in the bucket."""

    def run(work: Work) -> bytes:
        spec = PrepareSpec(run="prepare-1", work=work, release_version="1")
        sent = PrepareSpec.model_validate_json(spec.model_dump_json())
        monkeypatch.setattr(job, "start", lambda *_: (s3_settings, object_store, sent))
        run_preparation(spec_key("prepare-1"), 1, GIB)
        return object_store.get(prepared_key("prepare-1"))

    return run


def test_a_job_makes_the_version_that_is_made_without_one(
    object_store: S3Store, run: Run, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    for seed in range(8):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
    whole = encode_photo(draw_photo(9), "JPEG")
    object_store.put("raw/cut.jpg", whole[: len(whole) // 2])
    object_store.put("raw/notes.txt", b"no photo")
    object_store.put("raw/tiny.png", encode_photo(draw_photo(1, 20, 20)))
    here = prepare_dataset(place(object_store, "raw"), object_store, "here", DATA, licence="CC0")
    made = run(Photos(source=object_store.uri("raw"), dataset="pets", config=DATA, licence="CC0"))
    ref = DatasetRef.model_validate_json(made)
    same = {"dataset": "here", "key": here.key}
    assert ref.model_copy(update=same) == here
    manifests = [read_manifest(object_store, each.key) for each in (ref, here)]
    assert manifests[0].model_copy(update={"dataset": "here"}) == manifests[1]
    reasons = [source.reason for source in read_sources(object_store, manifests[0])]
    assert sorted(filter(None, reasons)) == ["not_an_image", "tiny", "truncated"]
    progress = json.loads(object_store.get(progress_key("prepare-1")))
    assert (progress["step"], progress["steps"], progress["what"]) == (11, 11, "photos")


def test_a_job_makes_the_same_pairs(
    object_store: S3Store, run: Run, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    for seed in range(3):
        hr = draw_photo(seed)
        object_store.put(f"hr/{seed}.png", encode_photo(hr))
        object_store.put(f"lr/{seed}.png", encode_photo(imresize(hr, scale=1 / 4)))
    hr, lr = place(object_store, "hr"), place(object_store, "lr")
    here = prepare_pairs(hr, lr, object_store, "here", DATA)
    made = run(PhotoPairs(hr=hr.uri, lr=lr.uri, dataset="phone", config=DATA))
    ref = DatasetRef.model_validate_json(made)
    assert (ref.version, ref.num_read) == (here.version, 3)


def test_a_job_makes_the_same_evaluation_set(
    object_store: S3Store, run: Run, draw_photo: DrawPhoto, encode_photo: EncodePhoto
) -> None:
    for seed in range(2):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
    here = prepare_set(place(object_store, "raw"), object_store, "here", SetConfig())
    made = run(SetPhotos(source=object_store.uri("raw"), name="street", config=SetConfig()))
    assert SetRef.model_validate_json(made).version == here.version


def test_a_photo_that_ends_its_decoder_costs_only_itself_and_is_read_again_the_next_time(
    object_store: S3Store,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: DrawPhoto,
    encode_photo: EncodePhoto,
) -> None:
    for seed in range(3):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
    work = Photos(source=object_store.uri("raw"), dataset="pets", config=DATA)
    with monkeypatch.context() as crashing:
        crashing.setattr("srgan.bulk.decoders.Decoders", CrashingOnce)
        first = DatasetRef.model_validate_json(run(work))
    assert (first.num_rejected, first.num_read) == (1, 3)
    second = DatasetRef.model_validate_json(run(work))
    assert (second.num_rejected, second.num_read) == (0, 1)


def test_a_photo_that_ends_its_decoder_is_left_out_of_an_evaluation_set(
    object_store: S3Store,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: DrawPhoto,
    encode_photo: EncodePhoto,
) -> None:
    for seed in range(3):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
    monkeypatch.setattr("srgan.bulk.decoders.Decoders", CrashingOnce)
    work = SetPhotos(source=object_store.uri("raw"), name="street", config=SetConfig())
    made = read_set(object_store, SetRef.model_validate_json(run(work)).key)
    assert len(made.photos) == 2
    assert list(made.rejected.values()) == ["crashed: the decoder died by SIGSEGV"]


class CrashingOnce(Decoders):
    """Decoders of which one dies while it has the first photo."""

    def __init__(self, num_processes: int, **options: float) -> None:
        super().__init__(num_processes, **options)
        self._crashes = iter([True])

    def decode_in_8_bits(self, data: bytes, *, max_pixels: int) -> Photo:
        if next(self._crashes, False):
            raise ImageError("crashed", "the decoder died by SIGSEGV")
        return super().decode_in_8_bits(data, max_pixels=max_pixels)


class Discarding(Asked):
    """A store that keeps no shards: gigabytes of them would take the time of this test."""

    def put(self, key: str, body: bytes, **options: Any) -> str:
        return "t" if "/shards/" in key else self.store.put(key, body, **options)


@pytest.mark.parametrize(
    "side", [4000, pytest.param(14_000, marks=pytest.mark.slow(group="images"))]
)
def test_six_large_photos_take_the_memory_of_one(object_store: S3Store, side: int) -> None:
    for number in range(6):
        rows = np.arange(side, dtype=np.uint16)[:, None, None] // (number + 2)
        pixels = np.broadcast_to(rows.astype(np.uint8), (side, side, 3))
        data = BytesIO()
        Image.fromarray(pixels).save(data, "JPEG")
        object_store.put(f"raw/{number}.jpg", data.getvalue())
    del pixels, data
    config = DataConfig(shard_bytes=2**23)
    store = Discarding(object_store)
    listing = list_photos(place(object_store, "raw"), store, "large", config)  # type: ignore[arg-type]
    forget_peak()
    before = memory_bytes("VmRSS")
    with Decoders(2) as decoders:
        budget = side * side * BYTES_PER_PIXEL
        ref = listing.cut(
            PhotoReader(decoders.decode_in_8_bits, decoders.declared_pixels, memory_bytes=budget)
        )
        children = [memory_bytes("VmHWM", pid) for pid in decoders.pids()]
    assert ref.num_train_photos + ref.num_eval_photos == 6
    taken = memory_bytes("VmHWM") - before + sum(children)
    assert taken < budget + SMALL_DECODERS + 4 * config.shard_bytes, f"{taken / 2**20:.0f} MiB"


HEAD = {"CPU": 2.0, "memory": 8.0 * GIB, "node:__internal_head__": 1.0}


def photos(max_pixels: int) -> Photos:
    config = DataConfig(max_pixels=max_pixels, shard_bytes=2**26)
    return Photos(source="s3://b/raw", dataset="pets", config=config)


def test_a_job_reserves_memory_for_the_largest_photo_that_may_come() -> None:
    large = need_of(photos(200_000_000), [HEAD, {"CPU": 16.0, "memory": 64.0 * GIB}])
    besides = job.bytes_besides(photos(1))
    assert large == Need("preparing", cpus=4, memory_bytes=besides + 200_000_000 * BYTES_PER_PIXEL)
    small = need_of(photos(1_000_000), [HEAD])
    assert small == Need("preparing", cpus=2, memory_bytes=besides + GIB)


def test_a_small_node_gives_what_it_has_beside_the_driver() -> None:
    head = {**HEAD, "memory": 3.0 * GIB}
    assert need_of(photos(200_000_000), [head]).memory_bytes == 3 * GIB - DRIVER_MEMORY_BYTES
    worker = {"CPU": 1.0, "memory": 2.5 * GIB}
    assert need_of(photos(200_000_000), [head, worker]) == Need(
        "preparing", cpus=1, memory_bytes=int(2.5 * GIB)
    )


def test_jobs_that_begin_together_on_a_small_head_leave_each_others_drivers_their_memory() -> None:
    work = photos(200_000_000)
    head = {**HEAD, "memory": 5.0 * GIB}
    reserved = [need_of(work, [head], drivers).memory_bytes for drivers in (1, 2, 3, 9)]
    assert reserved == [4 * GIB, 3 * GIB, 2 * GIB, job.bytes_besides(work)]


def test_a_cluster_without_nodes_for_it_is_asked_for_the_least_and_then_for_what_came() -> None:
    work = photos(200_000_000)
    head = {**HEAD, "CPU": 0.0}
    least = Need("preparing", cpus=1, memory_bytes=job.bytes_besides(work) + GIB)
    assert need_of(work, [head]) == least, "nodes without CPUs do not count"
    assert need_of(work, []) == least
    came = {"CPU": 2.0, "memory": 3.0 * GIB}
    assert need_of(work, [head, came]) == Need("preparing", cpus=2, memory_bytes=3 * GIB)
