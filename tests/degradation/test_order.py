"""Second-order degradation: ranges, branches, margin, and the same patch wherever it is drawn."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from srgan.config import (
    DegradationConfig,
    KernelConfig,
    NoiseConfig,
    ResizeConfig,
    RoundConfig,
    SecondOrderConfig,
)
from srgan.degradation import build_degradation, order
from srgan.degradation.chance import Chance, sent
from srgan.degradation.order import (
    Damage,
    SecondOrderDegradation,
    draw_damage,
    draw_numbers,
)
from srgan.recipes import get_recipe
from srgan.resize.tensors import Degradation
from tests.support.stages import CPU

NOTHING = RoundConfig(blur=None, resize=None, noise=None, jpeg_quality=None)
OFF = SecondOrderConfig(first=NOTHING, second=NOTHING, sinc_chance=0)
REAL = get_recipe("real_x4").pretrain.degradation.second_order
assert REAL is not None
SIMPLE = DegradationConfig(blur_sigma=(0.2, 2), noise_sigma=(1, 8), jpeg_quality=(50, 90))
PATCH = 32


@pytest.fixture
def photos(draw_photo: Callable[..., np.ndarray]) -> Tensor:
    """Four windows of a patch and the margin of the recipe."""
    side = PATCH + 2 * REAL.margin(4)
    drawn = np.stack([draw_photo(seed, side, side) for seed in range(4)])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2)


def degraded(config: SecondOrderConfig, photos: Tensor, **place: int) -> tuple[Tensor, Tensor]:
    degradation = SecondOrderDegradation(4, config, seed=7)
    edge = (photos.shape[2] - PATCH) // 2 - degradation.margin
    length = photos.shape[2] - 2 * edge
    windows = photos[:, :, edge : edge + length, edge : edge + length]
    return degradation(windows, **{"step": 3, "first": 0, **place})


def bicubic(photos: Tensor) -> tuple[Tensor, Tensor]:
    edge = (photos.shape[2] - PATCH) // 2 - 8
    return Degradation(4)(photos[:, :, edge:-edge, edge:-edge])


def test_with_everything_off_it_is_bicubic_to_the_bit(photos: Tensor) -> None:
    for found, expected in zip(degraded(OFF, photos), bicubic(photos), strict=True):
        assert torch.equal(found, expected)


def test_lr_has_its_size_its_range_and_whole_levels_and_hr_stays_as_it_is(photos: Tensor) -> None:
    plain_lr, plain_hr = bicubic(photos)
    for step in range(6):
        lr, hr = degraded(REAL, photos, step=step)
        assert torch.equal(hr, plain_hr)
        assert lr.shape == plain_lr.shape
        assert 0 <= lr.min() <= lr.max() <= 1
        levels = lr * 255
        torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
        assert not torch.equal(lr, plain_lr)


def test_nothing_is_shifted(photos: Tensor) -> None:
    """Without noise and JPEG a patch stays most like its own place of bicubic's image."""
    quiet = {"noise": None, "jpeg_quality": None}
    clean = REAL.model_copy(
        update={"first": REAL.first.model_copy(update=quiet)}
        | {"second": REAL.second.model_copy(update=quiet)}
    )
    plain, _ = bicubic(photos)
    for step in range(5):
        lr, _ = degraded(clean, photos, step=step)
        errors = {
            (y, x): (lr[:, :, 1:-1, 1:-1] - plain.roll((y, x), (2, 3))[:, :, 1:-1, 1:-1])
            .abs()
            .mean()
            .item()
            for y in (-1, 0, 1)
            for x in (-1, 0, 1)
        }
        assert min(errors, key=errors.__getitem__) == (0, 0)


def test_the_same_place_of_the_same_step_is_degraded_the_same_on_any_number_of_ranks(
    photos: Tensor,
) -> None:
    whole, _ = degraded(REAL, photos)
    halves = [degraded(REAL, photos[at : at + 2], first=at)[0] for at in (0, 2)]
    assert torch.equal(torch.cat(halves), whole)
    assert not torch.equal(degraded(REAL, photos, step=4)[0], whole)
    assert not torch.equal(degraded(REAL, photos[:2], first=2)[0], whole[:2])


