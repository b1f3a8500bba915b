"""Weights of perceptual networks in the bucket, verified at every load.

``weights/<sha256>`` is the file as published, ``weights/<network>.json`` names the one that was
mirrored last for that network. `srgan weights mirror` writes both. Nothing here reads anything but
the bucket or needs torch.
"""

import hashlib
import re

from pydantic import Field

from srgan.config.networks import DISTANCES, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import CheckpointError, DocumentError, NewerFormatError
from srgan.keys import WEIGHTS, mirrored_key, weights_key
from srgan.refs import Ref
from srgan.storage import ObjectStore, find_document, write_document

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


GET_A_JUDGE = "`srgan weights mirror efficientnet_lite1`"
"""The command that puts the default judge into a bucket."""


class MirroredWeights(Ref):
    """The file that was mirrored last for a network."""

    network: FeatureNetwork
    sha256: str
    source: str
    """Origin of the file: an https URL, a package, an S3 URI or a path."""
    licence: str = "unknown"
    """Licence under which the file is published, if it is a published one."""
    feature_scales: dict[str, float] = Field(default_factory=dict)
    """By layer: the factor on its features that makes their loss as large as the pixels' MSE, as
    `srgan.models.feature_scale` measured it; empty in entries from before it was measured."""


def mirror_command(network: FeatureNetwork, weights: str) -> str:
    """Return the command that puts weights into the bucket; `weights` begins their SHA-256."""
    command = f"`srgan weights mirror {network}"
    published = PUBLISHED_WEIGHTS[network].digest
    if weights.startswith(published) or published.startswith(weights):
        return command + "`"
    return f"{command} --from FILE` with the file whose SHA-256 begins with {weights[:16]}"


def hash_in_name(source: str) -> str:
    """Begin of the SHA-256 in a file name like torch's ``vgg19-dcbb9e9d.pth``, or ""."""
    match = _HASH_IN_NAME.search(source)
    return match[1] if match else ""


def publish_weights(
    store: ObjectStore,
    network: FeatureNetwork,
    data: bytes,
    source: str,
    feature_scales: dict[str, float] | None = None,
) -> MirroredWeights:
    """Put a weights file into the bucket and point the network's name to it.

    Writes even if the key exists, which mends altered bytes.
    """
    sha256, published = hashlib.sha256(data).hexdigest(), PUBLISHED_WEIGHTS[network]
    mirrored = MirroredWeights(
        network=network,
        sha256=sha256,
        source=source,
        licence=published.licence if sha256.startswith(published.digest) else "unknown",
        feature_scales=feature_scales or {},
    )
    store.put(weights_key(mirrored.sha256), data)
    write_document(store, mirrored_key(network), mirrored)
    return mirrored


def find_mirrored(store: ObjectStore, network: FeatureNetwork) -> MirroredWeights | None:
    """Find the weights that were mirrored last for a network; None if there are none."""
    mend = f"mend it with `srgan weights mirror {network}`"
    try:
        return find_document(store, mirrored_key(network), MirroredWeights, mend=mend)
    except NewerFormatError:
        raise  # to mirror again would not mend it
    except DocumentError as error:
        raise CheckpointError(str(error)) from error


def find_weights(store: ObjectStore, network: FeatureNetwork, weights: str) -> str:
    """Find the SHA-256 of the mirrored file that begins with `weights` (8 to 64 hex digits).

    Does not read the file. `CheckpointError` names the command that mirrors a missing one.
    """
    found = [info.key.removeprefix(WEIGHTS) for info in store.list(weights_key(weights))]
    digests = sorted(name for name in found if re.fullmatch("[0-9a-f]{64}", name))
    if not digests:
        raise CheckpointError(
            f"the weights {weights}… of {network} are not in {store.uri(WEIGHTS)}; put them "
            f"there with {mirror_command(network, weights)}"
        )
    if len(digests) > 1:
        raise CheckpointError(
            f"{len(digests)} files in {store.uri(WEIGHTS)} begin with {weights}; give more digits "
            f"of the SHA-256: {', '.join(digests)}"
        )
    return digests[0]


def read_weights(store: ObjectStore, network: FeatureNetwork, weights: str) -> bytes:
    """Read and verify the mirrored file whose SHA-256 begins with `weights`.

    `CheckpointError` for missing or altered bytes names the command that mends them.
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
    """Find the SHA-256 of the weights of every network that is mirrored in the bucket, by name."""
    mirrored = {network: find_mirrored(store, network) for network in DISTANCES}
    return {network: found.sha256 for network, found in mirrored.items() if found}
