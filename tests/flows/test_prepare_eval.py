"""The flow that makes an evaluation set, on real Prefect and S3."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.prepare_eval import prepare_eval
from srgan.config import SetConfig
from srgan.errors import DataError
from srgan.measure.sets import read_set
from srgan.resize.arrays import imresize
from srgan.services.s3 import S3Store

pytestmark = pytest.mark.usefixtures("prefect_api", "preparing_here")


def test_photos_become_a_set_and_the_second_time_the_same(
    flow_store: S3Store,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for seed in (1, 2):
        flow_store.put(f"raw/own/{seed}.png", encode_photo(draw_photo(seed)))
    flow_store.put("raw/own/notes.txt", b"no photo")
    ref = prepare_eval("s3://srgan-test/raw/own", "own", SetConfig(crop_size=40))
    assert (ref.name, ref.num_photos, ref.num_images) == ("own", 2, 2 * 2 * 3)
    assert "2 photos, 12 crops of 40 pixels, 0 duplicates, 1 not usable" in caplog.text
    assert prepare_eval("s3://srgan-test/raw/own", "own", SetConfig(crop_size=40)) == ref


def test_photos_with_their_lr_photos_become_a_set_of_pairs(
    flow_store: S3Store,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for seed in (1, 2):
        hr = draw_photo(seed, 120, 160)
        flow_store.put(f"raw/hr/{seed}.png", encode_photo(hr))
        lr = imresize(hr, scale=0.5) if seed == 1 else draw_photo(seed, 60, 79)
        flow_store.put(f"raw/lr/{seed}.png", encode_photo(lr))
    ref = prepare_eval("s3://srgan-test/raw/hr", "phone", lr="s3://srgan-test/raw/lr", scale=2)
    made = read_set(flow_store, ref.key)
    assert (ref.num_photos, made.scale) == (1, 2)
    assert list(made.rejected) == ["raw/hr/2.png"]
    assert "1 whole photos, LR photos of s3://srgan-test/raw/lr/, 0 duplicates, 1 not" in (
        caplog.text
    )


def test_a_prefix_without_photos_fails_at_once(flow_store: S3Store) -> None:
    with pytest.raises(DataError, match="s3://srgan-test/raw/nothing/ holds no photos"):
        prepare_eval("s3://srgan-test/raw/nothing", "own")
