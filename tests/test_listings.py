"""Stores list in any order: code that needs an order of keys sorts them."""

from collections.abc import Callable, Iterator

import pytest

from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.promotion.log import Evidence, PromotionLog
from srgan.refs import DatasetRef, PromotionDecision
from srgan.services.s3 import S3Store
from srgan.storage import ObjectInfo
from srgan.train.checkpoint import checkpoint_keys
from tests.support.photos import DrawPhoto
from tests.support.places import place

DATA = DataConfig(scale=4, crop_size=32, eval_share=0.3)


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reverse every listing of the server."""
    listed = S3Store.list

    def reverse(store: S3Store, prefix: str) -> Iterator[ObjectInfo]:
        return reversed(list(listed(store, prefix)))

    monkeypatch.setattr(S3Store, "list", reverse)


@pytest.mark.usefixtures("backwards")
def test_the_newest_checkpoint_has_the_last_step(object_store: S3Store) -> None:
    keys = [f"runs/r/checkpoints/{step:09d}.json" for step in (9, 10, 100)]
    for key in keys:
        object_store.put(key, b"{}")
    assert checkpoint_keys(object_store, "r") == keys


@pytest.mark.usefixtures("backwards")
def test_the_last_decision_says_who_is_champion(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    for challenger in (1, 2):
        log.append(
            PromotionDecision(
                model="m",
                challenger=challenger,
                champion_before=log.champion(),
                promoted=True,
                reason="because",
            ),
            Evidence(run="r", weights_digest="0" * 64, dataset_version="v", metrics={}),
        )
    assert [entry.number for entry in log.entries()] == [1, 2]
    assert log.champion() == 2


def test_the_same_photos_make_the_same_dataset(
    object_store: S3Store,
    request: pytest.FixtureRequest,
    draw_photo: DrawPhoto,
    encode_photo: Callable[..., bytes],
) -> None:
    for seed, name in enumerate(("a/1", "a", "b", "a.0", "copy")):
        object_store.put(f"raw/{name}.png", encode_photo(draw_photo(min(seed, 3), 64, 64)))

    def prepare(dataset: str) -> tuple[DatasetRef, list[bytes]]:
        made = prepare_dataset(place(object_store, "raw"), object_store, dataset, DATA)
        keys = sorted(info.key for info in object_store.list(f"crops/{dataset}/"))
        return made, [
            object_store.get(key) for key in keys if "/shards/" in key or "/tables/" in key
        ]

    first, stored = prepare("first")
    request.getfixturevalue("backwards")
    second, stored_again = prepare("second")
    assert second.version == first.version
    assert stored_again == stored
