"""The generators that come with the project, on a photograph that they have not seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

import srgan
from srgan.measure.metrics import psnr
from srgan.models.interchange import load_generator
from srgan.models.shipped import SHIPPED, read_shipped, shipped_card
from srgan.resize.arrays import imresize

Image = NDArray[np.uint8]

MAX_BYTES = 4_000_000


@pytest.fixture(scope="module")
def photo() -> Image:
    """Part of a photograph, uint8 (256, 256, 3)."""
    data = pytest.importorskip("skimage.data")
    whole: Image = data.astronaut()
    return whole[:256, 128:384]


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_small_and_as_its_card_says(name: str) -> None:
    data = read_shipped(name)
    assert len(data) <= MAX_BYTES
    config = load_generator(data).config
    assert config is not None
    assert (config.scale, config.kind) == (4, "bicubic_resnet")
    assert f"`{name}`" in shipped_card()


def test_the_plain_one_is_clearly_above_bicubic_on_a_new_photo(photo: Image) -> None:
    lr = imresize(photo, scale=0.25)
    ours = psnr(photo, srgan.upscale(lr), border=4)
    bicubic = psnr(photo, srgan.upscale(lr, "bicubic"), border=4)
    assert ours > bicubic + 1.5


def test_the_sharp_one_has_clearly_more_detail_and_less_psnr(photo: Image) -> None:
    lr = imresize(photo, scale=0.25)
    plain, sharp = (srgan.upscale(lr, name) for name in SHIPPED)
    # 14 % more when it was trained; 5 % can still be seen.
    assert 1.05 * detail(plain) < detail(sharp) < 1.2 * detail(photo)
    assert psnr(photo, sharp, border=4) < psnr(photo, plain, border=4)


def detail(image: Image) -> float:
    """Mean step between neighbours, in levels."""
    levels = image.astype(float)
    return float(np.abs(np.diff(levels, axis=0)).mean() + np.abs(np.diff(levels, axis=1)).mean())
