"""What a retraining began with outlives its process."""

import json

import pytest

from srgan.errors import StorageError
from srgan.promotion.reasons import Beginning, keep_beginning, read_beginning
from srgan.refs import DatasetRef, ModelRef
from srgan.services.s3 import S3Store
from srgan.version import numerics_version

DATASET = DatasetRef(
    dataset="leaves",
    version="v1",
    key="crops/leaves/versions/v1.json",
    source="s3://bucket/raw",
    scale=4,
    num_train_crops=4,
    num_eval_crops=2,
    num_train_photos=2,
    num_eval_photos=1,
    num_rejected=0,
    num_read=3,
)


def test_a_flow_run_that_is_put_back_finds_what_it_began_with_and_another_does_not(
    object_store: S3Store,
) -> None:
    champion = ModelRef(name="leaves", version=3, run="pretrain-1", weights_digest="d")
    begun = Beginning(dataset=DATASET, champion=champion, reason="Forced", seed=7)
    keep_beginning(object_store, "one", begun)
    assert read_beginning(object_store, "one") == begun
    assert read_beginning(object_store, "another") is None


def test_a_beginning_says_which_code_names_its_stages(object_store: S3Store) -> None:
    begun = Beginning(dataset=DATASET, champion=None, reason="Forced", numerics_version="earlier")
    keep_beginning(object_store, "one", begun)
    found = read_beginning(object_store, "one")
    assert found is not None
    assert found.numerics_version == "earlier"
    written = begun.model_dump(mode="json", exclude={"numerics_version"})
    object_store.put("retrainings/one.json", json.dumps(written).encode())
    found = read_beginning(object_store, "one")
    assert found is not None
    assert found.numerics_version == numerics_version(), "an earlier release wrote none"


def test_a_beginning_of_another_release_is_named_by_its_key(object_store: S3Store) -> None:
    object_store.put("retrainings/one.json", b'{"old": 1}')
    with pytest.raises(StorageError, match=r"retrainings/one\.json is damaged or was"):
        read_beginning(object_store, "one")
