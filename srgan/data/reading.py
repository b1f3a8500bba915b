"""Source objects → decoded photos or reasons, in order, a few at a time."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.tables import Source
from srgan.errors import ImageError
from srgan.images import decode_in_8_bits, pixel_digest
from srgan.storage import ObjectInfo, ObjectStore

_THREADS = 4
_AHEAD = 6
"""Objects read ahead; bounds how many decoded photos are in memory at once."""
_DETAIL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one object; `rgb` uint8 (H, W, 3) unless it was rejected."""

    source: Source
    rgb: NDArray[np.uint8] | None


def read_photos(
    store: ObjectStore, objects: Iterable[ObjectInfo], config: DataConfig
) -> Iterator[Reading | None]:
    """Read and decode in a few threads, results in the order of `objects`.

    None stands for an object that was deleted since it was listed. What the object store raises
    is raised here: a source that cannot be reached is no bad photo.
    """
    waiting: deque[Future[Reading | None]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="read") as pool:
        try:
            for info in objects:
                waiting.append(pool.submit(_read, store, info, config))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(store: ObjectStore, info: ObjectInfo, config: DataConfig) -> Reading | None:
    data = store.find(info.key)
    if data is None:
        return None
    try:
        photo = decode_in_8_bits(data, max_pixels=config.max_pixels)
        height, width = photo.pixels.shape[:2]
        if min(height, width) < config.crop_size:
            raise ImageError(
                "tiny", f"{width} × {height} holds no crop of {config.crop_size} pixels"
            )
    except ImageError as error:
        detail = error.detail[:_DETAIL_LENGTH]
        return Reading(Source(info.key, info.token, reason=error.reason, detail=detail), None)
    return Reading(Source(info.key, info.token, pixels=pixel_digest(photo)), photo.rgb)
