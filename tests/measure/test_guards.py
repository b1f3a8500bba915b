"""Broken outputs are caught, however good their mean; good ones pass."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srgan.config import GeneratorConfig, LearningRate
from srgan.demo.photos import shipped_photos
from srgan.images.files import read_photo
from srgan.inference.engine import Engine
from srgan.measure.guards import (
    MAX_CHECKERBOARD,
    NOT_FINITE,
    Artifacts,
    Fault,
    checkerboard,
    faults,
    measure_artifacts,
)
from srgan.models.interchange import dump_generator
from srgan.resize.arrays import imresize
from tests.support.stages import adversarial, pretrain, start

SCALE = 4
Pixels = NDArray[np.uint8]
Break = Callable[[Pixels], NDArray[np.float64]]


@cache
def crops() -> list[tuple[str, Pixels, Pixels]]:
    """Name, original and bicubic ×4 from the middle of photographs: a face, a street, stars, …"""
    found = []
    for name, path in shipped_photos().items():
        image = read_photo(path).rgb
        top, left = (side // 2 - 64 for side in image.shape[:2])
        hr = image[top : top + 128, left : left + 128]
        found.append((name, hr, imresize(imresize(hr, scale=1 / SCALE), scale=SCALE)))
    return found


def artifacts_of(output: Break) -> list[tuple[str, Artifacts]]:
    """Artifacts of `output` applied to bicubic's result on each crop."""
    found = []
    for name, hr, bicubic in crops():
        sr = np.clip(np.rint(output(bicubic)), 0, 255).astype(np.uint8)
        found.append((name, measure_artifacts(hr, sr, bicubic, scale=SCALE)))
    return found


def sharpened(bicubic: Pixels) -> NDArray[np.float64]:
    """Bicubic's result with its details enlarged, as a network that learns to sharpen."""
    values = bicubic.astype(np.float64)
    blurred = imresize(imresize(bicubic, scale=0.5), scale=2.0).astype(np.float64)
    return values + 1.5 * (values - blurred)


def textured(bicubic: Pixels) -> NDArray[np.float64]:
    """With invented texture, as a GAN adds it."""
    noise = np.random.default_rng(0).normal(0, 12, bicubic.shape[:2])
    return bicubic + noise[..., None]


@pytest.mark.parametrize("good", [lambda image: image.astype(float), sharpened, textured])
def test_good_outputs_pass(good: Break) -> None:
    assert faults(artifacts_of(good)) == {}


def test_the_originals_pass() -> None:
    found = [(name, measure_artifacts(hr, hr, bic, scale=SCALE)) for name, hr, bic in crops()]
    assert faults(found) == {}


def test_a_slightly_trained_gan_passes() -> None:
    generator = GeneratorConfig(kind="bicubic_resnet", scale=SCALE, num_blocks=2, num_channels=16)
    options = {"patch_size": 32, "learning_rate": LearningRate(peak=1e-3)}
    first = start(pretrain(generator, loss="l1", **options))
    for step in range(20):
        first.step(photo_windows(step, first.window), step)
    weights = dump_generator(first.generator)
    second = start(adversarial(generator, **options), weights)
    for step in range(4):
        second.step(photo_windows(step, second.window), step)
    engine = Engine(second.generator, tile=64, device="cpu")
    found = []
    for name, hr, bicubic in crops():
        sr = engine.upscale(imresize(hr, scale=1 / SCALE))
        assert (sr != bicubic).mean() > 0.1, "it should have learned something"
        found.append((name, measure_artifacts(hr, sr, bicubic, scale=SCALE)))
    assert faults(found) == {}


def photo_windows(step: int, window: int) -> torch.Tensor:
    """uint8 (4, 3, window, window) of the photos in turn."""
    chosen = [crops()[(4 * step + index) % len(crops())][1] for index in range(4)]
    stacked = np.stack([hr[:window, :window].transpose(2, 0, 1) for hr in chosen])
    return torch.from_numpy(stacked)


def board(period: int, image: Pixels) -> NDArray[np.float64]:
    """A pattern of ±5 levels that repeats every `period` pixels."""
    rows, columns = np.indices(image.shape[:2]) // (period // 2)
    return 5.0 * (-1.0) ** (rows + columns)


