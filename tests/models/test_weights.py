"""Weights in the bucket: found by the begin of their SHA-256, verified at every load."""

import hashlib

import pytest

from srgan.errors import CheckpointError
from srgan.keys import weights_key
from srgan.models.weights import (
    find_mirrored,
    find_weights,
    hash_in_name,
    publish_weights,
    read_weights,
)
from srgan.services.s3 import S3Store

DATA = b"weights"
SHA256 = hashlib.sha256(DATA).hexdigest()


def test_published_weights_are_found_by_all_or_the_first_digits_of_their_sha256(
    object_store: S3Store,
) -> None:
    publish_weights(object_store, "vgg19", DATA, "here")
    assert read_weights(object_store, "vgg19", SHA256) == DATA
    assert read_weights(object_store, "vgg19", SHA256[:8]) == DATA


def test_the_name_points_to_the_weights_that_were_mirrored_last(object_store: S3Store) -> None:
    assert find_mirrored(object_store, "vgg19") is None
    publish_weights(object_store, "vgg19", b"older", "there")
    publish_weights(object_store, "vgg19", DATA, "here")
    found = find_mirrored(object_store, "vgg19")
    assert found is not None
    assert (found.sha256, found.source) == (SHA256, "here")
    assert find_mirrored(object_store, "squeezenet1_1") is None


def test_the_error_for_missing_weights_names_the_command_that_mirrors_them(
    object_store: S3Store,
) -> None:
    with pytest.raises(CheckpointError, match=r"dcbb9e9d.*`srgan weights mirror vgg19`$"):
        read_weights(object_store, "vgg19", "dcbb9e9d")
    expected = r"`srgan weights mirror squeezenet1_1 --from FILE` .* begins with 0123456789abcdef$"
    with pytest.raises(CheckpointError, match=expected):
        find_weights(object_store, "squeezenet1_1", "0123456789abcdef0000")


def test_altered_weights_are_refused_at_every_load_until_they_are_mirrored_again(
    object_store: S3Store,
) -> None:
    publish_weights(object_store, "vgg19", DATA, "here")
    object_store.put(weights_key(SHA256), b"altered")
    for _ in range(2):
        with pytest.raises(
            CheckpointError, match=r"was altered.*srgan weights mirror vgg19 --from"
        ):
            read_weights(object_store, "vgg19", SHA256)
    publish_weights(object_store, "vgg19", DATA, "here")
    assert read_weights(object_store, "vgg19", SHA256) == DATA


def test_digits_that_match_two_files_are_refused(object_store: S3Store) -> None:
    digests = [f"00000000{index}".ljust(64, "0") for index in (1, 2)]
    for digest in digests:
        object_store.put(weights_key(digest), DATA)
    with pytest.raises(CheckpointError, match=f"2 files .*{digests[0]}, {digests[1]}"):
        find_weights(object_store, "vgg19", "00000000")


@pytest.mark.parametrize(
    ("source", "digits"),
    [
        ("https://example.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
        (f"/tmp/mine-{SHA256}.safetensors", SHA256),
        ("squeezenet1_1_features.safetensors", ""),
        ("vgg19-best.pth", ""),
    ],
)
def test_the_hash_in_a_file_name_of_torch_hub_is_found(source: str, digits: str) -> None:
    assert hash_in_name(source) == digits
