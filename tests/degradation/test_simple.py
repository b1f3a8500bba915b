"""Degradations of real photographs: within their ranges, and the same on every device."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from srgan.config import DegradationConfig
from srgan.degradation import build_degradation
from srgan.degradation.jpeg import Jpeg
from srgan.degradation.simple import RealDegradation, draw
from srgan.resize.tensors import Degradation
from tests.support.stages import pretrain, start, windows

EVERYTHING = DegradationConfig(blur_sigma=(0.5, 2), noise_sigma=(1, 8), jpeg_quality=(50, 90))
SHAPE = (3, 12, 12)


def degraded(config: DegradationConfig, images: Tensor, **place: int) -> tuple[Tensor, Tensor]:
    degradation = RealDegradation(2, config, seed=7)
    edge = (40 - 2 * degradation.margin - 16) // 2
    return degradation(
        images[:, :, edge : 40 - edge, edge : 40 - edge], **{"step": 3, "first": 0, **place}
    )


@pytest.fixture
def images(draw_photo: Callable[..., np.ndarray]) -> Tensor:
    """Four windows of 40 pixels: a patch of 16 and a margin of 12, more than any test needs."""
    photos = np.stack([draw_photo(seed, 40, 40) for seed in range(4)])
    return torch.from_numpy(photos).permute(0, 3, 1, 2)


def test_the_default_is_bicubic_alone_to_the_bit() -> None:
    stage = start(pretrain())
    assert type(stage.degradation) is Degradation
    batch = windows(stage)
    for found, expected in zip(stage._images(batch, 5), Degradation(2)(batch), strict=True):
        assert torch.equal(found, expected)


def test_ranges_of_nothing_change_nothing(images: Tensor) -> None:
    nothing = DegradationConfig(blur_sigma=(0, 0), noise_sigma=(0, 0))
    assert isinstance(build_degradation(2, nothing, seed=0), RealDegradation)
    lr, hr = degraded(nothing, images)
    expected_lr, expected_hr = Degradation(2)(images[:, :, 8:32, 8:32])
    torch.testing.assert_close(lr, expected_lr)
    assert torch.equal(hr, expected_hr)


@pytest.mark.parametrize(
    "part", [{"blur_sigma": (2, 2)}, {"noise_sigma": (5, 5)}, {"jpeg_quality": (30, 30)}]
)
def test_each_part_alone_changes_the_lr_side_and_leaves_hr_as_it_is(
    images: Tensor, part: dict[str, tuple[int, int]]
) -> None:
    lr, hr = degraded(DegradationConfig.model_validate(part), images)
    plain_lr, plain_hr = Degradation(2)(images[:, :, 8:32, 8:32])
    assert torch.equal(hr, plain_hr)
    assert lr.shape == plain_lr.shape
    assert not torch.equal(lr, plain_lr)
    levels = lr * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert 0 <= lr.min() <= lr.max() <= 1


def test_blur_takes_away_detail_and_more_of_it_the_wider_it_is(images: Tensor) -> None:
    details = [
        degraded(DegradationConfig(blur_sigma=(sigma, sigma)), images)[0].diff(dim=3).abs().mean()
        for sigma in (0.2, 1, 2)
    ]
    assert details[0] > details[1] > details[2]


def test_the_same_place_of_the_same_step_is_degraded_the_same_on_any_number_of_ranks(
    images: Tensor,
) -> None:
    whole, _ = degraded(EVERYTHING, images)
    halves = [degraded(EVERYTHING, images[at : at + 2], first=at)[0] for at in (0, 2)]
    torch.testing.assert_close(torch.cat(halves), whole)
    assert not torch.equal(degraded(EVERYTHING, images, step=4)[0], whole)
    assert not torch.equal(degraded(EVERYTHING, images[:2], first=2)[0], whole[:2])


def test_draws_fill_their_ranges_and_depend_on_seed_step_and_place_alone() -> None:
    draws = draw(EVERYTHING, 1, 2, range(500), SHAPE)
    for values, (lowest, highest) in (
        (draws.blur_sigma, (0.5, 2)),
        (draws.jpeg_quality, (50, 90)),
        (draws.noise.flatten(1).std(dim=1), (0.8, 9)),
    ):
        assert lowest <= values.min() < values.max() <= highest
        assert values.min() < lowest + 0.1 * (highest - lowest)
        assert values.max() > highest - 0.2 * (highest - lowest)
    assert set(draws.jpeg_quality.tolist()) == set(range(50, 91))
    again = draw(EVERYTHING, 1, 2, range(499, 500), SHAPE)
    assert torch.equal(again.noise[0], draws.noise[499])
    assert not torch.equal(draw(EVERYTHING, 2, 2, range(499, 500), SHAPE).noise, again.noise)


def test_noise_is_normal_with_the_drawn_deviation() -> None:
    noise = draw(DegradationConfig(noise_sigma=(5, 5)), 0, 0, range(20), (3, 32, 32)).noise
    assert noise.mean().abs() < 0.1
    assert noise.std().item() == pytest.approx(5, rel=0.02)
    assert ((noise.abs() < 5).float().mean().item()) == pytest.approx(0.683, abs=0.01)


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize(("colours", "levels"), [(False, 0.5), (True, 1.7)])
def test_jpeg_is_libjpegs_within_half_a_level_and_two_for_vivid_colours(
    draw_photo: Callable[..., np.ndarray], quality: int, colours: bool, levels: float
) -> None:
    photo = draw_photo(1, 44, 60)  # sides are not whole blocks
    if not colours:
        photo = np.repeat(photo[:, :, :1], 3, axis=2)
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    expected = np.asarray(Image.open(buffer)).astype(float)
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    found = Jpeg()(image, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    assert np.abs(expected - photo).mean() > 2.5
    assert np.abs(found - expected).mean() < levels


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("blur_sigma", [None, (0, 0.1), (0.2, 2), (1, 8)])
def test_a_config_tells_the_margin_of_the_degradation_it_builds(
    scale: int, blur_sigma: tuple[float, float] | None
) -> None:
    config = DegradationConfig(blur_sigma=blur_sigma)
    assert build_degradation(scale, config, seed=0).margin == config.margin(scale)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"blur_sigma": (2, 1)}, "blur_sigma"),
        ({"noise_sigma": (-1, 1)}, "noise_sigma .* within 0–100"),
        ({"jpeg_quality": (0, 90)}, "jpeg_quality .* within 1–100"),
    ],
)
def test_ranges_that_are_none_fail_at_submit(part: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DegradationConfig.model_validate(part)
