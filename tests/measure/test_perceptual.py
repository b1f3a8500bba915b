"""Perceptual distance: its definition, its order of images, and inputs that it refuses."""

import weakref
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d, normalize

from srgan.config.networks import FEATURE_LAYERS, PUBLISHED_WEIGHTS
from srgan.errors import CheckpointError, ConfigError
from srgan.measure.perceptual import PerceptualDistance, open_distances
from srgan.models.features import load_extractor
from srgan.resize.arrays import imresize
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch
from tests.support.perceptual_weights import as_pth, drawn_state, drawn_weights

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
LAYERS = ["conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"]


@cache
def squeezenet() -> PerceptualDistance:
    return PerceptualDistance("squeezenet1_1", drawn_weights(), device=CPU)


def noisy(image: Pixels, levels: int) -> Pixels:
    noise = np.random.default_rng(0).integers(-levels, levels + 1, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def test_the_distance_is_the_summed_difference_of_unit_features(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr, sr = draw_photo(1, 40, 48), draw_photo(2, 40, 48)
    extractor = load_extractor(drawn_weights(), "squeezenet1_1", LAYERS)
    expected = 0.0
    of = [
        [
            layer[0].numpy()
            for layer in extractor(torch.tensor(image / 127.5 - 1).permute(2, 0, 1)[None])
        ]
        for image in (hr, sr)
    ]
    for one, other in zip(*of, strict=True):
        one, other = (f / (np.linalg.norm(f, axis=0) + 1e-10) for f in (one, other))  # noqa: PLW2901
        expected += ((one - other) ** 2).sum(axis=0).mean()
    assert squeezenet()(hr, sr, border=0) == pytest.approx(expected, rel=1e-4)


def test_features_of_the_last_result_are_freed_before_those_of_the_next_take_memory(
    draw_photo: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    hr, one, other = (draw_photo(seed, 40, 48) for seed in (1, 2, 3))
    judge = PerceptualDistance("squeezenet1_1", drawn_weights(), device=CPU)
    extract, made, alive = judge._features._extractor.forward, [], []

    def watched(image: torch.Tensor) -> list[torch.Tensor]:
        alive.append([each() is not None for each in made])
        features = extract(image)
        made.append(weakref.ref(features[0]))
        return features

    monkeypatch.setattr(judge._features._extractor, "forward", watched)
    judge(hr, one, border=0)
    judge(hr, other, border=0)
    assert alive == [[], [True], [True, False]], "only those of the original are used again"


def test_identical_images_have_distance_zero_and_noise_adds_to_it(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr = draw_photo(1, 64, 64)
    distances = [squeezenet()(hr, noisy(hr, levels), border=4) for levels in (0, 4, 40)]
    assert distances[0] == 0
    assert distances[0] < distances[1] < distances[2]


def test_the_distance_is_the_same_in_both_directions(draw_photo: Callable[..., Pixels]) -> None:
    one, other = draw_photo(1, 40, 40), draw_photo(2, 40, 40)
    there, back = squeezenet()(one, other, border=0), squeezenet()(other, one, border=0)
    assert there == pytest.approx(back, rel=1e-5)


def test_results_of_one_original_cost_its_features_once(
    draw_photo: Callable[..., Pixels],
) -> None:
    distance = PerceptualDistance("squeezenet1_1", drawn_weights(), device=CPU)
    seen = list[int]()
    distance._features._extractor.register_forward_hook(
        lambda module, images, features: seen.append(len(images[0]))
    )
    hr, one, other = (draw_photo(seed, 40, 40) for seed in range(3))
    found = [distance(hr, sr, border=0) for sr in (one, other, other)]
    assert seen == [1, 1, 1]
    assert found == [squeezenet()(hr, sr, border=0) for sr in (one, other, other)]
    assert distance(one, other, border=0) != found[1]


def test_the_border_does_not_count(draw_photo: Callable[..., Pixels]) -> None:
    hr = draw_photo(1, 40, 40)
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert squeezenet()(hr, sr, border=4) == 0
    assert squeezenet()(hr, sr, border=3) > 0


def test_gray_images_are_measured_as_rgb_of_three_equal_channels(
    draw_photo: Callable[..., Pixels],
) -> None:
    one, other = draw_photo(1, 40, 40)[:, :, 0], draw_photo(2, 40, 40)[:, :, 0]
    as_rgb = [np.repeat(image[:, :, None], 3, axis=2) for image in (one, other)]
    assert squeezenet()(one, other, border=0) == squeezenet()(*as_rgb, border=0)


def test_the_distances_are_named_by_their_network() -> None:
    names = {
        network: [each.name for each in open_distances(network, drawn_weights(network), device=CPU)]
        for network in FEATURE_LAYERS
        if network != "vgg16_st"  # AlexNet's are of the same kind, and load in a tenth of the time
    }
    assert names == {
        "efficientnet_lite0": ["efficientnet_lite0_distance"],
        "efficientnet_lite1": ["efficientnet_lite1_distance"],
        "squeezenet1_1": ["squeezenet_distance"],
        "vgg19": ["vgg19_distance"],
        "alexnet_st": ["alexnet_st_distance", "stlpips_alex"],
    }


@cache
def st_lpips() -> PerceptualDistance:
    return PerceptualDistance(
        "alexnet_st", drawn_weights("alexnet_st"), is_calibrated=True, device=CPU
    )


def test_a_calibrated_distance_weights_the_channels_by_what_its_file_says(
    draw_photo: Callable[..., Pixels],
) -> None:
    hr, sr = draw_photo(1, 40, 40), draw_photo(2, 40, 40)
    layers = FEATURE_LAYERS["alexnet_st"]
    extractor = load_extractor(drawn_weights("alexnet_st"), "alexnet_st", layers)
    of = [extractor(torch.tensor(each / 127.5 - 1).permute(2, 0, 1)[None]) for each in (hr, sr)]
    expected = 0.0
    for index, (one, other) in enumerate(zip(*of, strict=True)):
        squared = (normalize(one, dim=1) - normalize(other, dim=1)).square()
        weights = drawn_state("alexnet_st")[f"lin{index}.model.1.weight"]
        expected += float(conv2d(squared, weights).mean())
    assert st_lpips()(hr, sr, border=0) == pytest.approx(expected, rel=1e-4)
    assert st_lpips()(hr, hr, border=0) == 0
    assert st_lpips()(sr, hr, border=0) == pytest.approx(expected, rel=1e-4)


def test_two_distances_of_one_network_share_its_features_and_never_those_of_another_pair(
    draw_photo: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calibrated = open_distances("alexnet_st", drawn_weights("alexnet_st"), device=CPU)
    network, calls = plain._features._extractor, []
    counted = network.forward
    monkeypatch.setattr(network, "forward", lambda pair: calls.append(1) or counted(pair))
    hr, sr = draw_photo(1, 40, 40), draw_photo(2, 40, 40)
    both = [each(hr, sr, border=0) for each in (plain, calibrated)]
    assert len(calls) == 2, "of two images"
    assert both[1] == st_lpips()(hr, sr, border=0)
    sr[:] = hr  # the same array with other pixels
    assert [each(hr, sr, border=0) for each in (plain, calibrated)] == [0, 0]
    assert len(calls) == 3


def test_a_file_without_the_learned_weights_is_refused_for_a_calibrated_distance() -> None:
    state = {k: v for k, v in drawn_state("alexnet_st").items() if not k.startswith("lin3")}
    with pytest.raises(CheckpointError, match=r"lin3\.model\.1\.weight is missing"):
        open_distances("alexnet_st", as_pth(state), device=CPU)


def test_efficientnet_orders_nearest_and_bicubic_as_people_did_and_sees_a_grid() -> None:
    """The paper's raters, Table 2; SqueezeNet agrees, ST-LPIPS on AlexNet does not."""
    source = PUBLISHED_WEIGHTS["efficientnet_lite1"].source
    try:
        data = fetch(Settings(), source)
    except ConfigError as error:
        pytest.skip(str(error))
    judge = PerceptualDistance("efficientnet_lite1", data, device=CPU)
    hr = np.ascontiguousarray(pytest.importorskip("skimage.data").chelsea()[100:204, 120:224])
    lr = imresize(hr, scale=1 / 4)
    bicubic, nearest = imresize(lr, scale=4), lr.repeat(4, axis=0).repeat(4, axis=1)
    rows, columns = np.indices(hr.shape[:2])
    lines = np.where((rows % 4 == 0) | (columns % 4 == 0), 4, -4)[..., None]
    gridded = np.clip(bicubic.astype(int) + lines, 0, 255).astype(np.uint8)
    of = {
        name: judge(hr, sr, border=4)
        for name, sr in {"hr": hr, "bicubic": bicubic, "grid": gridded, "nearest": nearest}.items()
    }
    assert 0 == of["hr"] < of["bicubic"] < of["nearest"]
    assert of["bicubic"] * 1.2 < of["grid"]


@pytest.mark.parametrize(
    ("shape", "border", "message"),
    [
        ((40, 44, 3), 0, r"\(40, 40, 3\).*\(40, 44, 3\)"),
        ((40, 40), 0, r"\(40, 40, 3\).*\(40, 40\)"),
        ((40, 40, 3), 9, "24 pixels a side"),
    ],
)
def test_images_that_cannot_be_compared_are_named(
    shape: tuple[int, ...], border: int, message: str
) -> None:
    hr = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        squeezenet()(hr, np.zeros(shape, np.uint8), border=border)
