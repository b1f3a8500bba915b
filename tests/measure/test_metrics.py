"""PSNR and SSIM against their definitions."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from srgan.measure.metrics import psnr, ssim


def image(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def level(value: int, *shape: int) -> NDArray[np.uint8]:
    return np.full(shape, value, np.uint8)


def test_psnr_of_a_constant_error_in_grayscale_is_its_definition() -> None:
    assert psnr(level(100, 20, 20), level(110, 20, 20), border=4) == pytest.approx(
        20 * math.log10(255 / 10)
    )


def test_psnr_of_colours_is_taken_on_studio_range_luma() -> None:
    gray = psnr(level(100, 20, 20, 3), level(110, 20, 20, 3), border=4)
    assert gray == pytest.approx(20 * math.log10(255 / (10 * 219 / 255)), abs=1e-3)
    hr, red, blue = level(100, 8, 8, 3), level(100, 8, 8, 3), level(100, 8, 8, 3)
    red[:, :, 0] += 10
    blue[:, :, 2] += 10
    difference = psnr(hr, blue, border=0) - psnr(hr, red, border=0)
    assert difference == pytest.approx(20 * math.log10(65.481 / 24.966))


def test_identical_images_have_infinite_psnr_and_ssim_one() -> None:
    hr = image(30, 30, 3)
    assert psnr(hr, hr, border=4) == math.inf
    assert ssim(hr, hr, border=4) == pytest.approx(1)


def test_without_a_border_it_is_the_4_pixels_of_the_papers_tables() -> None:
    hr, sr = image(32, 40, 3), image(32, 40, 3)[::-1].copy()
    for metric in (psnr, ssim):
        assert metric(hr, sr) == metric(hr, sr, 4) == metric(hr, sr, border=4)
        assert metric(hr, sr) != metric(hr, sr, border=3)


def test_the_border_does_not_count() -> None:
    hr = image(32, 40, 3)
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert psnr(hr, sr, border=4) == math.inf
    assert ssim(hr, sr, border=4) == pytest.approx(1)
    assert psnr(hr, sr, border=3) < 40


def test_ssim_of_two_flat_images_compares_their_levels() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)
    assert ssim(level(100, 20, 20), level(140, 20, 20), border=0) == pytest.approx(expected)


def test_ssim_of_a_single_window_is_wangs_formula() -> None:
    hr, sr = image(11, 11, seed=1), image(11, 11, seed=2)
    offset = np.arange(-5, 6)
    weights = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    weights /= weights.sum()
    x, y = hr.astype(float), sr.astype(float)
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(hr, sr, border=0) == pytest.approx(expected)


def test_ssim_is_that_of_wangs_script_and_not_of_a_function_that_pads_the_image() -> None:
    hr, sr = image(24, 30, seed=1), image(24, 30, seed=2)
    _, everywhere = structural_similarity(
        hr.astype(float),
        sr.astype(float),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    valid = everywhere[5:-5, 5:-5].mean()
    assert ssim(hr, sr, border=0) == pytest.approx(valid, abs=1e-9)
    assert abs(everywhere.mean() - valid) > 1e-3


@pytest.mark.parametrize("metric", [psnr, ssim])
@pytest.mark.parametrize(
    ("hr", "sr", "message"),
    [
        (image(20, 20, 3), image(20, 24, 3), r"\(20, 20, 3\).*\(20, 24, 3\)"),
        (image(20, 20), image(20, 20, 3), r"\(20, 20\).*\(20, 20, 3\)"),
        (image(20, 20), image(20, 20) / 255, "uint8.*float64"),
        (image(20, 20, 4), image(20, 20, 4), r"\(20, 20, 4\)"),
        (image(8, 20), image(8, 20), "border of 4 leaves nothing"),
    ],
)
def test_images_that_cannot_be_compared_are_named(metric, hr, sr, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        metric(hr, sr, border=4)


def test_ssim_says_when_its_window_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"needs 11 pixels.*\(10, 12\)"):
        ssim(image(18, 20), image(18, 20), border=4)
