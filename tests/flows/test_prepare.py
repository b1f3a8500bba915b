"""The prepare flow, on a real Prefect server and object store."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.prepare import prepare, summary_line, summary_page
from srgan.config import DataConfig
from srgan.data.manifest import read_manifest, read_sources
from srgan.data.prepare import prepare_dataset
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.places import place

_DATA = DataConfig(crop_size=32, shard_bytes=2**20)


@pytest.fixture
def source(
    object_store: S3Store,
    s3_settings: Settings,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Address of a prefix with four photos and a text; the environment names the store."""
    for name in ("s3_access_key", "s3_secret_key"):
        secret = getattr(s3_settings, name).get_secret_value()
        monkeypatch.setenv(
            {"s3_access_key": "AWS_ACCESS_KEY_ID", "s3_secret_key": "AWS_SECRET_ACCESS_KEY"}[name],
            secret,
        )
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_settings.s3_endpoint_url or "")
    monkeypatch.setenv("SRGAN_BUCKET", s3_settings.bucket)
    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed)))
    object_store.put("raw/notes.txt", b"no photo")
    return f"s3://{s3_settings.bucket}/raw"


def _cut(store: S3Store) -> DatasetRef:
    return prepare_dataset(place(store, "raw"), store, "pets", _DATA)


def _line(store: S3Store, ref: DatasetRef, before: str | None) -> str:
    manifest = read_manifest(store, ref.key)
    return summary_line(ref, before, manifest, read_sources(store, manifest))


def test_the_log_line_says_what_was_read_and_passed_by(source: str, object_store: S3Store) -> None:
    ref = _cut(object_store)
    line = _line(object_store, ref, None)
    assert f"new version {ref.version[:12]}, 5 objects read, 0 unchanged" in line
    assert "1 rejected (1 not_an_image)" in line


def test_the_log_line_says_that_nothing_changed(source: str, object_store: S3Store) -> None:
    before = _cut(object_store).version
    line = _line(object_store, _cut(object_store), before)
    assert f"nothing changed: version {before[:12]} reused, 0 objects read" in line


def test_a_removed_photo_is_a_new_version_though_nothing_is_read(
    source: str, object_store: S3Store
) -> None:
    before = _cut(object_store).version
    object_store.delete("raw/0.png")
    line = _line(object_store, _cut(object_store), before)
    assert "new version" in line
    assert "0 objects read, 4 unchanged" in line


def test_the_page_shows_photos_crops_and_version(source: str, object_store: S3Store) -> None:
    ref = _cut(object_store)
    manifest = read_manifest(object_store, ref.key)
    page = summary_page(ref, manifest, read_sources(object_store, manifest))
    assert f"| Photos to train on | {ref.num_train_photos} ({ref.num_train_crops} crops) |" in page
    assert ref.version in page


def test_the_flow_leaves_a_page_and_a_table_of_rejections(
    source: str, object_store: S3Store, prefect_api: None, preparing_here: list[str]
) -> None:
    ref = prepare(source, "pets_x4", _DATA)
    assert ref.num_read == 5
    again = prepare(source, "pets_x4", _DATA)
    assert again == ref.model_copy(update={"num_read": 0})
    assert len(preparing_here) == 1, "without anything to read there should be no job"
    object_store.put("raw/4.png", object_store.get("raw/notes.txt"))
    assert prepare(source, "pets_x4", _DATA).num_read == 1
    first, second = preparing_here
    assert first != second, "other photos should be another run"

    async def artifacts() -> dict[str | None, str]:
        keys = ["pets-x4-dataset", "pets-x4-rejected"]
        async with get_client() as client:
            found = await client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=keys))
            )
        return {each.key: str(each.data) for each in found}

    found = asyncio.run(artifacts())
    assert ref.version in found["pets-x4-dataset"]
    assert "raw/notes.txt" in found["pets-x4-rejected"]
