"""Named weights of perceptual networks: where they lie in the bucket, verified at every load.

``weights/<sha256>`` is the file as published, ``weights/<network>.json`` says which one was
mirrored last under that name. `srgan weights mirror` writes both; nothing here reaches further
than the bucket, and nothing needs torch.
"""

import hashlib
import re

from srgan.config.networks import DISTANCES, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import CheckpointError, DocumentError
from srgan.keys import WEIGHTS, mirrored_key, weights_key
from srgan.refs import Ref
from srgan.storage import ObjectStore, find_document, write_document

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


GET_A_JUDGE = (
    "`srgan weights mirror squeezenet1_1`, or without internet "
    "`srgan weights mirror squeezenet1_1 --from FILE`"
)
"""The command with which a bucket without perceptual weights gets some."""


class MirroredWeights(Ref):
    """The file that was mirrored last under a network's name."""

    network: FeatureNetwork
    sha256: str
    source: str
    """Where it came from: an https URL, an S3 URI or a file."""


def mirror_command(network: FeatureNetwork, weights: str) -> str:
    """The command that puts weights into the bucket; `weights` is how their SHA-256 begins."""
    command = f"`srgan weights mirror {network}"
    if weights.startswith(PUBLISHED_WEIGHTS[network].digest):
        return command + "`"
    return f"{command} --from FILE` with the file whose SHA-256 begins with {weights[:16]}"


def hash_in_name(source: str) -> str:
    """How a file's SHA-256 begins by its name: ``vgg19-dcbb9e9d.pth``, torch's way; or ""."""
    match = _HASH_IN_NAME.search(source)
    return match[1] if match else ""


def publish_weights(
    store: ObjectStore, network: FeatureNetwork, data: bytes, source: str
) -> MirroredWeights:
    """Put a weights file into the bucket and let the network's name point to it.

    Written even where the key exists: that is how altered bytes are mended.
    """
    mirrored = MirroredWeights(
        network=network, sha256=hashlib.sha256(data).hexdigest(), source=source
    )
    store.put(weights_key(mirrored.sha256), data)
    write_document(store, mirrored_key(network), mirrored)
    return mirrored


def find_mirrored(store: ObjectStore, network: FeatureNetwork) -> MirroredWeights | None:
    """What was mirrored last under the network's name; None before the first time."""
    mend = f"mend it with `srgan weights mirror {network}`"
    try:
        return find_document(store, mirrored_key(network), MirroredWeights, mend=mend)
    except DocumentError as error:
        raise CheckpointError(str(error)) from error


def find_weights(store: ObjectStore, network: FeatureNetwork, weights: str) -> str:
    """Full SHA-256 of the mirrored file whose digest begins with `weights` (8 to 64 hex digits).

    Reads nothing. `CheckpointError` names the command that mends it where there is not one.
    """
    found = [info.key.removeprefix(WEIGHTS) for info in store.list(weights_key(weights))]
    digests = sorted(name for name in found if re.fullmatch("[0-9a-f]{64}", name))
    if not digests:
        raise CheckpointError(
            f"the weights {weights}… of {network} are not in {store.uri(WEIGHTS)}; get them "
            f"there with {mirror_command(network, weights)}"
        )
    if len(digests) > 1:
        raise CheckpointError(
            f"{len(digests)} files in {store.uri(WEIGHTS)} begin with {weights}; name more digits "
            f"of the SHA-256: {', '.join(digests)}"
        )
    return digests[0]


def read_weights(store: ObjectStore, network: FeatureNetwork, weights: str) -> bytes:
    """The mirrored file whose SHA-256 begins with `weights`, verified.

    Missing or altered bytes are a `CheckpointError` that names the command that mends them.
    """
    digest = find_weights(store, network, weights)
    data = store.get(weights_key(digest))
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise CheckpointError(
            f"{store.uri(weights_key(digest))} was altered: its {len(data)} bytes have SHA-256 "
            f"{found}; put the right ones there with {mirror_command(network, digest)}"
        )
    return data


def find_judges(store: ObjectStore) -> dict[FeatureNetwork, str]:
    """SHA-256 of the weights of every network that is mirrored in the bucket, by its name."""
    mirrored = {network: find_mirrored(store, network) for network in DISTANCES}
    return {network: found.sha256 for network, found in mirrored.items() if found}