BROKEN: list[tuple[Break, str]] = [
    (lambda image: np.full(image.shape, 127.0), "contrast is 0.0"),
    (lambda image: np.full(image.shape, image.mean(axis=(0, 1))), "contrast is 0.0"),
    (lambda image: image + 12.0, "brightness is off by +1"),
    (lambda image: image - 12.0, "brightness is off by -1"),
    (lambda image: image + np.array([12.0, -6.0, 0.0]), "colours are off by"),
    (lambda image: image[..., ::-1].astype(float), "colours are off by"),
    (lambda image: image + board(2, image)[..., None], "a checkerboard of"),
    (lambda image: image + board(4, image)[..., None], "a checkerboard of"),
]


@pytest.mark.parametrize(("broken", "fault"), BROKEN)
def test_broken_outputs_are_caught_and_named(broken: Break, fault: str) -> None:
    found = faults(artifacts_of(broken)).values()
    assert any(each.text.startswith(fault) for each in found), found


def test_one_broken_crop_among_many_is_enough_and_its_photo_is_named() -> None:
    good = artifacts_of(lambda image: image.astype(float))
    worst = good[0][1].model_copy(update={"brightness_shift": -20.0})
    bad = good[0][1].model_copy(update={"brightness_shift": 9.0})
    (found,) = faults([*good, ("dark.png", worst), ("light.png", bad)]).values()
    assert found == Fault(
        "brightness is off by -20.0 levels, more than 8 on 2 of 19 crops, the worst of dark.png",
        size=20.0,
    )


def test_nan_or_infinite_values_are_a_separate_fault() -> None:
    assert faults([("a.png", NOT_FINITE), ("b.png", NOT_FINITE)]) == {
        "finite": Fault("NaN or infinite values on 2 of 2 crops, such as a.png", size=2)
    }


def test_the_worse_a_crop_the_larger_its_fault() -> None:
    ((_, good), *_) = artifacts_of(lambda image: image.astype(float))
    for change in (
        {"contrast": (0.2, 0.1)},
        {"brightness_shift": (-9.0, 12.0)},
        {"colour_shift": (6.0, -8.0)},
        {"checkerboard": (1.6, 3.0)},
    ):
        ((name, values),) = change.items()
        first, second = (
            faults([("a.png", good.model_copy(update={name: value}))])[name].size
            for value in values
        )
        assert 0 < first < second, name


def test_smoothing_a_nearly_flat_crop_does_not_lose_contrast() -> None:
    noise = np.random.default_rng(0).integers(127, 130, (64, 64, 1))
    hr = np.repeat(noise, 3, axis=2).astype(np.uint8)
    flat = np.full_like(hr, 128)
    assert faults([("sky", measure_artifacts(hr, flat, hr, scale=SCALE))]) == {}


def test_a_pattern_of_the_original_is_not_a_checkerboard() -> None:
    gray = np.full((64, 64, 3), 128, np.uint8)
    hr = (gray + board(4, gray)[..., None]).astype(np.uint8)
    assert measure_artifacts(hr, hr, gray, scale=SCALE).checkerboard == 0
    assert measure_artifacts(gray, hr, gray, scale=SCALE).checkerboard == pytest.approx(5, abs=0.5)


def test_the_border_counts_for_the_checkerboard_alone() -> None:
    _, hr, bicubic = crops()[0]
    other = bicubic.copy()
    for side in (np.s_[:SCALE], np.s_[-SCALE:], np.s_[:, :SCALE], np.s_[:, -SCALE:]):
        other[side] = 255 - other[side]
    inside, outside = (measure_artifacts(hr, sr, bicubic, scale=SCALE) for sr in (bicubic, other))
    same = {"checkerboard": inside.checkerboard}
    assert outside.model_copy(update=same) == inside
    assert outside.checkerboard == float(checkerboard(hr, other, scale=SCALE))
    assert outside.checkerboard != inside.checkerboard


