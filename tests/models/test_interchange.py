import json
import pickle

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError
from srgan.models.interchange import dump_generator, load_generator
from srgan.models.interpolation import Bicubic
from tests.support.networks import Bomb, random_generator

CONFIG = GeneratorConfig(kind="srresnet", scale=2, num_blocks=1, num_channels=4)


def altered(**changes: Tensor | None) -> bytes:
    """Save a generator with some tensors replaced, or left out if None."""
    tensors = load(dump_generator(random_generator(CONFIG)))
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    metadata = {"config": CONFIG.model_dump_json(), "format": "srgan-generator-1"}
    return save(tensors, metadata)


def with_metadata(**metadata: str) -> bytes:
    return save(load(dump_generator(random_generator(CONFIG))), metadata)


@pytest.mark.parametrize("kind", ["srresnet", "bicubic_resnet", "bicubic_span"])
def test_a_loaded_generator_computes_what_the_saved_one_did(kind: str) -> None:
    config = GeneratorConfig.model_validate({"kind": kind, "num_blocks": 2, "num_channels": 8})
    saved = random_generator(config)
    loaded = load_generator(dump_generator(saved))
    lr = torch.rand(1, 3, 6, 7)
    assert loaded.config == config
    assert not loaded.training
    assert torch.equal(loaded(lr), saved(lr))


def test_a_loaded_generator_can_be_trained() -> None:
    loaded = load_generator(dump_generator(random_generator(CONFIG))).train()
    before = [p.detach().clone() for p in loaded.parameters()]
    optimizer = torch.optim.SGD(loaded.parameters(), lr=0.1)
    loaded(torch.rand(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, loaded.parameters(), strict=True))


def test_weights_in_channels_last_are_saved_as_the_same_bytes() -> None:
    generator = random_generator(CONFIG)
    data = dump_generator(generator)
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert dump_generator(generator) == data
    assert dump_generator(load_generator(data)) == data


def test_the_same_generator_always_gives_the_same_bytes() -> None:
    # By itself safetensors writes metadata in random order; checkpoints are named by digest.
    generator = random_generator(CONFIG)
    assert len({dump_generator(generator) for _ in range(20)}) == 1


def test_loading_leaves_the_random_state_alone() -> None:
    data = dump_generator(random_generator(CONFIG))
    before = torch.get_rng_state()
    load_generator(data)
    assert torch.equal(torch.get_rng_state(), before)


def test_interpolation_cannot_be_saved() -> None:
    with pytest.raises(ValueError, match="Bicubic has no weights"):
        dump_generator(Bicubic(4))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        pickle.dumps(Bomb()),
        b"\xff" * 64,
        dump_generator(random_generator(CONFIG))[:-1],
        dump_generator(random_generator(CONFIG))[:20],
    ],
    ids=["empty", "text", "pickle", "huge header", "last byte missing", "header cut"],
)
def test_an_incomplete_safetensors_file_is_refused_without_running_it(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_generator(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exit.bias": None}, "exit.bias is missing"),
        ({"extra": torch.zeros(1)}, "extra is unknown"),
        (
            {"exit.bias": torch.zeros(5)},
            r"exit.bias is \(5,\) torch.float32, expected \(3,\) torch.float32",
        ),
        (
            {"exit.bias": torch.zeros(3, dtype=torch.float64)},
            r"exit.bias is \(3,\) torch.float64, expected \(3,\) torch.float32",
        ),
        (
            {"exit.bias": torch.tensor([0, float("nan"), 0])},
            "exit.bias holds NaN or infinite values",
        ),
        (
            {"bridge.1.running_var": torch.full((4,), float("inf"))},
            "bridge.1.running_var holds NaN or infinite values",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(changes: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_generator(altered(**changes))


def test_many_problems_are_counted_not_all_listed() -> None:
    config = CONFIG.model_copy(update={"num_blocks": 9})
    data = with_metadata(config=config.model_dump_json(), format="srgan-generator-1")
    with pytest.raises(CheckpointError, match=r"srresnet ×2 \(9 blocks.* and 94 more"):
        load_generator(data)


@pytest.mark.parametrize("claim", [{"num_blocks": 10**7}, {"num_channels": 10**7}])
def test_a_config_that_claims_more_than_the_tensors_hold_is_refused_unbuilt(
    claim: dict[str, int],
) -> None:
    config = CONFIG.model_copy(update=claim)
    data = with_metadata(config=config.model_dump_json(), format="srgan-generator-1")
    with pytest.raises(CheckpointError, match=r"10000000 .*: it is damaged or was altered"):
        load_generator(data)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "expected a generator of format 'srgan-generator-1', got None"),
        ({"format": "generator-0"}, "got 'generator-0'; `srgan import-weights"),
        ({"format": "srgan-generator-2"}, "got 'srgan-generator-2'; another release of srgan"),
        ({"format": "srgan-generator-1"}, "config in the file is not valid"),
        (
            {"format": "srgan-generator-1", "config": json.dumps({"kind": "unheard-of"})},
            "unheard-of",
        ),
    ],
)
def test_a_safetensors_file_of_another_format_is_refused(
    metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_generator(with_metadata(**metadata))
