"""Network interpolation between two generators."""

import hashlib

import pytest
import torch

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, ConfigError
from srgan.models.base import Generator
from srgan.models.blending import blend
from srgan.models.interchange import dump_generator, load_generator
from srgan.models.interpolation import Bicubic
from tests.support.networks import random_generator

CONFIG = GeneratorConfig(kind="srresnet", scale=2, num_blocks=1, num_channels=4)


@pytest.fixture
def first() -> Generator:
    return random_generator(CONFIG, seed=1)


@pytest.fixture
def second() -> Generator:
    return random_generator(CONFIG, seed=2)


def test_the_ends_are_the_two_generators_to_the_bit(first: Generator, second: Generator) -> None:
    with torch.no_grad():
        next(first.parameters()).view(-1)[0] = -0.0
    for alpha, end in ((0.0, first), (1.0, second)):
        blended = blend(first, second, alpha)
        blended.blend = None
        assert dump_generator(blended) == dump_generator(end)


def test_half_way_is_the_mean_of_weights_and_running_statistics(
    first: Generator, second: Generator
) -> None:
    found = blend(first, second, 0.5).state_dict()
    assert any("running_var" in name for name in found)
    for name, tensor in first.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(found[name], (tensor + second.state_dict()[name]) / 2)


def test_alpha_is_the_share_of_the_second(first: Generator, second: Generator) -> None:
    found = blend(first, second, 0.8).state_dict()
    for name, tensor in first.state_dict().items():
        expected = 0.2 * tensor + 0.8 * second.state_dict()[name]
        torch.testing.assert_close(found[name], expected.to(tensor.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_number_format_is_kept(first: Generator, second: Generator, dtype: torch.dtype) -> None:
    blended = blend(first.to(dtype), second.to(dtype), 0.3)
    assert {parameter.dtype for parameter in blended.parameters()} == {dtype}


def test_the_two_generators_stay_as_they_are(first: Generator, second: Generator) -> None:
    before = [dump_generator(each) for each in (first, second)]
    blend(first, second, 0.5)
    assert [dump_generator(each) for each in (first, second)] == before


def test_a_blend_remembers_in_its_file_what_it_was_made_of(
    first: Generator, second: Generator
) -> None:
    first.origin, second.origin = "/home/me/start.safetensors", "models:/srgan/3"
    found = load_generator(dump_generator(blend(first, second, 0.8))).blend
    assert found is not None
    assert (found.alpha, found.first.model, found.second.model) == (
        0.8,
        "start.safetensors",
        "models:/srgan/3",
    )
    assert found.first.weights == hashlib.sha256(dump_generator(first)).hexdigest()
    assert str(found) == "0.2 · start.safetensors + 0.8 · models:/srgan/3"


def test_an_unreadable_memory_of_a_blend_is_an_error(first: Generator, second: Generator) -> None:
    blended = blend(first, second, 0.5)
    data = dump_generator(blended).replace(b'\\"alpha\\":0.5', b'\\"alphq\\":0.5')
    with pytest.raises(CheckpointError, match=r"was blended of is not valid: .*alph"):
        load_generator(data)


@pytest.mark.parametrize(
    "change", [{"kind": "bicubic_resnet"}, {"scale": 4}, {"num_blocks": 2}, {"num_channels": 8}]
)
def test_another_architecture_is_refused_by_both_names(
    first: Generator, change: dict[str, object]
) -> None:
    config = GeneratorConfig.model_validate(CONFIG.model_dump() | change)
    other = random_generator(config)
    first.origin, other.origin = "start.pth", "models:/other/2"
    with pytest.raises(ConfigError) as refused:
        blend(first, other, 0.5)
    words = f"models:/other/2 ({config.kind} ×{config.scale}, {config.num_blocks} blocks of"
    for part in ("start.pth (srresnet ×2, 1 blocks of 4 channels", words, "cannot be blended"):
        assert part in str(refused.value)


def test_another_number_format_and_weights_of_none_are_refused(
    first: Generator, second: Generator
) -> None:
    with pytest.raises(ConfigError, match=r"float32\) and .*float16\) cannot be blended"):
        blend(first, second.half(), 0.5)
    with pytest.raises(ConfigError, match="Bicubic is an interpolation and has no weights"):
        blend(first, Bicubic(2), 0.5)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_beyond_the_two_ends_is_refused(
    first: Generator, second: Generator, alpha: float
) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        blend(first, second, alpha)