def test_threads_draw_the_patches_of_a_batch_and_change_nothing(
    photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(len(photos), timeout=20)
    expected = degraded(REAL, photos)[0]

    def watched(config: SecondOrderConfig, chance: Chance) -> Damage:
        together.wait()  # breaks if one thread draws two patches one after the other
        return draw_damage(config, chance)

    monkeypatch.setattr(torch, "get_num_threads", lambda: len(photos))
    monkeypatch.setattr(order, "draw_damage", watched)
    assert torch.equal(degraded(REAL, photos)[0], expected)


COPIES = [
    *((torch, name) for name in ("from_numpy", "tensor", "as_tensor")),
    *((Tensor, name) for name in ("to", "new_tensor", "cuda", "item", "tolist", "cpu")),
]


@pytest.mark.parametrize(
    "config", [DegradationConfig(second_order=REAL), SIMPLE], ids=["real", "simple"]
)
def test_a_larger_batch_costs_no_more_copies_to_the_device(
    config: DegradationConfig, photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    degradation = build_degradation(4, config, seed=7)
    edge = REAL.margin(4) - degradation.margin
    windows = photos[:, :, edge : photos.shape[2] - edge, edge : photos.shape[3] - edge]
    called: list[str] = []
    for owner, name in COPIES:
        original = getattr(owner, name)

        def counted(*args: Any, _name: str = name, _original: Any = original, **kw: Any) -> Any:
            called.append(_name)
            return _original(*args, **kw)

        monkeypatch.setattr(owner, name, counted)
    counts = []
    for num in (1, 4):
        called.clear()
        degradation(windows[:num], step=3, first=0)
        counts.append(sorted(called))
    assert counts[0] == counts[1]
    assert len(counts[0]) < 10


PARTS = {
    "blur": RoundConfig(resize=None, noise=None, jpeg_quality=None),
    "resize": RoundConfig(
        blur=None, resize=ResizeConfig(up=0, down=1), noise=None, jpeg_quality=None
    ),
    "noise": RoundConfig(blur=None, resize=None, jpeg_quality=None),
    "jpeg": RoundConfig(blur=None, resize=None, noise=None, jpeg_quality=(10, 10)),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["first", "second"])
def test_each_part_alone_changes_the_lr_side(photos: Tensor, part: str, name: str) -> None:
    round_ = PARTS[part]
    if part == "blur":
        blur = KernelConfig(sides=(7, 7), sigma=(2, 2), shapes={"isotropic": 1.0})
        round_ = round_.model_copy(update={"blur": blur})
    if part == "resize":
        resize = ResizeConfig(up=0, down=1, factors=(0.5, 1))
        round_ = round_.model_copy(update={"resize": resize})
    lr, _ = degraded(OFF.model_copy(update={name: round_}), photos)
    assert not torch.equal(lr, bicubic(photos)[0])


def test_low_quality_of_jpeg_costs_more_than_high_quality(photos: Tensor) -> None:
    photos = photos[:, :1].repeat(1, 3, 1, 1)  # colours at half resolution cost at any quality
    plain, _ = bicubic(photos)
    errors = []
    for quality in (100, 60, 1):
        jpeg = NOTHING.model_copy(update={"jpeg_quality": (quality, quality)})
        lr, _ = degraded(OFF.model_copy(update={"second": jpeg}), photos)
        errors.append((lr - plain).abs().mean().item() * 255)
    assert errors == sorted(errors)
    assert errors[0] < 3 < 10 < errors[2]


def test_nothing_beyond_the_margin_of_a_patch_is_ever_used(photos: Tensor) -> None:
    """JPEG left out: its blocks end where a file ends."""
    rounds = {
        name: getattr(REAL, name).model_copy(update={"noise": None, "jpeg_quality": None})
        for name in ("first", "second")
    }
    degradation = SecondOrderDegradation(4, REAL.model_copy(update=rounds), seed=1)
    window, m = photos[:1], degradation.margin
    reaches = []
    for place in range(24):
        damage = draw_damage(degradation._config, Chance(1, 0, place))
        reaches.append(damage.reach(4))
        edge = m - reaches[-1]
        other = 255 - window
        other[:, :, edge:-edge, edge:-edge] = window[:, :, edge:-edge, edge:-edge]
        (numbers,) = sent([draw_numbers(damage, window.shape[2:], 4, Chance(0, 0, 0))], CPU)
        one, two = (
            degradation._done(damage, each, numbers)[:, :, m // 4 : -m // 4, m // 4 : -m // 4]
            for each in (window, other)
        )
        assert torch.equal(one, two), damage
    assert min(reaches) < m / 2 < max(reaches) < m


def test_branches_are_taken_as_often_as_the_config_says() -> None:
    drawn = [draw_damage(REAL, Chance(5, 6, place)) for place in range(3000)]

    def share(found: list[bool]) -> float:
        return sum(found) / len(found)

    expected = {
        "blur 1": (1.0, [each.first.kernel is not None for each in drawn]),
        "blur 2": (0.8, [each.second.kernel is not None for each in drawn]),
        "up 1": (0.2, [(each.first.factor or 0) > 1 for each in drawn]),
        "down 1": (0.7, [(each.first.factor or 9) < 1 for each in drawn]),
        "keep 1": (0.1, [each.first.factor == 1 for each in drawn]),
        "up 2": (0.3, [(each.second.factor or 0) > 1 for each in drawn]),
        "down 2": (0.4, [(each.second.factor or 9) < 1 for each in drawn]),
        "sinc": (0.8, [each.sinc is not None for each in drawn]),
        "JPEG last": (0.5, [each.jpeg_last for each in drawn]),
        "area": (1 / 3, [each.first.mode == "area" for each in drawn]),
        "bilinear": (1 / 3, [each.second.mode == "bilinear" for each in drawn]),
        "bicubic": (1 / 3, [each.last_mode == "bicubic" for each in drawn]),
    }
    for name, (probability, found) in expected.items():
        assert share(found) == pytest.approx(probability, abs=0.03), name
    qualities = {each.first.jpeg_quality for each in drawn}
    assert qualities == set(range(30, 96))
    factors = [each.first.factor or 1 for each in drawn]
    assert 0.4 <= min(factors) < 0.42
    assert 1.47 < max(factors) <= 1.5


def test_the_recipe_leaves_room_for_its_margin_and_the_published_ranges_need_more() -> None:
    assert DegradationConfig(second_order=REAL).margin(4) == 76
    assert SecondOrderConfig().margin(4) == 172
    assert OFF.margin(4) == Degradation(4).margin
    degradation = build_degradation(4, DegradationConfig(second_order=REAL), seed=0)
    assert degradation.margin == 76


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"first": {"blur": {"sides": (8, 13)}}}, r"sides \(8, 13\) are not odd"),
        ({"first": {"blur": {"shapes": {"sinc": 0.5}}}}, "0.5 together instead of 1"),
        ({"first": {"blur": {"shapes": {"box": 1}}}}, "isotropic"),
        ({"first": {"resize": {"factors": (1.2, 1.5)}}}, "factors .* around 1"),
        ({"first": {"resize": {"up": 0.5, "down": 0.6}}}, "up 0.5 and down 0.6"),
        ({"second": {"noise": {"sigma": (5, 1)}}}, "sigma"),
        ({"second": {"jpeg_quality": (0, 50)}}, "jpeg_quality .* within 1–100"),
        ({"sinc_sides": (7, 33)}, "sinc_sides"),
    ],
)
def test_what_cannot_be_drawn_fails_at_submit(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SecondOrderConfig.model_validate(config)


def test_simple_ranges_and_the_second_order_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="blur_sigma and second_order exclude each other"):
        DegradationConfig(blur_sigma=(0, 1), second_order=OFF)
    with_noise = SecondOrderConfig(first=NOTHING, second=RoundConfig(noise=NoiseConfig()))
    assert DegradationConfig(second_order=with_noise).second_order == with_noise
