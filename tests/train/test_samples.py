"""The picture of a degradation before a training starts."""

import io

import numpy as np
import pytest
from PIL import Image

from srgan.train.samples import degraded_samples
from tests.support.contents import crops_from
from tests.support.stages import pretrain, start


def test_plain_bicubic_has_no_picture(draw_photo) -> None:
    assert degraded_samples(start(pretrain()), crops_from([draw_photo(1, 32, 32)])) is None


@pytest.mark.parametrize(
    "degradation", [{"noise_sigma": [5, 20]}, {"second_order": {"first": {"noise": None}}}]
)
def test_each_row_shows_the_original_bicubic_and_damage_that_differs(
    draw_photo, degradation: dict[str, object]
) -> None:
    stage = start(pretrain(degradation=degradation))
    side = 16 + 2 * stage.degradation.margin
    photos = [draw_photo(seed, side, side) for seed in range(6)]
    png = degraded_samples(stage, crops_from(photos))
    assert png is not None
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    hr = photos[0][side // 2 - 8 : side // 2 + 8, side // 2 - 8 : side // 2 + 8]
    found = [
        (y, x)
        for y in range(sheet.shape[0] - 15)
        for x in range(0, sheet.shape[1] // 4)
        if (sheet[y : y + 16, x : x + 16] == hr).all()
    ]
    assert len(found) == 1, "the original stands in the first row, pixel by pixel"
    top = found[0][0]
    rows = sheet[top : top + 16].astype(int)
    blocks = rows.reshape(8, 2, -1, 3)
    assert (blocks[:, 0, 60:] == blocks[:, 1, 60:]).all(), "LR pixels are repeated"
