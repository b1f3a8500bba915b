"""The part of a large dataset that a step draws from."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from srgan.data.buffer import AHEAD, ShuffleBuffer, _distinct_by_weight
from srgan.errors import ConfigError

BATCH = 4
SHARD_BYTES = 100


def made(
    shards: list[list[int]],
    *,
    buffer_bytes: int = 5 * SHARD_BYTES,
    batch_size: int = BATCH,
    seed: int = 0,
) -> ShuffleBuffer:
    """A buffer over shards that are given by the photo of each of their crops."""
    crops = sorted((photo, shard) for shard, photos in enumerate(shards) for photo in photos)
    return ShuffleBuffer(
        [photo for photo, _ in crops],
        np.array([shard for _, shard in crops]),
        [SHARD_BYTES] * len(shards),
        buffer_bytes=buffer_bytes,
        batch_size=batch_size,
        order=random(seed, len(shards)),
    )


def random(seed: int, count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, count, np.uint64)


def one_photo_each(num_shards: int, crops: int = 6) -> list[list[int]]:
    return [[shard] * crops for shard in range(num_shards)]


def drawn(buffer: ShuffleBuffer, step: int, batch_size: int = BATCH) -> list[int]:
    bits = random(1000 + step, 2 * batch_size)
    of_crop = (bits[batch_size:] >> np.uint64(32)).astype(np.int64)
    return [int(crop) for crop in buffer.draw(step, bits[:batch_size].tolist(), of_crop)]


def test_a_shard_stays_for_as_many_steps_as_any_other_and_in_the_seeds_order() -> None:
    buffer = made(one_photo_each(20))
    steps = range(20 * buffer.steps_per_move)
    held = [buffer.section(step).shards[:5] for step in steps]
    stays = Counter(shard for shards in held for shard in shards)
    assert set(stays.values()) == {5 * buffer.steps_per_move}
    assert len(stays) == 20
    for before, after in pairwise(held):
        assert after in (before, (*before[1:], after[-1])), "one enters when the oldest leaves"
    assert buffer.section(len(steps)).shards[:5] == held[0], "the next round is the same"
    assert made(one_photo_each(20), seed=1).section(0).shards[:5] != held[0]


def test_the_shards_that_enter_next_are_named_in_their_order() -> None:
    buffer = made(one_photo_each(20))
    now = buffer.section(0).shards
    assert len(now) == len(set(now)) == 5 + AHEAD
    later = buffer.section(3 * buffer.steps_per_move).shards
    assert now[3:] == later[: len(now) - 3]


def test_only_crops_of_shards_in_the_buffer_are_drawn_each_about_four_times_in_a_round() -> None:
    shards = one_photo_each(30, crops=40)
    buffer = made(shards)
    counts: Counter[int] = Counter()
    for step in range(30 * buffer.steps_per_move):
        crops = drawn(buffer, step)
        assert {crop // 40 for crop in crops} <= set(buffer.section(step).shards[:5])
        counts.update(crops)
    assert len(counts) > 0.97 * 1200
    assert sum(counts.values()) == pytest.approx(4 * 1200, rel=0.05)


def test_a_photo_counts_no_more_for_its_crops_or_for_lying_in_several_shards() -> None:
    # Photo 0 fills a shard and parts of two others; all others have four crops in one shard.
    shards = [[0] * 12, [0] * 8 + [1] * 4, [0] * 4 + [2] * 4 + [3] * 4]
    shards += [[4 + 3 * n] * 4 + [5 + 3 * n] * 4 + [6 + 3 * n] * 4 for n in range(37)]
    buffer = made(shards, buffer_bytes=12 * SHARD_BYTES)
    photo_of = np.sort([photo for shard in shards for photo in shard])
    counts: Counter[int] = Counter()
    for step in range(40 * buffer.steps_per_move * 8):  # eight rounds
        counts.update(photo_of[drawn(buffer, step)].tolist())
    mean = np.mean([counts[photo] for photo in range(1, 115)])
    assert counts[0] == pytest.approx(mean, rel=0.35)
    assert len(counts) == 115


def test_photos_within_a_batch_are_distinct_when_the_buffer_has_enough() -> None:
    buffer = made([[4 * n + photo for photo in range(4)] * 2 for n in range(20)])
    for step in range(200):
        photos = [crop // 2 for crop in drawn(buffer, step, 12)]
        assert len(set(photos)) == 12
    few = made(one_photo_each(20), buffer_bytes=3 * SHARD_BYTES)
    for step in range(50):
        photos = [crop // 6 for crop in drawn(few, step, 8)]
        assert sorted(Counter(photos).values()) == [2, 3, 3]


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40),
    st.lists(st.integers(1, 2**20), min_size=1, max_size=30),
)
def test_draws_by_weight_take_each_before_any_again(bits: list[int], weights: list[int]) -> None:
    values = _distinct_by_weight(bits, np.cumsum(weights))
    assert len(values) == len(bits)
    for start in range(0, len(bits), len(weights)):
        block = values[start : start + len(weights)]
        assert len(set(block)) == len(block)
        assert set(block) <= set(range(len(weights)))


def test_the_first_draw_is_by_weight() -> None:
    bits = random(5, 4000).tolist()
    counts = Counter(_distinct_by_weight([draw], np.cumsum([1, 2, 5]))[0] for draw in bits)
    assert [counts[index] / 4000 for index in range(3)] == pytest.approx([1 / 8, 2 / 8, 5 / 8], 0.1)


def test_a_buffer_that_holds_no_shard_is_refused_with_both_sizes() -> None:
    with pytest.raises(ConfigError, match=r"shuffle_buffer_bytes 99 holds no shard of 100 bytes"):
        made(one_photo_each(3), buffer_bytes=99)


def test_a_shard_without_training_crops_never_enters() -> None:
    buffer = made([[0] * 4, [], [1] * 4, [2] * 4], buffer_bytes=SHARD_BYTES)
    assert set(buffer.section(0).shards) == {0, 2, 3}
