"""Perceptual networks: published names, the papers' layers, gradients of the images."""

import pickle
from io import BytesIO

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from srgan.config.networks import FEATURE_LAYERS, MIN_SIDE, PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.errors import CheckpointError, ConfigError
from srgan.models.features import FeatureExtractor, load_extractor
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch
from tests.support.perceptual_weights import as_pth, drawn_state, drawn_weights

NETWORKS: list[FeatureNetwork] = list(FEATURE_LAYERS)


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
    names = [name for name in extractor.backbone.state_dict() if name.endswith("weight")]
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


def frozen(image: Tensor, state: dict[str, Tensor], norm: str) -> Tensor:
    of = {each: state[f"{norm}.{each}"] for each in ("running_mean", "running_var")}
    scale = {each: state[f"{norm}.{each}"] for each in ("weight", "bias")}
    return F.batch_norm(image, **of, **scale, training=False, eps=1e-3)


def same_padded(image: Tensor, kernel: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's SAME padding, as its documentation has it: the odd pixel at the far side."""
    for dim, size in ((2, kernel.shape[2]), (3, kernel.shape[3])):
        rest = image.shape[dim] % stride
        total = max(size - (rest or stride), 0)
        pads = (total // 2, total - total // 2)
        image = F.pad(image, (0, 0, *pads) if dim == 2 else (*pads, 0, 0))
    return F.conv2d(image, kernel, stride=stride, groups=groups)


STRIDED = {"efficientnet_lite0": (1, 3, 5, 11), "efficientnet_lite1": (1, 4, 7, 15)}
"""Blocks that halve the sides, counted from 0."""


def lite(images: Tensor, state: dict[str, Tensor], network: str) -> list[Tensor]:
    """EfficientNet-Lite written out from the state dictionary: the stem and all blocks."""
    strides = dict.fromkeys(STRIDED[network], 2)
    x = (images * 127.5 + 127.5 - 127) / 128
    x = same_padded(x, state["_conv_stem.weight"], 2)
    found = [F.relu6(frozen(x, state, "_bn0"))]
    for index in range(sum("_depthwise_conv" in name for name in state)):
        name, x = f"_blocks.{index}", found[-1]
        if f"{name}._expand_conv.weight" in state:
            x = F.conv2d(x, state[f"{name}._expand_conv.weight"])
            x = F.relu6(frozen(x, state, f"{name}._bn0"))
        depthwise = state[f"{name}._depthwise_conv.weight"]
        x = same_padded(x, depthwise, strides.get(index, 1), groups=len(depthwise))
        x = F.relu6(frozen(x, state, f"{name}._bn1"))
        x = frozen(F.conv2d(x, state[f"{name}._project_conv.weight"]), state, f"{name}._bn2")
        found.append(x + found[-1] if x.shape == found[-1].shape else x)
    return found


def published(network: FeatureNetwork) -> bytes:
    """The weights of an installed package; skips the test without it."""
    try:
        return fetch(Settings(), PUBLISHED_WEIGHTS[network].source)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("network", STRIDED)
@pytest.mark.parametrize("size", [(40, 40), (37, 50)])
def test_efficientnet_is_what_its_published_weights_compute_written_out(
    size: tuple[int, int], network: FeatureNetwork
) -> None:
    data = published(network)
    state = torch.load(BytesIO(data), weights_only=True, map_location="cpu")
    layers = FEATURE_LAYERS[network]
    image = images(50)[:1, :, : size[0], : size[1]]
    found = load_extractor(data, network, layers)(image)
    for layer, mine, theirs in zip(layers, found, lite(image, state, network), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=2e-4, msg=layer)


@pytest.mark.parametrize("network", STRIDED)
def test_efficientnet_knows_a_cat_and_a_cup_of_coffee(network: FeatureNetwork) -> None:
    data = published(network)
    skimage = pytest.importorskip("skimage.data")
    state = torch.load(BytesIO(data), weights_only=True, map_location="cpu")
    extractor = load_extractor(data, network, FEATURE_LAYERS[network][-1:])
    for photo, classes in ((skimage.chelsea(), range(281, 288)), (skimage.coffee(), (967, 968))):
        top, left = ((side - 240) // 2 for side in photo.shape[:2])
        middle = torch.tensor(photo[top : top + 240, left : left + 240]) / 127.5 - 1
        with torch.inference_mode():
            (features,) = extractor(middle.permute(2, 0, 1)[None])
            features = F.conv2d(features, state["_conv_head.weight"])
            pooled = F.relu6(frozen(features, state, "_bn1")).mean(dim=(2, 3))
            scores = F.linear(pooled, state["_fc.weight"], state["_fc.bias"])
        assert int(scores.argmax()) in classes


def shift_tolerant(images: Tensor, state: dict[str, Tensor], ends: list[int]) -> list[Tensor]:
    """ST-LPIPS' networks written out from the names in the state dictionary."""
    x = (images - state["scaling_layer.shift"]) / state["scaling_layer.scale"]
    is_vgg = "net.slice1.2.weight" in state
    by_number = {int(name.split(".")[2]): name for name in state if name.startswith("net.")}
    found = []
    for number in range(ends[-1]):
        name = by_number.get(number, "")
        if name.endswith("filt"):
            x = F.pad(x, (2, 2, 2, 2), mode="reflect")
            x = F.conv2d(x, state[name], stride=2, groups=x.shape[1])
        elif name:
            kernel, bias = (
                state[f"{name.rpartition('.')[0]}.{each}"] for each in ("weight", "bias")
            )
            x = F.conv2d(x, kernel, bias, padding=2 if len(kernel[0, 0]) > 3 else 1)
        elif by_number.get(number + 1, "").endswith("filt"):
            x = F.max_pool2d(x, 2 if is_vgg else 3, stride=1)
        else:
            x = F.relu(x)
        if number + 1 in ends:
            found.append(x)
    return found


@pytest.mark.parametrize("source", ["drawn", "published"])
@pytest.mark.parametrize(
    ("network", "ends"),
    [
        ("vgg16_st", [2, 4, 8, 10, 14, 16, 18, 22, 24, 26, 30, 32, 34]),
        ("alexnet_st", [3, 7, 11, 13, 15]),
    ],
)
def test_shift_tolerant_networks_are_what_their_parts_compute(
    network: FeatureNetwork, ends: list[int], source: str
) -> None:
    if source == "drawn":
        data, state = drawn_weights(network), drawn_state(network)
    else:
        data = published(network)
        state = torch.load(BytesIO(data), weights_only=True, map_location="cpu")
    image = images(33)[:1]
    layers = FEATURE_LAYERS[network]
    found = load_extractor(data, network, layers)(image)
    for layer, mine, theirs in zip(layers, found, shift_tolerant(image, state, ends), strict=True):
        torch.testing.assert_close(mine, theirs, msg=layer)


@pytest.mark.parametrize("network", STRIDED)
def test_efficientnet_written_out_agrees_on_drawn_weights_too(network: FeatureNetwork) -> None:
    found = load_extractor(drawn_weights(network), network, ["block8"])
    expected = lite(images(37), drawn_state(network), network)[8]
    torch.testing.assert_close(found(images(37))[0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("vgg19", 20_024_384),
        ("squeezenet1_1", 722_496),
        ("vgg16_st", 14_714_688),
        ("alexnet_st", 2_469_696),
        # Without their heads and classifiers.
        ("efficientnet_lite0", 4_652_008 - 1_693_160),
        ("efficientnet_lite1", 5_416_680 - 1_693_160),
    ],
)
def test_the_networks_have_the_published_numbers_of_parameters(
    network: FeatureNetwork, parameters: int
) -> None:
    with torch.device("meta"):
        extractor = FeatureExtractor(network, FEATURE_LAYERS[network])
    found = sum(
        each.numel()
        for name, each in extractor.backbone.state_dict().items()
        if name.endswith(("weight", "bias"))  # without statistics, blurs and scalings
    )
    assert found == parameters


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


@pytest.mark.parametrize("network", NETWORKS)
def test_the_weights_are_frozen_and_the_gradient_reaches_the_images(
    network: FeatureNetwork,
) -> None:
    layer = FEATURE_LAYERS[network][4]
    extractor = load_extractor(drawn_weights(network), network, [layer])
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
