"""Which objects a bulk run is about: all below the source, or those that a manifest names."""

from collections.abc import Iterator

from srgan.config import UpscaleConfig
from srgan.errors import ConfigError, DataError, ImageError
from srgan.keys import is_ours
from srgan.storage import ObjectInfo, ObjectStore, prefix_of
from srgan.upscale.join import Join
from srgan.upscale.manifest import Manifest, names
from srgan.upscale.names import is_source, output_key


def list_sources(
    join: Join,
    store: ObjectStore,
    source: str,
    destination: str,
    config: UpscaleConfig,
    manifest: Manifest | None,
    own_bucket: str | None = None,
) -> None:
    """Add every source to the join; those with unsafe names, and those missing, as refused.

    A manifest's keys are looked up in a listing, which costs a request for each thousand of them
    and says which have changed since the records were made.
    """
    source_bucket, source_prefix = prefix_of(source)
    bucket, prefix = prefix_of(destination)
    listed = _listing(join, store, source, manifest)
    found = False
    for info in listed:
        name = info.key[len(source_prefix) :]
        if not is_source(name) or is_ours(info.key, own_bucket=source_bucket == own_bucket):
            continue
        found = True
        try:
            output = output_key(prefix, name, config.output_format, config.oversize)
        except ImageError as error:
            join.refuse_source(info, str(error))
            continue
        if bucket == source_bucket and output.startswith(source_prefix):
            raise ConfigError(
                f"the output of {info.key!r} would be {output!r}, inside the source {source}; "
                "choose a destination that the source does not lie in"
            )
        join.add_source(info, output)
    join.check_reroutes()
    if manifest is not None:
        join.refuse_missing(f"missing: {manifest.address} names it, but it is not below {source}")
    elif not found:
        raise DataError(
            f"there are no objects below {source} (those that srgan wrote do not count); is the "
            "prefix right?"
        )


def _listing(
    join: Join, store: ObjectStore, source: str, manifest: Manifest | None
) -> Iterator[ObjectInfo]:
    _, prefix = prefix_of(source)
    if manifest is None:
        yield from store.list(prefix)
        return
    for name in names(manifest, source):
        join.want(prefix + name)
    ends = join.wanted_range()
    if ends is None:
        raise DataError(f"{manifest.address} names no images")
    # Every wanted key begins with what the first and the last have in common.
    first, last = ends
    length = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))  # noqa: B905  # one may be longer
    folder, slash, _ = first[:length].rpartition("/")
    for info in store.list(folder + slash):
        if join.is_wanted(info.key):
            yield info
