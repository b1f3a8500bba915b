"""Figures of the pictures that raters saw."""

import math

import numpy as np
import pytest

from srgan.images import decode_in_8_bits
from srgan.keys import study_figures_key, study_picture_key
from srgan.measure.metrics import psnr
from srgan.services.s3 import S3Store
from srgan.studies.figures import ensure_figures, find_figures, pictures_of
from tests.support.studies import rendered


def nothing(done: float, total: float) -> None:
    pass


def test_each_picture_is_measured_against_the_original_once(object_store: S3Store) -> None:
    design = rendered(object_store)
    assert find_figures(object_store, design.name) == {}
    seen: list[float] = []
    found = ensure_figures(object_store, design, lambda done, total: seen.append(done / total))
    assert seen[-1] == 1
    assert set(found) == {"psnr", "ssim", "niqe"}, "a bucket without mirrored networks"
    names = {image.name for image in design.images}
    assert set(found["psnr"]) == {
        (method, name) for method in ("nearest", "dark") for name in names
    }
    image = design.images[0]
    pictures = [
        decode_in_8_bits(
            object_store.get(study_picture_key(design.name, image.pictures[method])),
            max_pixels=10**6,
        ).pixels
        for method in ("original", "dark")
    ]
    assert found["psnr"]["dark", image.name] == pytest.approx(psnr(*pictures, border=4))
    assert all(math.isfinite(value) for values in found.values() for value in values.values())

    token = object_store.head(study_figures_key(design.name))
    assert ensure_figures(object_store, design, nothing) == found
    assert object_store.head(study_figures_key(design.name)) == token


def test_pairs_are_not_measured(object_store: S3Store) -> None:
    design = rendered(object_store, "pairs")
    assert ensure_figures(object_store, design, nothing) == {}


def test_pictures_are_those_that_raters_saw(object_store: S3Store) -> None:
    design = rendered(object_store)
    pictures = pictures_of(object_store, design, design.images[1])
    assert list(pictures) == ["nearest", "dark", "original"]
    assert np.array_equal(pictures["dark"], pictures["original"] // 2)
