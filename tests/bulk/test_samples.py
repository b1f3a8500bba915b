"""Pictures before and after, and beside them what a version on trial makes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.bulk.join import Item
from srgan.bulk.samples import BatchSamples, Trial
from srgan.errors import DeviceError, ImageError
from srgan.images import Photo, decode
from srgan.keys import samples_key
from srgan.services.s3 import S3Store
from tests.support.bulk_runs import bulk_run
from tests.support.gpus import pretend_gpu
from tests.support.photos import DrawPhoto

ITEM = Item(key="photos/a.png", token="t", size_bytes=1, output="up/a.png")
CAPTION, SIDE, GAP = 32, 256, 8
"""Layout of a row: a caption, then columns of 256 pixels with a gap between them."""


def enlarged(photo: Photo) -> Photo:
    return replace(photo, pixels=photo.pixels.repeat(2, axis=0).repeat(2, axis=1))


def inverted(photo: Photo) -> Photo:
    large = enlarged(photo)
    return replace(large, pixels=255 - large.pixels)


def columns(store: S3Store, samples: BatchSamples) -> list[NDArray[np.uint8]]:
    run = bulk_run(store)
    samples.publish(run, 0)
    key = samples_key(run.destination.address, run.name, 0)
    pixels = decode(store.get(key), max_pixels=10**7).pixels[CAPTION:]
    starts = range(0, pixels.shape[1], SIDE + GAP)
    return [pixels[:, start : start + SIDE] for start in starts]


def test_the_middle_of_an_image_is_shown_before_and_after(
    object_store: S3Store, draw_photo: DrawPhoto
) -> None:
    before = Photo(draw_photo(1, 200, 300))
    samples = BatchSamples(2)
    samples(ITEM, before, enlarged(before))
    _, after = columns(object_store, samples)
    np.testing.assert_array_equal(after, enlarged(before).pixels[72:328, 172:428])


def test_a_version_on_trial_has_a_column_of_the_same_middle_and_sees_what_is_around_it(
    object_store: S3Store, draw_photo: DrawPhoto
) -> None:
    before = Photo(draw_photo(1, 200, 300))
    seen: list[tuple[int, ...]] = []

    def tried(photo: Photo) -> Photo:
        seen.append(photo.pixels.shape)
        return inverted(photo)

    samples = BatchSamples(2, Trial("m/1", "m/2", tried))
    samples(ITEM, before, enlarged(before))
    _, champion, challenger = columns(object_store, samples)
    np.testing.assert_array_equal(challenger, 255 - champion)
    assert seen == [(200, 256, 3)], "64 pixels on each side, as far as there are any"


def test_a_version_on_trial_that_fails_costs_nothing_but_its_column(
    object_store: S3Store, draw_photo: DrawPhoto
) -> None:
    def broken(photo: Photo) -> Photo:
        raise ImageError("not_finite", "values that are not finite")

    before = Photo(draw_photo(1, 200, 300))
    samples = BatchSamples(2, Trial("m/1", "m/2", broken))
    samples(ITEM, before, enlarged(before))
    _, champion, challenger = columns(object_store, samples)
    np.testing.assert_array_equal(champion, enlarged(before).pixels[72:328, 172:428])
    assert not challenger.any()


def test_a_pretended_gpu_that_breaks_under_the_version_on_trial_is_not_its_fault(
    draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_gpu(monkeypatch, broken=True)

    def broken(photo: Photo) -> Photo:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    before = Photo(draw_photo(1, 200, 300))
    with pytest.raises(DeviceError, match="device-side assert"):
        BatchSamples(2, Trial("m/1", "m/2", broken))(ITEM, before, enlarged(before))
