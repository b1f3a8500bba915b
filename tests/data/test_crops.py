"""Windows cover a photo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srgan.config import DataConfig
from srgan.data.crops import cut, cut_shrunk, detail, training_crops, windows
from srgan.resize import imresize


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
