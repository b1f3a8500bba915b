"""From photos to versions of a dataset, in a real object store."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from srgan.data.crops import cut, cut_shrunk
from srgan.data.manifest import (
    publish,
    put_table,
    read_latest,
    read_manifest,
    read_photos,
    read_sources,
)
from srgan.data.prepare import count_reasons, prepare_dataset
from srgan.data.tables import dump_photos
from srgan.errors import ConflictError, DataError, StorageError
from srgan.images.likeness import look_of
from srgan.images.statistics import Statistics, statistics_of
from srgan.keys import OWN_PREFIXES, newest_dataset_key
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from tests.support.places import place
from tests.support.workshop import CONFIG, Asked, Workshop


def test_crops_hold_every_pixel_of_every_photo(workshop: Workshop) -> None:
    workshop.upload(*range(8))
    ref = workshop.prepare()

    assert (ref.num_train_photos + ref.num_eval_photos, ref.num_read) == (8, 8)
    assert ref.num_train_crops + ref.num_eval_crops == 8 * 9
    for split in ("train", "eval"):
        crops = workshop.crops(ref, split)
        for number in set(crops.photo_of):
            mine = [i for i in range(len(crops)) if crops.photo_of[i] == number]
            (name,) = {crops.names[i] for i in mine}
            photo = workshop.draw(int(name[4:7]))
            expected = np.stack(list(cut(photo, 32)))
            np.testing.assert_array_equal(np.stack([crops[i] for i in mine]), expected)


def test_training_photos_are_cut_at_each_size_and_held_out_ones_as_they_are(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(8))
    plain = workshop.prepare()
    ref = workshop.prepare(shrunk=(0.5,))

    assert ref.version != plain.version
    assert ref.num_eval_crops == plain.num_eval_crops
    assert ref.num_train_crops > plain.num_train_crops
    crops = workshop.crops(ref, "train")
    photo = workshop.draw(int(crops.names[0][4:7]))
    mine = [crops[i] for i in range(len(crops)) if crops.photo_of[i] == 0]
    np.testing.assert_array_equal(np.stack(mine), np.stack(list(cut_shrunk(photo, 32, (0.5,)))))


def test_the_second_time_nothing_is_read_and_nothing_written(workshop: Workshop) -> None:
    workshop.upload(*range(5))
    workshop.store.put("raw/notes.txt", b"no photo")
    first = workshop.prepare()
    source, store = Asked(workshop.store), Asked(workshop.store)
    second = prepare_dataset(place(source, "raw/"), store, "pets", CONFIG)

    assert second == first.model_copy(update={"num_read": 0})
    assert source.read == []
    assert store.written == []


def test_photos_that_an_earlier_release_has_cut_are_read_once_more_for_their_looks(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(5))
    first = workshop.prepare()
    manifest, token = read_latest(workshop.store, "pets")
    assert manifest is not None
    blind = [replace(photo, look=None) for photo in read_photos(workshop.store, manifest)]
    table = put_table(workshop.store, "pets", dump_photos(blind))
    publish(workshop.store, manifest.model_copy(update={"photos_table": table}), token)

    second = workshop.prepare()
    assert second == first
    assert second.num_read == 5
    assert read_latest(workshop.store, "pets")[0] == manifest
    for photo in read_photos(workshop.store, manifest):
        assert photo.look == look_of(workshop.draw(int(photo.name[4:7])))
    assert workshop.prepare().num_read == 0


def test_photos_that_an_earlier_decoder_has_read_are_read_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.upload(1, 2, 3)
    with monkeypatch.context() as earlier:
        earlier.setattr("srgan.data.manifest.decoding_version", lambda: "earlier")
        before = workshop.prepare()
    again = workshop.prepare()
    assert (again.version, again.num_read) == (before.version, 3)
    assert workshop.prepare().num_read == 0


def test_the_statistics_of_lr_images_are_noted_once_and_not_those_of_another_scale(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(3))
    workshop.store.put("raw/broken.png", b"no photo")
    workshop.prepare()
    noted = _statistics(workshop)
    assert noted == {
        **{f"raw/00{seed}.png": statistics_of(workshop.draw(seed), scale=4) for seed in range(3)},
        "raw/broken.png": None,
    }
    workshop.upload(3)
    assert workshop.prepare().num_read == 1
    found = _statistics(workshop)
    assert found == noted | {"raw/003.png": statistics_of(workshop.draw(3), scale=4)}
    assert workshop.prepare(scale=2).num_read == 0
    assert set(_statistics(workshop).values()) == {None}, "they are those of ×4"


def _statistics(workshop: Workshop) -> dict[str, Statistics | None]:
    manifest, _ = read_latest(workshop.store, "pets")
    assert manifest is not None
    return {each.key: each.statistics for each in read_sources(workshop.store, manifest)}


def test_only_new_and_changed_photos_are_read(workshop: Workshop) -> None:
    workshop.upload(*range(6))
    first = workshop.prepare()
    workshop.upload(6)
    workshop.store.put("raw/002.png", workshop.encode(workshop.draw(99)))
    workshop.store.delete("raw/003.png")
    source = Asked(workshop.store)
    second = workshop.prepare(source=source)

    assert sorted(source.read) == ["raw/002.png", "raw/006.png"]
    assert second.num_read == 2
    assert second.version != first.version
    names = workshop.photos(second, "train") | workshop.photos(second, "eval")
    assert names == {f"raw/{seed:03d}.png" for seed in (0, 1, 2, 4, 5, 6)}


def test_the_version_is_a_digest_of_the_content_and_not_of_the_layout(workshop: Workshop) -> None:
    workshop.upload(*range(6))
    first = workshop.prepare()
    for key in [entry.key for entry in workshop.store.list("crops/")]:
        workshop.store.delete(key)
    workshop.store.put("raw/zzz.png", workshop.store.get("raw/000.png"))
    workshop.store.delete("raw/000.png")
    again = workshop.prepare(shard_bytes=2**20)

    assert again.version == first.version
    assert workshop.prepare(crop_size=16).version != first.version


def test_a_photo_under_two_keys_counts_once(workshop: Workshop) -> None:
    workshop.upload(*range(5))
    workshop.store.put("raw/copy.bmp", workshop.encode(workshop.draw(3), "BMP"))
    ref = workshop.prepare()
    manifest = read_manifest(workshop.store, ref.key)
    assert manifest.num_duplicates == 1
    assert ref.num_train_photos + ref.num_eval_photos == 5


def test_a_renamed_photo_is_not_cut_again(workshop: Workshop) -> None:
    workshop.upload(*range(5))
    first = workshop.prepare()
    workshop.store.put("raw/new name.png", workshop.store.get("raw/004.png"))
    workshop.store.delete("raw/004.png")
    store = Asked(workshop.store)
    second = prepare_dataset(place(workshop.store, "raw"), store, "pets", CONFIG)

    assert second.version == first.version
    assert not [key for key in store.written if "/shards/" in key]
    assert "raw/new name.png" in workshop.photos(second, "train") | workshop.photos(second, "eval")


def test_an_unusable_photo_is_recorded_with_its_reason(workshop: Workshop) -> None:
    workshop.upload(*range(4))
    workshop.upload(50, height=20, width=200)
    whole = workshop.encode(workshop.draw(60), "JPEG")
    workshop.store.put("raw/cut.jpg", whole[: len(whole) // 2])
    workshop.store.put("raw/text.png", b"this is text")
    workshop.store.put("raw/zero.png", b"")
    workshop.store.put("raw/large.png", workshop.encode(workshop.draw(61, height=400, width=400)))
    ref = workshop.prepare(max_pixels=100_000)

    assert ref.num_rejected == 5
    sources = read_sources(workshop.store, read_manifest(workshop.store, ref.key))
    reasons = {source.key: source.reason for source in sources if source.reason}
    assert reasons == {
        "raw/050.png": "tiny",
        "raw/cut.jpg": "truncated",
        "raw/large.png": "too_large",
        "raw/text.png": "not_an_image",
        "raw/zero.png": "empty",
    }
    assert count_reasons(sources)["tiny"] == 1


def test_raising_the_limit_takes_photos_in_that_were_too_large(workshop: Workshop) -> None:
    workshop.upload(*range(3))
    workshop.upload(9, height=200, width=200)
    assert workshop.prepare(max_pixels=20_000).num_rejected == 1
    assert workshop.prepare(max_pixels=50_000).num_rejected == 0


def test_a_source_with_nothing_usable_says_why_and_how_often(workshop: Workshop) -> None:
    for index in range(3):
        workshop.store.put(f"raw/{index}.png", b"text")
    workshop.store.put("raw/zero.png", b"")
    with pytest.raises(
        DataError, match=r"0 usable photos among 4 objects.*3 not_an_image, 1 empty"
    ):
        workshop.prepare()
    assert workshop.store.find(newest_dataset_key("pets")) is None


def test_one_photo_under_two_keys_is_too_few(workshop: Workshop) -> None:
    workshop.upload(1)
    workshop.store.put("raw/again.png", workshop.store.get("raw/001.png"))
    with pytest.raises(DataError, match=r"1 usable photo among 2 objects.*duplicates: 1"):
        workshop.prepare()


def test_an_empty_prefix_is_an_error_that_names_it(workshop: Workshop) -> None:
    with pytest.raises(DataError, match="s3://srgan-test/raw/ holds no photos"):
        workshop.prepare()


def test_two_photos_are_enough(workshop: Workshop) -> None:
    workshop.upload(1, 2)
    ref = workshop.prepare()
    assert (ref.num_train_photos, ref.num_eval_photos) == (1, 1)


def test_an_object_that_the_system_wrote_is_not_a_source(workshop: Workshop) -> None:
    workshop.upload(0, 1)
    photo = workshop.encode(workshop.draw(7))
    ours = [f"{prefix}x/p.png" for prefix in OWN_PREFIXES]
    ours += ["mlflow/1/r/artifacts/comparison.png", "retrainings/p.png", "raw/_srgan/run/p.png"]
    for key in [*ours, "rawer/mlflow/p.png"]:
        workshop.store.put(key, photo)
    ref = workshop.prepare()
    assert ref.num_read == 2
    whole = prepare_dataset(place(workshop.store, ""), workshop.store, "all", CONFIG)
    assert whole.num_read == 3  # raw/000, raw/001 and rawer/mlflow/p


def test_mostly_dead_shards_are_rewritten(workshop: Workshop) -> None:
    workshop.upload(*range(12), height=64, width=64)
    workshop.prepare(shard_bytes=16 * 32 * 32 * 3)
    for seed in range(0, 12, 2):
        workshop.store.delete(f"raw/{seed:03d}.png")
    ref = workshop.prepare(shard_bytes=16 * 32 * 32 * 3)

    manifest = read_manifest(workshop.store, ref.key)
    live = sum(span.num_crops for p in read_photos(workshop.store, manifest) for span in p.spans)
    assert live == 6 * 4
    assert sum(shard.num_crops for shard in manifest.shards) <= live / 0.7
    for split in ("train", "eval"):
        crops = workshop.crops(ref, split)
        for index in range(len(crops)):
            photo = workshop.draw(int(crops.names[index][4:7]), height=64, width=64)
            place = index - crops.photo_of.index(crops.photo_of[index])
            np.testing.assert_array_equal(crops[index], list(cut(photo, 32))[place])


def test_photos_of_a_lost_shard_are_read_again(workshop: Workshop) -> None:
    workshop.upload(*range(6))
    first = workshop.prepare()
    lost = next(iter(workshop.store.list("crops/pets/shards/")))
    workshop.store.delete(lost.key)
    second = workshop.prepare()
    assert second.version == first.version
    assert 0 < second.num_read < 6
    assert len(workshop.crops(second, "train")) == first.num_train_crops


class _Interrupted(S3Store):
    """Fails at the first write whose key contains `at`."""

    at = ""

    def put(self, key: str, body: bytes, **options: Any) -> str:
        if self.at in key:
            raise StorageError(f"no more: {key}")
        return super().put(key, body, **options)


@pytest.mark.parametrize("at", ["/shards/", "/tables/", "/versions/", "latest.json"])
def test_an_interrupted_version_is_invisible(workshop: Workshop, at: str) -> None:
    workshop.upload(*range(4))
    first = workshop.prepare()
    workshop.upload(*range(4, 8))
    store = _Interrupted(workshop.store._client, workshop.store.bucket)
    store.at = at
    with pytest.raises(StorageError, match="no more"):
        prepare_dataset(place(workshop.store, "raw"), store, "pets", CONFIG)

    manifest, _ = read_latest(workshop.store, "pets")
    assert manifest is not None
    assert manifest.version == first.version
    assert workshop.prepare().num_read == 4


def test_the_later_of_two_preparations_at_once_is_told_to_start_again(workshop: Workshop) -> None:
    workshop.upload(*range(4))
    workshop.prepare()
    workshop.upload(4)

    def overtake(done: int, total: int) -> None:
        if done == total:
            workshop.upload(5)
            workshop.prepare()

    with pytest.raises(ConflictError, match=r"another version of dataset 'pets'.*prepare it again"):
        prepare_dataset(place(workshop.store, "raw"), workshop.store, "pets", CONFIG, overtake)
    assert workshop.prepare().num_read == 0


def test_an_object_deleted_meanwhile_is_not_an_error(workshop: Workshop) -> None:
    workshop.upload(*range(12))

    def delete(done: int, total: int) -> None:
        workshop.store.delete("raw/011.png")

    ref = prepare_dataset(place(workshop.store, "raw"), workshop.store, "pets", CONFIG, delete)
    assert ref.num_train_photos + ref.num_eval_photos == 11


def test_progress_counts_what_is_read(workshop: Workshop) -> None:
    workshop.upload(*range(4))
    calls: list[tuple[int, int]] = []
    prepare_dataset(
        place(workshop.store, "raw"),
        workshop.store,
        "pets",
        CONFIG,
        lambda *call: calls.append(call),
    )
    assert calls == [(done, 4) for done in range(5)]


def test_a_licence_is_recorded_and_kept_without_a_new_version(workshop: Workshop) -> None:
    def prepare(licence: str | None = None) -> DatasetRef:
        return prepare_dataset(
            place(workshop.store, "raw/"), workshop.store, "pets", CONFIG, licence=licence
        )

    workshop.upload(*range(4))
    before = prepare()
    assert before.licence is None
    named = prepare("CC BY 4.0")
    assert (named.version, named.licence, named.num_read) == (before.version, "CC BY 4.0", 0)
    assert read_manifest(workshop.store, named.key).licence == "CC BY 4.0"
    workshop.upload(4)
    assert prepare().licence == "CC BY 4.0"
    assert prepare("CC0").licence == "CC0"
