"""Objects that are written in parts, on a real object store, with small parts."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from srgan.errors import ConflictError, StorageError
from srgan.services import s3
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings

PART = 5 * 2**20
"""The least that S3 takes."""
LARGE = bytes(range(256)) * (2 * PART // 256) + b"the end"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_LARGEST_PUT_BYTES", PART)
    monkeypatch.setattr(s3, "_PART_BYTES", PART)


def unfinished(store: S3Store) -> list[Any]:
    """Uploads that have begun and not ended."""
    return store._client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])


@pytest.mark.parametrize("kind", ["bytes", "a file"])
def test_a_large_object_comes_back_whole_with_its_metadata_and_token(
    object_store: S3Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store._client, "put_object", None)
    body = LARGE if kind == "bytes" else BytesIO(LARGE)
    metadata = {"colour": "red"}
    token = object_store.put("up/a.png", body, metadata=metadata, content_type="image/png")
    assert object_store.get("up/a.png") == LARGE
    assert object_store.metadata("up/a.png") == {"colour": "red"}
    info = object_store.head("up/a.png")
    assert info is not None
    assert (info.token, info.size_bytes) == (token, len(LARGE))
    assert [each.token for each in object_store.list("up/")] == [token]
    assert object_store._client.head_object(Bucket=object_store.bucket, Key="up/a.png")[
        "ContentType"
    ] == ("image/png")
    assert not unfinished(object_store)


def test_parts_are_sent_with_checksums_where_bodies_are(
    object_store: S3Store, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_settings.model_copy(update={"s3_request_checksums": "when_supported"}))
    begun: list[dict[str, Any]] = []
    create = store._client.create_multipart_upload

    def creating(**given: Any) -> Any:
        begun.append(given)
        return create(**given)

    monkeypatch.setattr(store._client, "create_multipart_upload", creating)
    store.put("up/a.png", LARGE)
    assert begun[0]["ChecksumAlgorithm"] == "CRC32"
    assert object_store.get("up/a.png") == LARGE


def test_a_large_key_is_created_once_and_no_later_writer_replaces_it(object_store: S3Store) -> None:
    def create(writer: int) -> bool:
        try:
            object_store.put("once", LARGE + bytes([writer]), if_absent=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(create, range(4)))
    # SeaweedFS looks at the condition before it joins the parts, so two may win at one moment.
    assert any(won)
    kept = object_store.get("once")
    assert won[kept[-1]]
    assert not create(4)
    assert object_store.get("once") == kept
    assert not unfinished(object_store)


def test_a_large_key_moves_only_from_the_token_that_was_read(object_store: S3Store) -> None:
    first = object_store.put("latest", LARGE + b"1")
    second = object_store.put("latest", LARGE + b"2", if_token=first)
    with pytest.raises(ConflictError):
        object_store.put("latest", LARGE + b"3", if_token=first)
    info = object_store.head("latest")
    assert info is not None
    assert info.token == second


def test_a_part_that_is_refused_leaves_nothing_behind(
    object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_part = object_store._client.upload_part

    def refuse_the_second(**given: Any) -> Any:
        if given["PartNumber"] == 2:
            raise ClientError({"Error": {"Code": "SlowDown"}}, "UploadPart")
        return upload_part(**given)

    monkeypatch.setattr(object_store._client, "upload_part", refuse_the_second)
    with pytest.raises(StorageError, match=r"cannot write s3://srgan-test/up/a\.png"):
        object_store.put("up/a.png", LARGE)
    assert object_store.head("up/a.png") is None
    assert not unfinished(object_store)


def test_an_end_whose_answer_was_lost_is_no_failure(
    object_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = object_store._client.complete_multipart_upload

    def lose_the_answer(**given: Any) -> Any:
        """As botocore's repetition meets it, after a first request that was served."""
        complete(**given)
        raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")

    monkeypatch.setattr(object_store._client, "complete_multipart_upload", lose_the_answer)
    token = object_store.put("up/a.png", LARGE)
    info = object_store.head("up/a.png")
    assert info is not None
    assert (info.token, info.size_bytes) == (token, len(LARGE))
