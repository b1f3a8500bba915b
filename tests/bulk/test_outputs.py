"""Outputs: only what was made from the same source is skipped or replaced."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.awsrequest import AWSRequest
from PIL import Image

from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.batch import BatchPipeline
from srgan.bulk.progress import Finished
from srgan.images import Photo, decode
from srgan.inference.engine import Engine
from srgan.keys import batch_progress_key
from srgan.refs import to_json
from srgan.services.folder import FolderStore
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo, Place
from tests.support.batches import CountingEngine, png, put, upscale
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.object_server import empty_bucket
from tests.support.photos import DrawPhoto


def test_what_is_no_output_of_the_source_is_never_written_over(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "abc"]
    object_store.put("up/a.png", b"somebody's only copy")
    object_store.put("up/b.png", b"of another source", metadata={"srgan-source": "else/b.png"})
    object_store.put("up/c.png", b"by an older model", metadata={"srgan-source": "photos/c.png"})
    rows = upscale(object_store, engine, items)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("failed", "occupied"),
        ("failed", "occupied"),
        ("done", ""),
    ]
    assert object_store.get("up/a.png") == b"somebody's only copy"
    assert object_store.get("up/b.png") == b"of another source"


@pytest.mark.parametrize("kind", ["s3", "folder"])
@pytest.mark.parametrize(
    ("name", "suffix", "file_of"),
    [
        ("a.png", ".webp", lambda one, two: png(one, save_all=True, append_images=[two])),
        ("a.jpg", ".png", lambda one, two: png(one, "GIF")),
    ],
    ids=["animated PNG", "GIF called a.jpg"],
)
def test_of_two_sources_with_one_output_one_is_done_and_the_other_occupied(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    tmp_path: Path,
    kind: str,
    name: str,
    suffix: str,
    file_of: Callable[[Image.Image, Image.Image], bytes],
) -> None:
    one, two = (Image.fromarray(draw_photo(seed, 16, 24)) for seed in (1, 2))
    files = {name: file_of(one, two), name + suffix: png(two, suffix[1:].upper())}
    items = [put(object_store, *each) for each in files.items()]
    run, up = bulk_run(object_store), "up"
    if kind == "folder":
        up = str(tmp_path)
        run = replace(run, destination=Place(up, FolderStore(tmp_path)))
    # Neither is written before both have looked whether their output is there.
    both = threading.Barrier(2)

    class Meeting(CountingEngine):
        def held_bytes(self, photo: Photo) -> int:
            both.wait(20)
            return super().held_bytes(photo)

    items = [item.model_copy(update={"output": f"{up}/{item.key[7:]}"}) for item in items]
    rows = BatchPipeline(run, Meeting(engine), decode).run(0, items)
    assert sorted((row.outcome, row.reason) for row in rows) == [
        ("done", ""),
        ("failed", "occupied"),
    ]
    (done,) = (row for row in rows if row.outcome == "done")
    store = run.destination.store
    assert done.destination_key == f"{up}/{name}{suffix}"
    assert store.metadata(done.destination_key)["srgan-source"] == quote(done.source_key)
    found = store.head(done.destination_key)
    assert found is not None
    assert found.token == done.destination_token, "it was not written over"


def test_an_object_that_appears_while_its_output_is_computed_is_not_written_over(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    upscale(object_store, engine, items[1:], "earlier")

    class Late(CountingEngine):
        def held_bytes(self, photo: Photo) -> int:
            for name in "ab":
                object_store.put(f"up/{name}.png", b"somebody's only copy")
            return super().held_bytes(photo)

    newer = CHAMPION.model_copy(update={"version": 2})
    rows = upscale(object_store, Late(engine), items, model=newer)
    assert [(row.outcome, row.reason) for row in rows] == [("failed", "occupied")] * 2
    assert {object_store.get(f"up/{name}.png") for name in "ab"} == {b"somebody's only copy"}


def test_an_output_that_another_driver_makes_at_the_same_time_is_skipped(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]

    class Overtaken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            upscale(object_store, engine, items, "other")
            return super().upscale_photo(photo)

    (row,) = upscale(object_store, Overtaken(engine), items)
    assert (row.outcome, row.reason) == ("skipped", "")
    assert object_store.head("up/a.png") == ObjectInfo(
        "up/a.png", row.destination_token, row.destination_bytes
    )


def test_an_output_that_another_model_makes_at_the_same_time_is_made_again(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    newer = CHAMPION.model_copy(update={"version": 2})

    class Overtaken(CountingEngine):
        def upscale_photo(self, photo: Photo) -> Photo:
            upscale(object_store, engine, items, "other", model=newer)
            return super().upscale_photo(photo)

    (row,) = upscale(object_store, Overtaken(engine), items)
    assert (row.outcome, row.model) == ("done", "m/1@abababababababab")
    assert object_store.metadata("up/a.png")["srgan-model"] == row.model


_LOOKS, _NEITHER = ["HeadObject", "GetObject", "PutObject"], ["GetObject", "PutObject"]


@pytest.mark.parametrize(
    ("existed", "number", "is_begun", "requests"),
    [
        (False, 1, False, _NEITHER),
        (True, 1, False, _LOOKS),
        (False, 2, False, _LOOKS),
        (False, 1, True, _LOOKS),
    ],
    ids=["new", "there was an object when it was planned", "second attempt", "begun by a lost job"],
)
def test_an_output_is_looked_for_only_if_it_may_be_there(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    existed: bool,
    number: int,
    is_begun: bool,
    requests: list[str],
) -> None:
    item = put(object_store, "a.png", png(draw_photo(1, 8, 8)))
    if is_begun:
        address = bulk_run(object_store).destination.address
        object_store.put(batch_progress_key(address, "run", 0), to_json(Finished()))
    asked: list[str] = []

    def note(request: AWSRequest, event_name: str, **_: object) -> None:
        if "_srgan" not in str(request.url):
            asked.append(event_name.rpartition(".")[2])

    events = object_store._client.meta.events
    events.register("before-send.s3", note)
    try:
        items = [item.model_copy(update={"output_exists": existed})]
        upscale(object_store, engine, items, attempt=BatchAttempt(number))
    finally:
        events.unregister("before-send.s3", note)
    assert asked == requests


def test_an_object_that_came_after_the_plan_is_never_written_over(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [
        put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))).model_copy(
            update={"output_exists": False}
        )
        for name in "abc"
    ]
    upscale(object_store, engine, items[:1], "other")
    object_store.put("up/b.png", b"somebody's only copy")
    rows = upscale(object_store, engine, items)
    assert [(row.outcome, row.reason) for row in rows] == [
        ("skipped", ""),
        ("failed", "occupied"),
        ("done", ""),
    ]
    assert object_store.get("up/b.png") == b"somebody's only copy"


def test_sources_of_one_key_in_two_buckets_do_not_replace_each_others_output(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    other = S3Store(object_store._client, f"{object_store.bucket}-2")
    other.ensure_bucket()
    run = bulk_run(object_store)
    elsewhere = replace(run, name="other", source=Place(other.uri("photos"), other))
    try:
        items = [put(store, "a.png", png(draw_photo(1, 8, 8))) for store in (object_store, other)]
        done = BatchPipeline(run, engine, decode).run(0, items[:1])
        again = BatchPipeline(elsewhere, engine, decode).run(0, items[1:])
        newer = put(other, "a.png", png(draw_photo(2, 8, 8)))
        changed = BatchPipeline(replace(elsewhere, name="third"), engine, decode).run(0, [newer])
    finally:
        empty_bucket(other)
    assert [(row.outcome, row.reason) for row in (*done, *again, *changed)] == [
        ("done", ""),
        ("failed", "occupied"),
        ("failed", "occupied"),
    ]
    found = object_store.head("up/a.png")
    assert found is not None
    assert found.token == done[0].destination_token


def test_an_output_of_a_release_that_did_not_name_buckets_is_recognised(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    upscale(object_store, engine, items)
    for name in "ab":
        kept = object_store.metadata(f"up/{name}.png")
        del kept["srgan-source-bucket"]
        object_store.put(f"up/{name}.png", object_store.get(f"up/{name}.png"), metadata=kept)
    items[1] = put(object_store, "b.png", png(draw_photo(2, 8, 8)))
    rows = upscale(object_store, engine, items, "again")
    assert [row.outcome for row in rows] == ["skipped", "done"]
    assert object_store.metadata("up/b.png")["srgan-source-bucket"] == object_store.bucket


def test_an_output_says_in_ascii_what_it_was_made_from(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    item = put(object_store, "ä b.png", png(draw_photo(1, 16, 16)))
    upscale(object_store, engine, [item])
    assert object_store.metadata("up/ä b.png") == {
        "srgan-source-bucket": object_store.bucket,
        "srgan-source": "photos/%C3%A4%20b.png",
        "srgan-source-token": item.token,
        "srgan-model": "m/1@abababababababab",
        "srgan-config": bulk_run(object_store).stamp.config_digest,
    }


def test_a_key_of_any_length_still_fits_into_the_metadata(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    name = "/".join(["写" * 60] * 5) + ".png"
    (row,) = upscale(object_store, engine, [put(object_store, name, png(draw_photo(1, 8, 8)))])
    assert row.outcome == "done", row.detail
    assert object_store.metadata(f"up/{name}")["srgan-source"].startswith("sha256:")


@pytest.mark.parametrize(
    "change",
    [{"model": CHAMPION.model_copy(update={"version": 2})}, {"jpeg_quality": 80}],
    ids=["model", "config"],
)
def test_an_output_of_another_model_or_config_is_replaced(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, change: dict[str, object]
) -> None:
    items = [put(object_store, "a.png", png(draw_photo(1, 8, 8)))]
    upscale(object_store, engine, items)
    (row,) = upscale(object_store, engine, items, run="run2", **change)
    assert row.outcome == "done"


def test_an_output_of_an_older_source_is_replaced(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    upscale(object_store, engine, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    newer = put(object_store, "a.png", png(draw_photo(2, 8, 8)))
    (row,) = upscale(object_store, engine, [newer], run="run2")
    assert row.outcome == "done"
