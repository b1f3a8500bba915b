"""VGG19 and SqueezeNet 1.1: torchvision's names, the paper's layers, gradients of the images."""

import pickle

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from srgan.config.networks import FEATURE_LAYERS, MIN_SIDE, FeatureNetwork
from srgan.errors import CheckpointError, ConfigError
from srgan.models.features import FeatureExtractor, load_extractor
from tests.support.perceptual_weights import as_pth, drawn_state, drawn_weights

NETWORKS: list[FeatureNetwork] = ["vgg19", "squeezenet1_1"]


def images(side: int = 40) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def normalised(image: Tensor) -> Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return ((image + 1) / 2 - mean) / std


def conv(image: Tensor, state: dict[str, Tensor], name: str, **options: int) -> Tensor:
    return F.relu(F.conv2d(image, state[f"{name}.weight"], state[f"{name}.bias"], **options))


def test_vgg22_is_the_second_convolution_before_the_second_pooling_after_its_activation() -> None:
    state = drawn_state("vgg19")
    x = normalised(images())
    x = conv(conv(x, state, "features.0", padding=1), state, "features.2", padding=1)
    x = F.max_pool2d(x, 2)
    x = conv(conv(x, state, "features.5", padding=1), state, "features.7", padding=1)
    (found,) = load_extractor(drawn_weights("vgg19"), "vgg19", ["vgg22"])(images())
    torch.testing.assert_close(found, x)


def test_vgg54_ends_with_torchvisions_features_34() -> None:
    extractor = FeatureExtractor("vgg19", ["vgg54"])
    names = [name for name in extractor.state_dict() if name.endswith("weight")]
    expected = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    assert names == [f"features.{index}.weight" for index in expected]
    (found,) = extractor(images(96))
    assert found.shape == (2, 512, 6, 6)
    assert (found >= 0).all()


def test_squeezenets_fire4_is_what_its_parts_compute() -> None:
    state = drawn_state("squeezenet1_1")

    def fire(image: Tensor, index: int) -> Tensor:
        name = f"features.{index}"
        squeezed = conv(image, state, f"{name}.squeeze")
        sides = [
            conv(squeezed, state, f"{name}.expand1x1"),
            conv(squeezed, state, f"{name}.expand3x3", padding=1),
        ]
        return torch.cat(sides, 1)

    x = F.max_pool2d(
        conv(normalised(images()), state, "features.0", stride=2), 3, 2, ceil_mode=True
    )
    x = F.max_pool2d(fire(fire(x, 3), 4), 3, 2, ceil_mode=True)
    x = fire(x, 6)
    (found,) = load_extractor(drawn_weights(), "squeezenet1_1", ["fire4"])(images())
    torch.testing.assert_close(found, x)


@pytest.mark.parametrize(
    ("network", "parameters"), [("vgg19", 20_024_384), ("squeezenet1_1", 722_496)]
)
def test_the_networks_have_the_published_numbers_of_parameters(
    network: FeatureNetwork, parameters: int
) -> None:
    with torch.device("meta"):
        extractor = FeatureExtractor(network, FEATURE_LAYERS[network])
    assert sum(parameter.numel() for parameter in extractor.parameters()) == parameters


@pytest.mark.parametrize("network", NETWORKS)
def test_images_of_the_smallest_side_reach_every_layer(network: FeatureNetwork) -> None:
    layers = FEATURE_LAYERS[network]
    extractor = load_extractor(drawn_weights(network), network, layers)
    assert all(features.isfinite().all() for features in extractor(images(MIN_SIDE)))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_can_be_taken_and_comes_in_the_order_asked_for(network: FeatureNetwork) -> None:
    layers = FEATURE_LAYERS[network]
    every = load_extractor(drawn_weights(network), network, layers)(images())
    last, first = load_extractor(drawn_weights(network), network, [layers[-1], layers[0]])(images())
    assert len(every) == len(layers)
    assert torch.equal(first, every[0])
    assert torch.equal(last, every[-1])


def test_the_weights_are_frozen_and_the_gradient_reaches_the_images() -> None:
    extractor = load_extractor(drawn_weights(), "squeezenet1_1", ["fire5"])
    assert not extractor.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    image = images().requires_grad_()
    extractor(image)[0].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().amax(dim=(1, 2, 3)).all()


def test_features_under_autocast_are_those_of_float32() -> None:
    extractor = load_extractor(drawn_weights(), "squeezenet1_1", ["fire5"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = extractor(images())
    assert torch.equal(found, extractor(images())[0])


@pytest.mark.parametrize("legacy", [False, True])
def test_torchs_own_files_load_as_safetensors_do_and_the_classifier_is_ignored(
    legacy: bool,
) -> None:
    state = {**drawn_state("squeezenet1_1"), "classifier.1.weight": torch.zeros(1000, 512, 1, 1)}
    from_pth = load_extractor(as_pth(state, legacy=legacy), "squeezenet1_1", ["fire9"])
    same = load_extractor(drawn_weights(), "squeezenet1_1", ["fire9"])
    assert torch.equal(from_pth(images())[0], same(images())[0])


def test_loading_draws_no_random_numbers() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_extractor(drawn_weights(), "squeezenet1_1", ["fire9"])
    assert torch.equal(torch.rand(1), expected)


def test_a_file_that_would_run_code_is_refused() -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("this ran",)

    for data in (as_pth({"x": Harmful()}), pickle.dumps(Harmful(), 2)):  # type: ignore[dict-item]
        with pytest.raises(CheckpointError, match=r"would run|neither a safetensors file nor"):
            load_extractor(data, "squeezenet1_1", ["fire2"])


@pytest.mark.parametrize("text", [b"error: 404", b"hello world, not weights", b"<html>", b""])
def test_a_file_that_does_not_hold_weights_is_refused(text: bytes) -> None:
    """Such as a server's error page; torch's unpickler fails on each with another exception."""
    with pytest.raises(CheckpointError, match=r"neither a safetensors file nor|a web page"):
        load_extractor(text, "squeezenet1_1", ["fire2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.3.squeeze.weight": None}, r"features\.3\.squeeze\.weight is missing"),
        ({"features.0.bias": torch.zeros(3)}, r"features\.0\.bias is \(3,\).*expected \(64,\)"),
        ({"features.0.bias": torch.full((64,), torch.nan)}, r"features\.0\.bias holds NaN"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: dict[str, Tensor | None], message: str) -> None:
    state = {**drawn_state("squeezenet1_1"), **change}
    data = as_pth({name: tensor for name, tensor in state.items() if tensor is not None})
    with pytest.raises(CheckpointError, match=message):
        load_extractor(data, "squeezenet1_1", ["fire2"])


def test_an_unknown_layer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"vgg19 has no layers \['vgg99'\]; there are: vgg11, "):
        FeatureExtractor("vgg19", ["vgg99"])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(1, 1, 40, 40), r"\(N, 3, H, W\).*\(1, 1, 40, 40\)"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 3, 40, 23), "24 pixels a side"),
    ],
)
def test_tensors_that_are_not_images_are_refused(bad: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor("squeezenet1_1", ["fire2"])(bad)
