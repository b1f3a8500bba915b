"""Pictures of a few images before and after, which people look at first."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srgan.bulk.join import Item
from srgan.bulk.run import BulkRun
from srgan.errors import PASSED_BY
from srgan.images import Photo, strip
from srgan.images.photo import to_8_bits
from srgan.images.strip import stack
from srgan.keys import samples_key
from srgan.resize.arrays import imresize

_PER_BATCH = 2
_PER_RUN = 6
_SIDE = 256
_CAPTION_CHARS = 30
_MARGIN = 64
"""LR pixels around the middle that a version on trial sees; few networks see further."""


@dataclass(frozen=True)
class Trial:
    """A version that upscales the middles too, beside the one that makes the outputs."""

    model: str
    """Caption of what the run's model makes."""
    title: str
    """Caption of what the version on trial makes."""
    upscale: Callable[[Photo], Photo]


class BatchSamples:
    """Called with images of a batch and their results; keeps the middles of the first few.

    Results have `scale` times the sides: resized ones would show other details.
    """

    def __init__(self, scale: int, trial: Trial | None = None) -> None:
        self._scale = scale
        self._trial = trial
        self._rows: list[bytes] = []

    def __call__(self, item: Item, before: Photo, after: Photo) -> None:
        if len(self._rows) == _PER_BATCH:
            return
        top, bottom, left, right = _middle(before.pixels.shape, max(1, _SIDE // self._scale))
        lr = to_8_bits(before.pixels[top:bottom, left:right])
        rows, columns = (
            slice(first * self._scale, last * self._scale)
            for first, last in ((top, bottom), (left, right))
        )
        sr = to_8_bits(np.array(after.pixels[rows, columns]))
        enlarged = imresize(lr, scale=self._scale)
        name = item.key.rpartition("/")[2][-_CAPTION_CHARS:]
        pictures = [(name, enlarged), (self._trial.model if self._trial else "upscaled", sr)]
        if self._trial:
            pictures.append(self._tried(self._trial, before, (top, bottom, left, right)))
        self._rows.append(strip(pictures))

    def _tried(
        self, trial: Trial, before: Photo, middle: tuple[int, int, int, int]
    ) -> tuple[str, NDArray[np.uint8]]:
        """Caption and picture of the version on trial; black where it fails."""
        # Imports torch, which flows that only join sheets do without.
        from srgan.inference.device import whole_device

        top, bottom, left, right = middle
        first, start = max(0, top - _MARGIN), max(0, left - _MARGIN)
        seen = slice(first, bottom + _MARGIN), slice(start, right + _MARGIN)
        alpha = None if before.alpha is None else before.alpha[seen]
        window = Photo(before.pixels[seen], alpha)
        height, width = (bottom - top) * self._scale, (right - left) * self._scale
        try:
            with whole_device():
                made = trial.upscale(window).pixels
        except PASSED_BY as error:
            return f"{trial.title}: {error}"[:_CAPTION_CHARS], np.zeros((height, width), np.uint8)
        down, across = (top - first) * self._scale, (left - start) * self._scale
        return trial.title, to_8_bits(made[down : down + height, across : across + width])

    def publish(self, run: BulkRun, batch: int) -> None:
        """Store one picture with a row for each image, if there was any."""
        if self._rows:
            key = samples_key(run.destination.address, run.name, batch)
            run.destination.store.put(key, stack(self._rows), content_type="image/png")


def contact_sheet(run: BulkRun) -> bytes | None:
    """Put pictures from batches all over the run into a JPEG; None if nothing was upscaled."""
    store = run.destination.store
    prefix = samples_key.below(run.destination.address, run.name)
    keys = sorted(info.key for info in store.list(prefix))
    if not keys:
        return None
    step = -(-len(keys) // (_PER_RUN // _PER_BATCH))
    return stack([store.get(key) for key in keys[::step]], kind="jpeg")


def _middle(shape: tuple[int, ...], side: int) -> tuple[int, int, int, int]:
    height, width = shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return top, min(top + side, height), left, min(left + side, width)