def grid(image: Pixels, amplitude: float, *, changes: int | None) -> Pixels:
    """The image with a grid that changes its sign every 32 pixels from `changes` on, or never."""
    rows, columns = np.indices(image.shape[:2])
    half = SCALE // 2
    signs = (-1.0) ** (rows // half + columns // half)
    if changes is not None:
        signs *= (-1.0) ** ((rows - changes) // 32 + (columns - changes) // 32)
    return np.clip(np.rint(image + amplitude * signs[..., None]), 0, 255).astype(np.uint8)


def readings(output: Callable[[Pixels], Pixels]) -> list[float]:
    """The sign on each crop of the photographs, for outputs made of bicubic's."""
    return [float(checkerboard(hr, output(bic), scale=SCALE)) for _, hr, bic in crops()]


def test_bicubic_has_no_checkerboard_on_any_photograph() -> None:
    assert max(readings(lambda bicubic: bicubic)) < 0.5


def test_noise_of_12_levels_is_far_below_the_limit_on_every_photograph() -> None:
    rng = np.random.default_rng(3)
    noisy = readings(
        lambda bicubic: np.clip(
            np.rint(bicubic + rng.normal(0, 12, (*bicubic.shape[:2], 1))), 0, 255
        ).astype(np.uint8)
    )
    assert max(noisy) < 1.0


@pytest.mark.parametrize("changes", [None, 0, 16])
def test_a_grid_of_2_levels_is_found_also_where_its_sign_changes(changes: int | None) -> None:
    """A mean over the whole image reads one that changes as none."""
    found = readings(lambda bicubic: grid(bicubic, 2, changes=changes))
    assert 1.5 < np.median(found) < 2
    assert np.mean([value > MAX_CHECKERBOARD for value in found]) > 0.5, found


@pytest.mark.parametrize("changes", [0, 4, 8, 12, 16])
def test_a_grid_of_8_levels_is_found_wherever_its_sign_changes(changes: int) -> None:
    """Blocks of 32 pixels find it on no crop where it changes in the middle of them."""
    found = readings(lambda bicubic: grid(bicubic, 8, changes=changes))
    assert np.mean([value > MAX_CHECKERBOARD for value in found]) > 0.8, found


@pytest.mark.parametrize("amplitude", [0.5, 1.0, 4.0, 8.0])
def test_the_sign_is_the_amplitude_of_the_grid(amplitude: float) -> None:
    gray = np.full((128, 128, 3), 128.0)
    rows, columns = np.indices((128, 128)) // 2
    board = gray + amplitude * ((-1.0) ** (rows + columns))[..., None]
    assert checkerboard(gray, board, scale=SCALE) == pytest.approx(amplitude, rel=0.05)


def test_noise_alone_reads_near_0_on_average() -> None:
    rng = np.random.default_rng(5)
    flat = np.full((40, 128, 128, 3), 128.0)
    noisy = flat + rng.normal(0, 12, flat.shape[:3])[..., None]
    found = checkerboard(flat, noisy, scale=SCALE)
    power = np.mean(np.sign(found) * found**2)
    assert abs(power) < 0.1, "of the 8 that chance alone makes"
    assert np.abs(found).max() < 1.0


def test_a_batch_of_bytes_or_floats_is_measured_as_each_image_alone() -> None:
    chosen = crops()[:3]
    hr, sr = (np.stack(each) for each in zip(*((h, b) for _, h, b in chosen), strict=True))
    alone = [float(checkerboard(h, b, scale=SCALE)) for _, h, b in chosen]
    assert checkerboard(hr, sr, scale=SCALE) == pytest.approx(alone)
    floats = checkerboard(hr.astype(np.float32), sr.astype(np.float32), scale=SCALE)
    assert floats == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_every_scale_finds_a_grid_of_its_period(scale: int) -> None:
    gray = np.full((64, 72, 3), 128.0)
    rows, columns = np.indices(gray.shape[:2])
    dots = gray + 4.0 * ((rows % scale == 0) & (columns % scale == 0))[..., None]
    share = 1 / scale**2
    expected = 4 * np.sqrt(share * (1 - share))
    assert checkerboard(gray, dots, scale=scale) == pytest.approx(expected, rel=0.1)


def test_images_of_different_shapes_are_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64, 3\) and \(64, 60, 3\)"):
        checkerboard(np.zeros((64, 64, 3)), np.zeros((64, 60, 3)), scale=4)
