"""Photos that change between training and held-out ones, and the crops that they then have."""

import pytest

from srgan.config import DataConfig
from srgan.data.crops import cut, training_crops
from srgan.data.tables import Split
from srgan.errors import StorageError
from srgan.refs import DatasetRef
from tests.support.workshop import CONFIG, Asked, Workshop

RICH = CONFIG.model_copy(update={"shrunk": (0.5,), "least_detail": 8.0})


def rows(workshop: Workshop, ref: DatasetRef, split: Split) -> dict[str, list[bytes]]:
    """Crops of each photo of a side, by its name."""
    crops = workshop.crops(ref, split)
    found: dict[str, list[bytes]] = {}
    for index in range(len(crops)):
        found.setdefault(crops.names[index], []).append(crops[index].tobytes())
    return found


def expected(workshop: Workshop, name: str, split: Split, config: DataConfig) -> list[bytes]:
    """Crops of a photo that is on this side."""
    photo = workshop.draw(int(name[4:7]))
    made = training_crops(photo, config) if split == "train" else cut(photo, config.crop_size)
    return [crop.tobytes() for crop in made]


@pytest.mark.parametrize("shard_crops", [8, 1000])
@pytest.mark.parametrize(("share", "alone"), [(1e-9, "eval"), (1 - 1e-9, "train")])
def test_a_photo_that_changes_sides_because_one_had_none_is_cut_for_its_side(
    workshop: Workshop, share: float, alone: Split, shard_crops: int
) -> None:
    workshop.upload(*range(4))
    shard_bytes = shard_crops * CONFIG.shard_bytes // 8
    config = RICH.model_copy(update={"eval_share": share, "shard_bytes": shard_bytes})
    source = Asked(workshop.store)
    ref = workshop.prepare(config, source)
    photos = {"train": ref.num_train_photos, "eval": ref.num_eval_photos}
    assert photos == {"train": 3, "eval": 3} | {alone: 1}
    sides: tuple[Split, ...] = ("train", "eval")
    for split in sides:
        for name, found in rows(workshop, ref, split).items():
            assert found == expected(workshop, name, split, config), (name, split)
    counts = {split: sum(map(len, rows(workshop, ref, split).values())) for split in sides}
    assert counts == {"train": ref.num_train_crops, "eval": ref.num_eval_crops}
    (moved,) = workshop.photos(ref, alone)
    assert sorted(source.read) == sorted([*(f"raw/00{n}.png" for n in range(4)), moved])
    assert workshop.prepare(config, source).num_read == 0
    assert len(source.read) == 5, "known photos stay as they are"


def test_a_photo_that_replaces_the_last_held_out_one_is_cut_for_its_side(
    workshop: Workshop,
) -> None:
    workshop.upload(*range(4))
    config = RICH.model_copy(update={"eval_share": 1e-9})
    (name,) = workshop.photos(workshop.prepare(config), "eval")
    workshop.store.delete(name)
    ref = workshop.prepare(config)
    ((other, found),) = rows(workshop, ref, "eval").items()
    assert other != name
    assert found == expected(workshop, other, "eval", config)
    assert len(rows(workshop, ref, "train")) == 2


@pytest.mark.parametrize("body", [None, b"not a photo"], ids=["gone", "replaced"])
def test_a_photo_that_is_not_there_when_it_changes_sides_ends_the_attempt(
    workshop: Workshop, body: bytes | None
) -> None:
    class Changing(Asked):
        """Each photo is deleted or replaced once it was read."""

        def find(self, key: str) -> bytes | None:
            data = super().find(key)
            if body is None:
                self.store.delete(key)
            else:
                self.store.put(key, body)
            return data

    workshop.upload(*range(4))
    with pytest.raises(StorageError, match=r"raw/00\d.png was changed or deleted while .*again"):
        workshop.prepare(RICH, Changing(workshop.store), eval_share=1e-9)


def test_an_image_never_crosses_the_split(workshop: Workshop) -> None:
    workshop.upload(*range(10))
    first = workshop.prepare(eval_share=0.4)
    workshop.upload(*range(10, 20))
    second = workshop.prepare(eval_share=0.05)
    assert workshop.photos(first, "eval") <= workshop.photos(second, "eval")
    assert workshop.photos(first, "train") <= workshop.photos(second, "train")
    assert not workshop.photos(second, "eval") & workshop.photos(second, "train")
