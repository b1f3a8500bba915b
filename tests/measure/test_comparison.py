"""Contestants measured on the same crops."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from srgan.errors import DataError, ImageError
from srgan.measure.comparison import compare, upscale_or_none, with_bicubic
from srgan.measure.evaluation import BICUBIC, means
from srgan.measure.guards import NOT_FINITE
from srgan.measure.metrics import psnr, ssim
from srgan.resize.arrays import imresize
from tests.support.contents import crops_from, gives_nan, nearest

SCALE = 4
Pixels = NDArray[np.uint8]


def ignore(done: int, total: int) -> None:
    pass


def test_figures_are_those_of_the_metrics_with_a_border_of_the_scale(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr = draw_photo(1, 64, 64)
    lr = imresize(hr, scale=1 / SCALE)
    (found,) = compare(
        crops_from([hr]), with_bicubic({"model": nearest}, SCALE), scale=SCALE, progress=ignore
    )
    assert list(found.figures) == [BICUBIC, "model"]
    assert found.figures[BICUBIC].psnr == psnr(hr, imresize(lr, scale=SCALE), border=SCALE)
    assert found.figures["model"].ssim == ssim(hr, nearest(lr), border=SCALE)
    assert found.source == "photo-0.png"


def test_a_grayscale_photo_is_compared_as_it_is(draw_photo: Callable[..., Pixels]) -> None:
    hr = draw_photo(1, 64, 64)[..., 0]

    class Gray(list[Pixels]):
        names = ("gray.png",)

    found = compare(
        Gray([hr]), with_bicubic({"model": nearest}, SCALE), scale=SCALE, progress=ignore
    )
    lr = imresize(hr, scale=1 / SCALE)
    assert found[0].figures[BICUBIC].psnr == psnr(hr, imresize(lr, scale=SCALE), border=SCALE)
    assert found[0].figures["model"].psnr == psnr(hr, nearest(lr), border=SCALE)
    assert found[0].signs["model"].colour_shift == pytest.approx(0)


def test_bicubic_beats_nearest_on_every_photo(draw_photo: Callable[..., Pixels]) -> None:
    crops = crops_from([draw_photo(seed, 64, 64) for seed in range(3)])
    methods = with_bicubic({"model": nearest}, SCALE)
    for image in compare(crops, methods, scale=SCALE, progress=ignore):
        assert image.figures[BICUBIC].psnr > image.figures["model"].psnr


def test_degraded_images_are_what_methods_get_and_guards_compare_with_the_undamaged(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr = draw_photo(1, 64, 64)
    noise = np.random.default_rng(1).integers(0, 200, (16, 16, 3), dtype=np.uint8)
    crops, methods = crops_from([hr]), with_bicubic({"model": nearest}, SCALE)
    (plain,) = compare(crops, methods, scale=SCALE, progress=ignore)
    (found,) = compare(crops, methods, scale=SCALE, progress=ignore, lr_of=lambda index: noise)
    assert found.figures["model"].psnr == psnr(hr, nearest(noise), border=SCALE)
    assert found.figures[BICUBIC].psnr == psnr(hr, imresize(noise, scale=SCALE), border=SCALE)
    assert plain.signs[BICUBIC].contrast == 1
    assert found.signs[BICUBIC].contrast != 1


def test_flat_crops_do_not_make_the_means_infinite(draw_photo: Callable[..., Pixels]) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    images = compare(
        crops_from([black, draw_photo(1, 64, 64)]),
        with_bicubic({}, SCALE),
        scale=SCALE,
        progress=ignore,
    )
    assert [image.crop for image in images] == [1]
    assert np.isfinite(means(images)[BICUBIC].psnr)


def test_nothing_to_compare_on_is_an_error() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="none of the 2 held-out crops"):
        compare(crops_from([black, black]), with_bicubic({}, 4), scale=4, progress=ignore)


def test_each_image_says_how_large_it_is(draw_photo: Callable[..., Pixels]) -> None:
    crops = crops_from([draw_photo(1, 64, 48)])
    (image,) = compare(crops, with_bicubic({}, SCALE), scale=SCALE, progress=ignore)
    assert image.size == crops[0].shape[:2]
    assert set(image.size) == {64, 48}


def test_all_images_have_the_same_weight_in_the_mean(draw_photo: Callable[..., Pixels]) -> None:
    crops = crops_from([draw_photo(seed, 64, 64) for seed in range(2)])
    images = compare(crops, with_bicubic({}, SCALE), scale=SCALE, progress=ignore)
    each = [image.figures[BICUBIC].psnr for image in images]
    assert means(images)[BICUBIC].psnr == pytest.approx(sum(each) / 2)


def test_every_crop_has_the_artifacts_that_the_guards_look_at(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_from([draw_photo(1, 64, 64)])
    methods = with_bicubic({"model": lambda lr: nearest(lr) // 2}, SCALE)
    (found,) = compare(crops, methods, scale=SCALE, progress=ignore)
    assert found.signs.keys() == {BICUBIC, "model"}
    assert abs(found.signs[BICUBIC].brightness_shift) < 1
    assert found.signs["model"].brightness_shift < -20


def test_an_output_of_nan_has_nan_figures(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_from([draw_photo(1, 64, 64)])
    methods = with_bicubic({"model": gives_nan}, SCALE)
    images = compare(crops, methods, scale=SCALE, progress=ignore)
    assert images[0].signs["model"] == NOT_FINITE
    assert np.isnan(means(images)["model"].psnr)
    assert np.isfinite(means(images)[BICUBIC].psnr)


def test_an_image_that_cannot_be_upscaled_for_another_reason_is_an_error(
    draw_photo: Callable[..., Pixels],
) -> None:
    def fails(lr: Pixels) -> Pixels:
        raise ImageError("unsupported", "another kind")

    with pytest.raises(ImageError, match="another kind"):
        upscale_or_none(fails, draw_photo(1, 16, 16))
