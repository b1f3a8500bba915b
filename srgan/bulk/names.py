"""Keys: of an upscaled image, of a run's own objects, and those never read or written."""

import os
import unicodedata
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote

from srgan.bulk.run import Stamp
from srgan.errors import ConfigError, ImageError
from srgan.images.entries import FOREIGN, INSTEAD
from srgan.keys import OWN, is_ours
from srgan.refs import digest
from srgan.storage import is_folder, prefix_of

OutputFormat = Literal["same", "png", "jpeg", "webp", "tiff"]

Oversize = Literal["refuse", "png", "tiff"]
"""For an output too large for its format: an error, or another format."""

SOURCE, SOURCE_TOKEN = "srgan-source", "srgan-source-token"
"""Names in the metadata of an output: its source's key, and that one's change token."""
SOURCE_BUCKET = "srgan-source-bucket"
"""The source's bucket. A file has none: its key is its whole path, the same on all machines."""

_IMAGE_SUFFIXES = {
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jpe", ".jpeg", ".jpg", ".png"),
    *(".tif", ".tiff", ".webp"),
}
_SUFFIX_OF = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}
_MAX_KEY_BYTES = 1024
_MAX_NAME_BYTES = 255
# S3 allows 2 KB of metadata in all; percent-encoding can triple a key.
_MAX_METADATA_CHARS = 1024


def check_prefixes(source: str, destination: str) -> None:
    """`ConfigError` for addresses whose outputs would become sources of the next run.

    Links of folders are followed.
    """
    source_bucket, source_prefix = _real_prefix_of(source)
    bucket, prefix = _real_prefix_of(destination)
    for uri, path in ((source, source_prefix), (destination, prefix)):
        if is_ours(path):
            raise ConfigError(
                f"{uri} lies inside {OWN}/, which holds the records of upscaling runs; "
                "choose another place"
            )
    if bucket == source_bucket and prefix.startswith(source_prefix):
        raise ConfigError(
            f"the destination {destination} is the source {source} or lies inside it, so outputs "
            "would become sources; choose a destination outside the source"
        )


def _real_prefix_of(address: str) -> tuple[str, str]:
    bucket, prefix = prefix_of(address)
    return bucket, prefix_of(os.path.realpath(prefix))[1] if is_folder(address) else prefix


def output_name(name: str, output_format: OutputFormat) -> str:
    """Relative path of the output of a source's relative path, in the same letters and case.

    A chosen format changes the extension; a name without an image's extension gets one appended.
    `ImageError` for names that would lead out of the destination on a disk.
    """
    parts = name.split("/")
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        raise ImageError("unsafe_name", f"{name!r} contains control characters")
    if "\\" in name or not all(parts) or {".", ".."} & set(parts) or parts[0][1:2] == ":":
        raise ImageError("unsafe_name", f"{name!r} is not a plain relative path")
    if output_format == "same":
        return name
    path = PurePosixPath(name)
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        return str(path.with_suffix(_SUFFIX_OF[output_format]))
    return name + _SUFFIX_OF[output_format]


def output_key(
    prefix: str, name: str, output_format: OutputFormat, oversize: Oversize = "refuse"
) -> str:
    """Key of the output below `prefix`; `ImageError` for names unsafe or too long to write."""
    key = prefix + output_name(name, output_format)
    suffixes = [reroute_suffix(oversize), *(INSTEAD if is_foreign(name, output_format) else ())]
    longest = (key + max(suffixes, key=len)).encode()
    if len(longest) > _MAX_KEY_BYTES:
        raise ImageError("name_too_long", f"{key!r} is longer than S3's {_MAX_KEY_BYTES} bytes")
    if is_folder(key) and any(len(part) > _MAX_NAME_BYTES for part in longest.split(b"/")):
        raise ImageError(
            "name_too_long", f"{key!r} has a name longer than a disk's {_MAX_NAME_BYTES} bytes"
        )
    return key


def reroute_suffix(oversize: Oversize) -> str:
    """Suffix appended to an output's key if it has to be of another format; may be empty.

    Appended and not exchanged: ``a.png`` might be another photo's output, ``a.webp.png`` is not.
    """
    return "" if oversize == "refuse" else _SUFFIX_OF[oversize]


def rerouted(output: str, format: str) -> str:
    """Key of an output that has to be of another format than its key says."""
    return output + _SUFFIX_OF[format]


def is_foreign(name: str, output_format: OutputFormat) -> bool:
    """True if an output should have its source's format, but by its suffix that is not written."""
    return output_format == "same" and PurePosixPath(name).suffix.lower() in FOREIGN


def metadata_key(key: str) -> str:
    """Encode a source key for object metadata: percent-encoded ASCII, or its digest if long."""
    encoded = quote(key)
    return encoded if len(encoded) <= _MAX_METADATA_CHARS else f"sha256:{digest(key)}"


def origin(bucket: str, key: str, token: str, stamp: Stamp) -> dict[str, str]:
    """Metadata of an output: the source that it was made of, and the stamp.

    `bucket` is empty for a file, and then left out.
    """
    return {
        **({SOURCE_BUCKET: bucket} if bucket else {}),
        SOURCE: metadata_key(key),
        SOURCE_TOKEN: token,
        "srgan-model": stamp.model,
        "srgan-config": stamp.config_digest,
    }
