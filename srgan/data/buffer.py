"""Shuffle buffer: the part of a large dataset that a step draws from, by seed and step alone.

The shards stand in a circle, whose order the seed draws once. A step draws from neighbours in it
that fit into the buffer. When the patches of enough steps have been drawn, the next shard enters
and the oldest leaves, so each shard stays equally long in each round.
"""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ConfigError
from srgan.readable import size

AHEAD = 8
"""Shards that are fetched before they enter; they also outlast a short absence of the store."""
_SPARE = 2
"""Room for a shard that a worker of the node has not let go of, and one that a validation reads."""
_DRAWS_PER_CROP = 4
"""How often a crop is drawn in a stay, on average. More fetches less, and lets fewer photos meet
in a given number of steps."""
_WHOLE_PHOTO = 2**20


class Section(NamedTuple):
    """Crops that can be drawn between two moves of the buffer."""

    shards: tuple[int, ...]
    """Shards in the buffer in the order in which they leave it, then those that enter next."""
    crops: NDArray[np.int64]
    """Crops in the buffer, ascending and so photo by photo."""
    first: NDArray[np.int64]
    """Place in `crops` of the first crop of each photo."""
    num_crops: NDArray[np.int64]
    """How many crops of each photo are in the buffer."""
    ends: NDArray[np.int64]
    """Sums of the photos' weights: the share of its crops that is in the buffer. A photo whose
    shards enter at different times counts no more in a round than one in a single shard."""


class ShuffleBuffer:
    """Draws crops from a part of the shards that moves with the step."""

    def __init__(
        self,
        photo_of: Sequence[int],
        shard_of: NDArray[np.int64],
        shard_bytes: Sequence[int],
        *,
        buffer_bytes: int,
        batch_size: int,
        order: NDArray[np.uint64],
    ) -> None:
        """`photo_of` and `shard_of` are numbers of each crop's photo and shard.

        The shards stand in the order of their entries in `order`, random numbers for each.
        """
        present = np.unique(shard_of)
        largest = max(shard_bytes[shard] for shard in present)
        if buffer_bytes < largest:
            raise ConfigError(
                f"shuffle_buffer_bytes {buffer_bytes:,} holds no shard of {largest:,} bytes; raise "
                "it, or prepare the dataset under another name with smaller data.shard_bytes"
            )
        self._circle: list[int] = present[np.argsort(order[present], kind="stable")].tolist()
        self._num_held = min(buffer_bytes // largest, len(self._circle))
        self._photo_of = np.asarray(photo_of, np.int64)
        self._of_photo = np.bincount(self._photo_of)
        by_shard = np.argsort(shard_of, kind="stable")
        ends = np.cumsum(np.bincount(shard_of))
        self._crops_of = dict(enumerate(np.split(by_shard, ends[:-1])))
        draws = _DRAWS_PER_CROP * len(shard_of)
        patches = len(self._circle) * max(1, batch_size)
        self.steps_per_move = max(1, (draws + patches // 2) // patches)
        self.needed_bytes = largest * (min(self._num_held + AHEAD, len(self._circle)) + _SPARE)
        """Size of the shards that have to be on the disk at a time."""
        self._section: tuple[int, Section] | None = None

    def __str__(self) -> str:
        return (
            f"{self._num_held} of {len(self._circle)} shards, of which one is replaced every "
            f"{self.steps_per_move} steps; needs {size(self.needed_bytes)} of disk"
        )

    def section(self, step: int) -> Section:
        """The crops that the patches of a step are drawn from."""
        move = step // self.steps_per_move % len(self._circle)
        if self._section is None or self._section[0] != move:
            self._section = move, self._gather(move)
        return self._section[1]

    def draw(self, step: int, bits: list[int], of_crop: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers of crops from 64 random bits for the photo and 32 for the crop of each.

        Photos are distinct while there are enough; otherwise each is drawn before any again.
        """
        section = self.section(step)
        photos = _distinct_by_weight(bits, section.ends)
        within = (of_crop * section.num_crops[photos]) >> 32
        crops: NDArray[np.int64] = section.crops[section.first[photos] + within]
        return crops

    def _gather(self, move: int) -> Section:
        circle = self._circle
        reach = min(self._num_held + AHEAD, len(circle))
        shards = tuple(circle[(move + place) % len(circle)] for place in range(reach))
        crops = np.sort(np.concatenate([self._crops_of[s] for s in shards[: self._num_held]]))
        photos = self._photo_of[crops]
        first = np.flatnonzero(np.diff(photos, prepend=-1))
        num_crops = np.diff(first, append=len(photos))
        weights = np.maximum(1, num_crops * _WHOLE_PHOTO // self._of_photo[photos[first]])
        return Section(shards, crops, first, num_crops, np.cumsum(weights))


def _distinct_by_weight(bits: list[int], ends: NDArray[np.int64]) -> list[int]:
    """An index for each draw of 64 bits, with chances by weights of which `ends` are the sums.

    No index comes again before all have been drawn.
    """
    total = int(ends[-1])
    taken: list[tuple[int, int]] = []
    """Begin and length of what has been drawn, on the line of all weights."""
    left, values = total, []
    for draw in bits:
        if not left:
            taken, left = [], total
        place = (draw * left) >> 64
        for begin, length in taken:
            if place < begin:
                break
            place += length
        index = int(np.searchsorted(ends, place, side="right"))
        begin = int(ends[index - 1]) if index else 0
        length = int(ends[index]) - begin
        insort(taken, (begin, length))
        left -= length
        values.append(index)
    return values
