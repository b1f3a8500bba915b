"""Sources, outputs and earlier records brought together: what is to do, and what it will take."""

from collections.abc import Callable, Iterator

from srgan.config import UpscaleConfig
from srgan.keys import own_prefix, records_key
from srgan.storage import ObjectStore, prefix_of
from srgan.upscale.file_size import largest_bytes
from srgan.upscale.forecast import Forecast, foretell, spread
from srgan.upscale.join import Item, Join
from srgan.upscale.manifest import Manifest
from srgan.upscale.names import check_prefixes
from srgan.upscale.records import Past, Stamp, covering, past
from srgan.upscale.sources import list_sources

_MIN_BATCH_BYTES = 2**20
_BATCH_S = 600.0
_LEAST_MEASURED_S = 10.0
"""Less is mostly the first image, for which kernels are made."""
_UNMEASURED_BATCH_BYTES = 8 * 2**20
"""About ten minutes of photos as JPEG (2 bits a pixel) at 0.8 output megapixels per second, ×4."""
_BATCHES_PER_JOB = 2

Sample = Callable[[Iterator[Item]], Past]
"""Judges the outputs of a few sources where no earlier run can."""


def survey(
    join: Join,
    source_store: ObjectStore,
    store: ObjectStore,
    source: str,
    destination: str,
    stamp: Stamp,
    config: UpscaleConfig,
    manifest: Manifest | None,
    sample: Sample | None,
    own_bucket: str | None = None,
) -> Forecast:
    """Fill the join, and say what follows from it."""
    check_prefixes(source, destination)
    list_sources(join, source_store, source, destination, config, manifest, own_bucket)
    measured = _list_outputs(join, store, destination, stamp)
    total, num_todo, todo_bytes = join.count()
    num_refused = join.count_refused()
    if sample is not None and num_todo and not measured.source_bytes:
        measured = sample(spread(join.todo(), num_todo))
    return foretell(
        num_todo=num_todo,
        todo_bytes=todo_bytes,
        unread_bytes=join.bytes_above(largest_bytes(config.max_pixels)),
        num_covered=total - num_todo - num_refused,
        num_refused=num_refused,
        num_batches=_num_batches(config, todo_bytes, measured) if num_todo else 0,
        past=measured,
        destination=destination,
        config=config,
    )


def _list_outputs(join: Join, store: ObjectStore, destination: str, stamp: Stamp) -> Past:
    """What earlier runs took: those with the same model and settings, else all others."""
    _, prefix = prefix_of(destination)
    own = own_prefix(destination)
    same = Past(what="earlier runs with this model and these settings")
    others = Past(what="earlier runs with other models or settings")
    for info in store.list(prefix):
        if not info.key.startswith(own):
            join.add_output(info)
        elif records_key.names(info.key):
            data, uri = store.get(info.key), store.uri(info.key)
            join.add_records(covering(data, uri, stamp))
            same += past(data, uri, stamp)
            others += past(data, uri)
    return same if same.source_bytes else others


def _num_batches(config: UpscaleConfig, todo_bytes: int, measured: Past) -> int:
    """About ten minutes of work in each at most, and more of them than jobs at once.

    More, so that the last ones end at about the same time; but none is so small that its job's
    start would cost more than its work.
    """
    most = min(config.batch_bytes, _UNMEASURED_BATCH_BYTES)
    if measured.megapixels_per_s and measured.upscale_s >= _LEAST_MEASURED_S:
        seconds_per_byte = measured.megapixels / measured.megapixels_per_s / measured.source_bytes
        most = min(config.batch_bytes, max(1, int(_BATCH_S / seconds_per_byte)))
    share = max(-(-todo_bytes // (_BATCHES_PER_JOB * config.max_jobs)), _MIN_BATCH_BYTES)
    return max(1, -(-todo_bytes // min(most, share)))
