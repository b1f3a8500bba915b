"""Draws of training ranks and evaluations."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from srgan.data.crops import join_pair
from srgan.data.dataset import (
    Crops,
    Patches,
    _distinct,
    hold_out,
    share_of,
    shares_of,
    split_pairs,
)
from srgan.errors import ConfigError, DataError, StorageError
from tests.support.workshop import Workshop

_SIZE = 16


def _made(num_photos: int, crops_per_photo: int = 3) -> Crops:
    """Crops whose pixels say which photo, which crop and which place they are."""
    count = num_photos * crops_per_photo
    shard = np.empty((count, _SIZE, _SIZE, 3), np.uint8)
    shard[..., 0] = np.arange(count).reshape(-1, 1, 1)
    shard[..., 1] = np.arange(_SIZE).reshape(1, -1, 1)
    shard[..., 2] = np.arange(_SIZE).reshape(1, 1, -1)
    return Crops(
        size=_SIZE,
        names=[f"raw/{index // crops_per_photo}" for index in range(count)],
        photo_of=[index // crops_per_photo for index in range(count)],
        shards=[shard],
        shard_of=np.zeros(count, np.int64),
        row_of=np.arange(count),
    )


def _patches(crops: Crops, batch_size: int = 12, window: int = 8, **options: int) -> Patches:
    settings = {"seed": 3, "augment": True} | options
    return Patches(
        crops,
        batch_size=batch_size,
        window=window,
        seed=settings["seed"],
        augment=bool(settings["augment"]),
        shuffle_colours=bool(settings.get("shuffle_colours")),
    )


def _photos_in(batch: NDArray[np.uint8], crops_per_photo: int = 3) -> list[int]:
    return [int(patch[0, 0, 0]) // crops_per_photo for patch in batch]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 4, 6])
def test_any_number_of_ranks_sees_the_same_global_batch(num_ranks: int) -> None:
    patches = _patches(_made(20))
    whole = patches.batch(7, rank=0, num_ranks=1)
    parts = [patches.batch(7, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert whole.shape == (12, 3, 8, 8)
    assert whole.flags.c_contiguous


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    crops = _made(20)
    batch = _patches(crops).batch(5, rank=0, num_ranks=1)
    np.testing.assert_array_equal(batch, _patches(crops).batch(5, rank=0, num_ranks=1))
    assert (batch != _patches(crops).batch(6, rank=0, num_ranks=1)).any()
    assert (batch != _patches(crops, seed=-4).batch(5, rank=0, num_ranks=1)).any()


def test_photos_within_a_batch_are_distinct_when_there_are_enough() -> None:
    patches = _patches(_made(12))
    for step in range(50):
        photos = _photos_in(patches.batch(step, rank=0, num_ranks=1))
        assert sorted(photos) == list(range(12))


def test_too_few_photos_are_drawn_equally_often() -> None:
    for step in range(50):
        photos = _photos_in(_patches(_made(5)).batch(step, rank=0, num_ranks=1))
        assert sorted(Counter(photos).values()) == [2, 2, 2, 3, 3]


def test_all_photos_crops_places_and_turns_are_drawn_alike() -> None:
    patches = _patches(_made(20, 2), batch_size=20, window=13)
    batches = np.concatenate([patches.batch(s, rank=0, num_ranks=1) for s in range(400)])
    crops = Counter(int(patch[0, 0, 0]) for patch in batches)
    assert len(crops) == 40
    assert max(crops.values()) < 1.5 * min(crops.values())
    places = Counter((int(p[1].min()), int(p[2].min())) for p in batches)
    assert sorted(places) == [(y, x) for y in range(4) for x in range(4)]
    assert max(places.values()) < 1.5 * min(places.values())
    turns = Counter(
        (int(p[1, 0, 0]) - int(p[1, -1, 0]), int(p[1, 0, 0]) - int(p[1, 0, -1]), *_x(p))
        for p in batches
    )
    assert len(turns) == 8
    assert max(turns.values()) < 1.3 * min(turns.values())


def _x(patch: NDArray[np.uint8]) -> tuple[int, int]:
    first = int(patch[2, 0, 0])
    return first - int(patch[2, -1, 0]), first - int(patch[2, 0, -1])


def test_without_augmentation_patches_are_as_photographed() -> None:
    for patch in _patches(_made(12), augment=0).batch(0, rank=0, num_ranks=1):
        rows, columns = np.diff(patch[1].astype(int), axis=0), np.diff(patch[2].astype(int))
        assert (rows == 1).all()
        assert (columns == 1).all()


def test_shuffled_colours_change_places_in_all_six_orders_alike_and_nothing_else() -> None:
    crops = _made(20)
    shuffled = _patches(crops, shuffle_colours=1)
    orders: Counter[tuple[int, ...]] = Counter()
    for step in range(100):
        before = _patches(crops).batch(step, rank=0, num_ranks=1)
        after = shuffled.batch(step, rank=0, num_ranks=1)
        np.testing.assert_array_equal(np.sort(after, axis=1), np.sort(before, axis=1))
        orders.update(_order(*pair) for pair in zip(before, after, strict=True))
    assert len(orders) == 6
    assert max(orders.values()) < 1.4 * min(orders.values())


def _order(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[int, ...]:
    """Where each channel of `before` is in `after`."""
    return tuple(
        next(place for place in range(3) if (after[place] == channel).all()) for channel in before
    )


def test_what_a_seed_draws_does_not_depend_on_the_release_of_numpy() -> None:
    batch = _patches(_made(20)).batch(1, rank=0, num_ranks=1)
    assert batch[:, 0, 0, 0].tolist() == [48, 30, 27, 56, 7, 25, 17, 5, 59, 35, 37, 40]
    assert batch[:, 1, 0, 0].tolist() == [7, 4, 7, 4, 12, 8, 15, 7, 7, 15, 4, 7]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40), st.integers(1, 50))
def test_draws_are_permutations_block_by_block(bits: list[int], limit: int) -> None:
    values = _distinct(bits, limit)
    assert len(values) == len(bits)
    for start in range(0, len(bits), limit):
        block = values[start : start + limit]
        assert len(set(block)) == len(block)
        assert set(block) <= set(range(limit))


@given(st.integers(1, 40), st.data())
def test_shares_in_turn_are_the_batch_and_differ_by_one_at_most(
    batch_size: int, data: st.DataObject
) -> None:
    num_ranks = data.draw(st.integers(1, batch_size))
    shares = [share_of(batch_size, rank, num_ranks) for rank in range(num_ranks)]
    assert [place for share in shares for place in share] == list(range(batch_size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_ranks_that_do_not_divide_the_batch_see_it_all() -> None:
    patches = _patches(_made(20))
    parts = [patches.batch(3, rank=rank, num_ranks=5) for rank in range(5)]
    np.testing.assert_array_equal(np.concatenate(parts), patches.batch(3, rank=0, num_ranks=1))


def test_more_ranks_than_the_batch_has_patches_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 12 leaves nothing for some of 13 workers"):
        _patches(_made(20)).batch(0, rank=0, num_ranks=13)


def test_a_window_larger_than_a_crop_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"windows of 17 pixels.*crops of 16"):
        _patches(_made(20), window=17)


def test_the_order_of_crops_depends_on_the_content_alone(workshop: Workshop) -> None:
    workshop.upload(*range(6))
    first = workshop.crops(workshop.prepare(), "train")
    first_pixels = [crop.tobytes() for crop in first]
    for key in [entry.key for entry in workshop.store.list("crops/")]:
        workshop.store.delete(key)
    for seed in range(6):
        workshop.store.put(f"raw/other-{9 - seed}.bmp", workshop.encode(workshop.draw(seed), "BMP"))
        workshop.store.delete(f"raw/{seed:03d}.png")
    again = workshop.crops(workshop.prepare(shard_bytes=2**20), "train")

    assert [crop.tobytes() for crop in again] == first_pixels
    assert set(first.names).isdisjoint(again.names)


def test_a_reference_to_another_version_is_refused(workshop: Workshop) -> None:
    workshop.upload(*range(4))
    ref = workshop.prepare().model_copy(update={"version": "0" * 64})
    with pytest.raises(StorageError, match="instead of 000"):
        workshop.crops(ref, "eval")


def test_one_training_photo_in_ten_is_kept_for_validation_with_all_its_crops() -> None:
    crops = _made(25)
    learned, held_out = hold_out(crops)
    assert len(learned) + len(held_out) == len(crops)
    assert set(held_out.names).isdisjoint(learned.names)
    assert len(set(held_out.names)) == 2
    assert (held_out.photo_of[0], learned.photo_of[0]) == (0, 0)
    assert [*(crop.tobytes() for crop in held_out), *(crop.tobytes() for crop in learned)] == [
        crop.tobytes() for crop in crops
    ]


@pytest.mark.parametrize(("num_photos", "held_out"), [(2, 1), (9, 1), (30, 3), (500, 16)])
def test_few_photos_give_one_to_validation_and_many_give_sixteen(
    num_photos: int, held_out: int
) -> None:
    assert len(set(hold_out(_made(num_photos))[1].names)) == held_out


def test_a_single_photo_is_both_learned_and_validated() -> None:
    crops = _made(1)
    assert hold_out(crops) == (crops, crops)


def _pairs(num_photos: int, scale: int = 2, first: int = 0) -> Crops:
    """Pairs whose LR pixels are the upper left ones of the HR pixels that they stand for."""
    crops = _made(num_photos)
    hr = [crops[index] for index in range(len(crops))]
    return Crops(
        size=_SIZE,
        names=crops.names,
        photo_of=crops.photo_of,
        shards=[np.stack([join_pair(each, each[::scale, ::scale]) for each in hr])],
        shard_of=crops.shard_of,
        row_of=crops.row_of,
        scale=scale,
        pictures=[str(first + photo) for photo in range(num_photos)],
    )


def _origin(patch: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """A patch (3, W, W) as it was before one of the eight flips and quarter turns."""
    back = patch.transpose(0, 2, 1) if turn & 4 else patch
    back = back[:, :, ::-1] if turn & 2 else back
    return back[:, ::-1] if turn & 1 else back


def test_both_images_of_a_pair_are_cut_turned_and_coloured_alike() -> None:
    patches = _patches(_pairs(20), shuffle_colours=1)
    turns: Counter[int] = Counter()
    for step in range(20):
        lr, hr = patches.cut_pairs(step, range(12))
        assert (lr.shape, hr.shape) == ((12, 3, 4, 4), (12, 3, 8, 8))
        draws = patches._draw(step)
        for small, large, turn in zip(lr, hr, draws.turns, strict=True):
            np.testing.assert_array_equal(
                _origin(large, turn)[:, ::2, ::2], _origin(small, turn), f"turn {turn}"
            )
        turns.update(draws.turns)
        assert len(set(draws.orders)) > 1
    assert len(turns) == 8


def test_pairs_are_drawn_from_all_places_of_lr_and_not_as_other_patches() -> None:
    crops = _pairs(20)
    pairs = _patches(crops, window=14, augment=0, batch_size=20)
    drawn = [pairs.cut_pairs(step, range(20))[1] for step in range(50)]
    places = {(int(patch[1, 0, 0]), int(patch[2, 0, 0])) for batch in drawn for patch in batch}
    assert places == {(y, x) for y in (0, 2) for x in (0, 2)}
    others = _patches(_made(20), window=14, augment=0, batch_size=20).batch(0, rank=0, num_ranks=1)
    assert drawn[0][:, 0, 0, 0].tolist() != others[:, 0, 0, 0].tolist()


@given(st.integers(1, 40), st.data())
def test_ranks_share_pairs_and_other_patches_evenly_and_leave_none(
    batch_size: int, data: st.DataObject
) -> None:
    num_pairs = data.draw(st.integers(0, batch_size))
    num_ranks = data.draw(st.integers(1, batch_size))
    shares = [shares_of(batch_size, num_pairs, rank, num_ranks) for rank in range(num_ranks)]
    assert [place for pairs, _ in shares for place in pairs] == list(range(num_pairs))
    others = [place for _, rest in shares for place in rest]
    assert others == list(range(batch_size - num_pairs))
    for rank, (pairs, rest) in enumerate(shares):
        assert len(pairs) + len(rest) == len(share_of(batch_size, rank, num_ranks))
        assert abs(len(pairs) - num_pairs * (len(pairs) + len(rest)) / batch_size) < 1


def test_the_ranks_pairs_in_turn_are_those_of_one_rank() -> None:
    patches = _patches(_pairs(20), batch_size=6)
    whole = patches.cut_pairs(4, range(6))
    parts = [patches.cut_pairs(4, shares_of(16, 6, rank, 3)[0]) for rank in range(3)]
    for place in range(2):
        np.testing.assert_array_equal(np.concatenate([p[place] for p in parts]), whole[place])


def _photos(num_photos: int, first: int) -> Crops:
    crops = _made(num_photos)
    crops.pictures = [str(first + photo) for photo in range(num_photos)]
    return crops


def test_no_pair_shows_the_training_what_validation_or_gate_measure() -> None:
    trained, held_out = _photos(20, 0), _photos(4, 20)
    pairs, validated, others = split_pairs(_pairs(30), trained, held_out, {"24", "25"})
    assert list(validated.pictures) == ["20", "21", "22", "23"]
    assert list(pairs.pictures) == [str(n) for n in [*range(20), *range(26, 30)]]
    assert list(others.pictures) == list(trained.pictures)
    assert pairs.photo_of[-1] == 23
    np.testing.assert_array_equal(pairs.lr(len(pairs) - 1), _pairs(30).lr(89))


def test_pairs_of_other_photos_than_those_held_out_give_validation_a_tenth() -> None:
    trained = _photos(20, 0)
    pairs, validated, others = split_pairs(_pairs(30, first=5), trained, _photos(4, 90), set())
    assert list(validated.pictures) == ["5", "6", "7"]
    assert not set(pairs.pictures) & set(validated.pictures)
    assert list(others.pictures) == [str(n) for n in range(20) if n not in (5, 6, 7)]


def test_no_other_lr_photo_of_what_validation_measures_is_trained_on() -> None:
    pairs = _pairs(20)
    pairs.pictures = [str(photo // 5) for photo in range(20)]
    others, validated, _ = split_pairs(pairs, _photos(20, 30), _photos(4, 90), set())
    assert set(validated.pictures) == {"0"}
    assert set(others.pictures) == {"1", "2", "3"}


def test_pairs_that_show_nothing_else_than_held_out_photos_are_refused() -> None:
    with pytest.raises(DataError, match="add pairs of other photos"):
        split_pairs(_pairs(3), _photos(20, 10), _photos(4, 90), {"0", "1", "2"})
