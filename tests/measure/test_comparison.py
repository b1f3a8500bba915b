"""Contestants on the same crops, and the picture of it."""

import io
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from srgan.data.dataset import Crops
from srgan.errors import DataError, ImageError
from srgan.measure.comparison import BICUBIC, compare, tried, with_bicubic
from srgan.measure.evaluation import means
from srgan.measure.figures import means_table, trained_on_judge_note
from srgan.measure.guards import NOT_FINITE
from srgan.measure.metrics import psnr, ssim
from srgan.measure.pictures import comparison_picture
from srgan.resize import imresize

SCALE = 4
Pixels = NDArray[np.uint8]


def crops_of(images: Sequence[Pixels], photos: Sequence[int] | None = None) -> Crops:
    """Held-out crops without a bucket; by default each is a photo of its own."""
    count = len(images)
    return Crops(
        size=images[0].shape[0],
        names=[f"photo-{index}.png" for index in range(count)],
        photo_of=np.array(range(count) if photos is None else photos, np.int64),
        shards=[np.stack(images)],
        shard_of=np.zeros(count, np.int64),
        row_of=np.arange(count, dtype=np.int64),
    )


def nearest(lr: Pixels) -> Pixels:
    return lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def ignore(done: int, total: int) -> None:
    pass


def test_figures_are_those_of_the_metrics_with_a_border_of_the_scale(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr = draw_photo(1, 64, 64)
    lr = imresize(hr, scale=1 / SCALE)
    (found,) = compare(
        crops_of([hr]), with_bicubic({"model": nearest}, SCALE), scale=SCALE, progress=ignore
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
    crops = crops_of([draw_photo(seed, 64, 64) for seed in range(3)])
    methods = with_bicubic({"model": nearest}, SCALE)
    for image in compare(crops, methods, scale=SCALE, progress=ignore):
        assert image.figures[BICUBIC].psnr > image.figures["model"].psnr


def test_flat_crops_do_not_make_the_means_infinite(draw_photo: Callable[..., Pixels]) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    images = compare(
        crops_of([black, draw_photo(1, 64, 64)]),
        with_bicubic({}, SCALE),
        scale=SCALE,
        progress=ignore,
    )
    assert [image.crop for image in images] == [1]
    assert np.isfinite(means(images)[BICUBIC].psnr)


def test_nothing_to_compare_on_is_an_error() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(DataError, match="none of the 2 held-out crops"):
        compare(crops_of([black, black]), with_bicubic({}, 4), scale=4, progress=ignore)


def test_means_count_every_image_alike(draw_photo: Callable[..., Pixels]) -> None:
    crops = crops_of([draw_photo(seed, 64, 64) for seed in range(2)])
    images = compare(crops, with_bicubic({}, SCALE), scale=SCALE, progress=ignore)
    each = [image.figures[BICUBIC].psnr for image in images]
    assert means(images)[BICUBIC].psnr == pytest.approx(sum(each) / 2)


def test_the_picture_has_a_column_per_method_and_shows_each_photo_once(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_of([draw_photo(seed, 96, 96) for seed in range(3)], photos=[0, 0, 1])
    picture = comparison_picture(crops, with_bicubic({"model": nearest}, SCALE), scale=SCALE)
    shown = Image.open(io.BytesIO(picture))
    columns, rows = 3, 2
    assert shown.width >= columns * 256
    assert rows * 256 <= shown.height < (rows + 1) * 256


def test_the_picture_shows_the_window_with_the_strongest_edges() -> None:
    hr = np.full((128, 128, 3), 128, np.uint8)
    hr[80:110, 80:110] = 255
    picture = comparison_picture(crops_of([hr]), with_bicubic({}, SCALE), scale=SCALE)
    original = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))[-256:, -256:]
    assert (original == 255).sum() == (30 * 4) ** 2, "the square should be shown whole, enlarged"


def test_a_table_names_the_methods_in_the_order_of_their_making() -> None:
    table = means_table(
        {"model": {"psnr": 29.5, "ssim": 0.81}, "bicubic": {"psnr": 28.25, "ssim": 0.8}}
    )
    assert table.markdown().splitlines()[2:] == [
        "| Bicubic | 28.250 dB | 0.8000 |",
        "| SRGAN | 29.500 dB | 0.8100 |",
    ]


def test_a_table_says_whose_distance_is_by_the_network_it_learned_from() -> None:
    figures = {"psnr": 28.25, "ssim": 0.8}
    table = means_table(
        {
            "bicubic": {**figures, "squeezenet_distance": 2.5},
            "model": {**figures, "squeezenet_distance": 1.25},
            "champion": figures,
        },
        {"squeezenet_distance": ["model"]},
    )
    assert table.markdown().splitlines() == [
        "|  | PSNR (Y) | SSIM (Y) | SqueezeNet distance\N{NO-BREAK SPACE}↓ |",
        "|---|---:|---:|---:|",
        "| Bicubic | 28.250 dB | 0.8000 | 2.5000 |",
        "| SRGAN | 28.250 dB | 0.8000 | 1.2500 (trained on the judge) |",
        "| Champion | 28.250 dB | 0.8000 | – |",
    ]


def test_a_caption_says_who_was_trained_on_the_judge() -> None:
    assert trained_on_judge_note({}) == ""
    assert trained_on_judge_note({"squeezenet_distance": ["model", "champion"]}) == (
        "squeezenet_distance: SRGAN, Champion trained on the judge"
    )


def test_every_crop_has_the_signs_that_the_guards_look_at(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_of([draw_photo(1, 64, 64)])
    methods = with_bicubic({"model": lambda lr: nearest(lr) // 2}, SCALE)
    (found,) = compare(crops, methods, scale=SCALE, progress=ignore)
    assert found.signs.keys() == {BICUBIC, "model"}
    assert abs(found.signs[BICUBIC].brightness_shift) < 1
    assert found.signs["model"].brightness_shift < -20


def gives_no_numbers(lr: Pixels) -> Pixels:
    raise ImageError("not_finite", "all NaN")


def test_an_output_that_is_no_image_has_no_figures_and_its_picture_is_black(
    draw_photo: Callable[..., Pixels],
) -> None:
    crops = crops_of([draw_photo(1, 64, 64)])
    methods = with_bicubic({"model": gives_no_numbers}, SCALE)
    images = compare(crops, methods, scale=SCALE, progress=ignore)
    assert images[0].signs["model"] == NOT_FINITE
    assert np.isnan(means(images)["model"].psnr)
    assert np.isfinite(means(images)[BICUBIC].psnr)
    picture = comparison_picture(crops, methods, scale=SCALE)
    assert (np.asarray(Image.open(io.BytesIO(picture)).convert("L")) == 0).sum() >= 256**2


def test_an_image_that_cannot_be_upscaled_for_another_reason_is_an_error(
    draw_photo: Callable[..., Pixels],
) -> None:
    def fails(lr: Pixels) -> Pixels:
        raise ImageError("unsupported", "of another kind")

    with pytest.raises(ImageError, match="of another kind"):
        tried(fails, draw_photo(1, 16, 16))
