"""An attempt at a version that is ended: the next one goes on, and makes what one alone makes."""

from typing import Any

import pytest

from srgan.config import DataConfig
from srgan.data import attempt
from srgan.data.manifest import DatasetManifest, read_latest
from srgan.data.pairs import prepare_pairs
from srgan.data.prepare import prepare_dataset
from srgan.keys import begun_dataset_key
from srgan.resize.arrays import imresize
from tests.support.places import place
from tests.support.workshop import CONFIG, Asked, Workshop

NUM_PHOTOS = 12


@pytest.fixture(autouse=True)
def always_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt writes down after each photo what is stored."""
    monkeypatch.setattr(attempt, "_SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(attempt, "_MOST_TIME", float("inf"))


class LostNodeError(Exception):
    """Stand for the loss of a node."""


def ended_after(num_photos: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done == num_photos:
            raise LostNodeError

    return progress


def end_attempt(workshop: Workshop, num_photos: int, config: DataConfig = CONFIG) -> None:
    with pytest.raises(LostNodeError):
        prepare_dataset(
            place(workshop.store, "raw"), workshop.store, "pets", config, ended_after(num_photos)
        )


def newest(workshop: Workshop, dataset: str) -> DatasetManifest:
    """The newest version, shards and tables included, under one name."""
    manifest, _ = read_latest(workshop.store, dataset)
    assert manifest is not None
    return manifest.model_copy(update={"dataset": "pets"})


def made_alone(workshop: Workshop, config: DataConfig = CONFIG) -> DatasetManifest:
    """The version that one attempt makes; nothing of it is left to others."""
    prepare_dataset(place(workshop.store, "raw"), workshop.store, "alone", config)
    return newest(workshop, "alone")


@pytest.mark.parametrize("ends", [[1], [5], [11], [3, 4, 9]])
def test_attempts_that_go_on_make_the_shards_of_one_that_was_not_ended(
    workshop: Workshop, ends: list[int]
) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    workshop.store.put("raw/0-notes.txt", b"no photo")
    workshop.store.put("raw/zzz.png", workshop.store.get("raw/003.png"))
    alone = made_alone(workshop)
    for end in ends:
        end_attempt(workshop, end)
    source = Asked(workshop.store)
    ref = workshop.prepare(source=source)
    assert newest(workshop, "pets") == alone
    assert ref.num_read == NUM_PHOTOS + 2, "as if there had been one attempt"
    assert len(source.read) < ref.num_read or ends == [1]
    assert workshop.store.find(begun_dataset_key("pets")) is None
    assert workshop.prepare().num_read == 0


@pytest.mark.parametrize("end", [3, 4])
def test_a_photo_that_changes_sides_is_cut_for_its_side_after_an_attempt_that_was_ended(
    workshop: Workshop, end: int
) -> None:
    config = CONFIG.model_copy(update={"shrunk": (0.5,), "eval_share": 1e-9})
    workshop.upload(*range(4))
    alone = made_alone(workshop, config)
    assert (alone.num_eval_photos, alone.num_eval_crops) == (1, 9), "it was cut as it is"
    end_attempt(workshop, end, config)
    workshop.prepare(config)
    made = newest(workshop, "pets")
    assert (made.num_eval_crops, made.num_train_crops) == (9, alone.num_train_crops)


def test_only_photos_with_crops_that_wait_for_their_shard_are_read_again(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    end_attempt(workshop, 9)
    source = Asked(workshop.store)
    workshop.prepare(source=source)
    # A shard holds 8 crops and a photo has 9: one photo waits on each side at most.
    assert len(source.read) <= NUM_PHOTOS - 9 + 2


def test_what_is_stored_counts_as_done(workshop: Workshop) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    end_attempt(workshop, 9)
    calls: list[tuple[int, int]] = []
    prepare_dataset(
        place(workshop.store, "raw"),
        workshop.store,
        "pets",
        CONFIG,
        lambda *call: calls.append(call),
    )
    first, last = calls[0], calls[-1]
    assert first[0] >= 7
    assert last == (NUM_PHOTOS, NUM_PHOTOS)


def test_photos_that_change_between_two_attempts_are_read_and_lost_ones_left_out(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    end_attempt(workshop, 9)
    workshop.store.put("raw/000.png", workshop.encode(workshop.draw(77)))
    for seed in (1, 8):
        workshop.store.delete(f"raw/{seed:03d}.png")
    ref = workshop.prepare()
    assert ref.version == made_alone(workshop).version
    assert len(workshop.crops(ref, "train")) + len(workshop.crops(ref, "eval")) == 10 * 9


def test_an_attempt_with_another_config_begins_from_the_start(workshop: Workshop) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    end_attempt(workshop, 9, CONFIG.model_copy(update={"eval_share": 0.6}))
    source = Asked(workshop.store)
    workshop.prepare(source=source)
    assert newest(workshop, "pets") == made_alone(workshop)
    assert len(source.read) == NUM_PHOTOS


@pytest.mark.parametrize("lost", ["/shards/", "/tables/"])
def test_an_attempt_that_lost_something_is_not_gone_on_with(workshop: Workshop, lost: str) -> None:
    workshop.upload(*range(NUM_PHOTOS))
    end_attempt(workshop, 9)
    keys = [info.key for info in workshop.store.list("crops/pets/") if lost in info.key]
    for key in keys:
        workshop.store.delete(key)
    workshop.prepare()
    assert newest(workshop, "pets") == made_alone(workshop)


def test_a_damaged_note_of_an_attempt_is_passed_over(workshop: Workshop) -> None:
    workshop.upload(1, 2)
    workshop.store.put(begun_dataset_key("pets"), b"{}")
    assert workshop.prepare().num_read == 2


def test_pairs_go_on_too(workshop: Workshop) -> None:
    for seed in range(6):
        hr = workshop.draw(seed)
        workshop.store.put(f"hr/{seed}.png", workshop.encode(hr))
        workshop.store.put(f"lr/{seed}.png", workshop.encode(imresize(hr, scale=1 / 4)))
    hr, lr = place(workshop.store, "hr"), place(workshop.store, "lr")
    prepare_pairs(hr, lr, workshop.store, "alone", CONFIG)
    with pytest.raises(LostNodeError):
        prepare_pairs(hr, lr, workshop.store, "pets", CONFIG, ended_after(4))
    source = Asked(workshop.store)
    prepare_pairs(place(source, "hr"), lr, workshop.store, "pets", CONFIG)  # type: ignore[arg-type]
    assert newest(workshop, "pets") == newest(workshop, "alone")
    assert len(source.read) < 6
