"""Squares that a photo is cut into, and photos that are held out."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srgan.config import DataConfig
from srgan.data.crops import assign, cut, cut_shrunk, detail, side, training_crops, windows
from srgan.resize.arrays import imresize


@given(st.integers(8, 70), st.integers(8, 70))
def test_windows_cover_every_pixel_and_lie_inside(height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for y, x in windows(height, width, 8):
        assert 0 <= y <= height - 8
        assert 0 <= x <= width - 8
        covered[y : y + 8, x : x + 8] += 1
    assert covered.min() == 1
    assert len(windows(height, width, 8)) == -(-height // 8) * -(-width // 8)


def test_the_last_window_is_flush_with_the_edge() -> None:
    assert windows(8, 20, 8) == [(0, 0), (0, 8), (0, 12)]
    assert windows(16, 8, 8) == [(0, 0), (8, 0)]


def reached(height: int, width: int, size: int, window: int) -> float:
    """Share of a photo's places for a window that lie within one of its crops."""
    seen = np.zeros((height - window + 1, width - window + 1), bool)
    inside = size - window + 1
    for y, x in windows(height, width, size):
        seen[y : y + inside, x : x + inside] = True
    return float(seen.mean())


def test_crops_of_256_let_training_reach_most_of_a_small_photo() -> None:
    window = 96 + 2 * 8  # the patch and the margin of ×4
    assert reached(321, 481, 128, window) == pytest.approx(0.045, abs=0.001)
    assert reached(321, 481, 192, window) == pytest.approx(0.507, abs=0.001)
    assert reached(321, 481, 256, window) == pytest.approx(0.784, abs=0.001)


def test_a_photo_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="no window of 8 pixels fits into 7 × 30"):
        windows(7, 30, 8)


def test_crops_are_the_pixels_below_the_windows() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 11, 3), np.uint8)
    crops = list(cut(photo, 8))
    assert len(crops) == 6
    np.testing.assert_array_equal(crops[-1], photo[12:, 3:])


def test_a_photo_is_cut_again_at_each_size_that_still_holds_a_crop() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 16, 3), np.uint8)
    crops = list(cut_shrunk(photo, 8, (0.75, 0.25)))
    expected = [*cut(photo, 8), *cut(imresize(photo, scale=0.75), 8)]
    assert len(crops) == len(expected) == 6 + 4
    np.testing.assert_array_equal(np.stack(crops), np.stack(expected))


def leaves(seed: int = 0) -> np.ndarray:
    """A photo (16, 24, 3) whose left third is flat and whose right third is rich."""
    photo = np.full((16, 24, 3), 100, np.uint8)
    random = np.random.default_rng(seed)
    photo[:, 8:16] += random.integers(0, 10, (16, 8, 3), np.uint8)
    photo[:, 16:] = random.integers(0, 256, (16, 8, 3), np.uint8)
    return photo


def test_detail_is_what_bicubic_loses_in_levels() -> None:
    assert detail(np.full((8, 8, 3), 77, np.uint8), 4) == 0
    chequered = np.indices((8, 8)).sum(0) % 2 * 100
    crop = np.repeat(chequered[..., None], 3, axis=2).astype(np.uint8)
    assert detail(crop, 4) == pytest.approx(50, abs=1)


def test_training_crops_without_detail_are_left_out() -> None:
    config = DataConfig(scale=4, crop_size=8, least_detail=20)
    kept = list(training_crops(leaves(), config))
    np.testing.assert_array_equal(np.stack(kept), np.stack([leaves()[:8, 16:], leaves()[8:, 16:]]))


def test_a_photo_that_is_flat_everywhere_keeps_its_richest_crop() -> None:
    config = DataConfig(scale=4, crop_size=8, least_detail=200)
    (kept,) = training_crops(leaves(), config)
    crops = list(cut(leaves(), 8))
    amounts = [detail(crop, 4) for crop in crops]
    np.testing.assert_array_equal(kept, crops[int(np.argmax(amounts))])


def test_by_default_all_crops_are_kept() -> None:
    assert len(list(training_crops(leaves(), DataConfig(scale=4, crop_size=8)))) == 6


def _digests(count: int) -> list[str]:
    return [hashlib.sha256(bytes([index])).hexdigest() for index in range(count)]


def test_the_share_held_out_is_about_the_one_asked_for() -> None:
    digests = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(2000)]
    assert 150 < sum(side(each, 0.1) == "eval" for each in digests) < 250


def test_photos_keep_their_side_when_the_share_changes() -> None:
    old, new = _digests(40)[:20], _digests(40)[20:]
    before = assign(old, {}, 0.5)
    after = assign(old + new, before, 0.01)
    assert {each: after[each] for each in old} == before
    assert {after[each] for each in new} == {"train"}


def test_an_empty_eval_side_takes_the_photo_with_the_lowest_digest() -> None:
    digests = _digests(6)
    splits = assign(digests, {}, 1e-9)
    assert [each for each, split in splits.items() if split == "eval"] == [min(digests)]


def test_an_empty_train_side_takes_the_photo_with_the_highest_digest() -> None:
    digests = _digests(6)
    splits = assign(digests, {}, 1 - 1e-9)
    assert [each for each, split in splits.items() if split == "train"] == [max(digests)]


def test_an_empty_eval_side_takes_a_new_photo_before_one_that_was_trained_on() -> None:
    old, new = sorted(_digests(6))[:4], sorted(_digests(6))[4:]
    splits = assign(old + new, dict.fromkeys(old, "train"), 1e-9)
    assert [each for each, split in splits.items() if split == "eval"] == [new[0]]
