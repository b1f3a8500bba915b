import pytest
import torch
from torch import nn
from torch.nn import functional as F

from srgan.config import GeneratorConfig
from srgan.inference.folding import before_shuffle, folded
from srgan.models.base import Generator
from tests.support.networks import random_generator

CONFIGS = [
    *({"kind": "srresnet", "scale": s, "num_blocks": 2, "num_channels": 6} for s in (2, 3, 4, 8)),
    {"kind": "bicubic_resnet", "scale": 4, "num_blocks": 2, "num_channels": 6},
    {"kind": "srcnn", "scale": 2},
    {"kind": "fsrcnn", "scale": 3},
    {"kind": "espcn", "scale": 4},
    {"kind": "msrresnet", "scale": 3, "num_blocks": 2, "num_channels": 6},
    {"kind": "rrdbnet", "scale": 4, "num_blocks": 1, "num_channels": 6},
]


def network(config: dict[str, object]) -> Generator:
    return random_generator(GeneratorConfig.model_validate(config))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c['kind']}-x{c['scale']}")
@torch.inference_mode()
def test_a_folded_network_computes_the_same_up_to_rounding(config: dict[str, object]) -> None:
    generator = network(config)
    lr = torch.rand(1, 3, 21, 26, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(folded(generator)(lr), generator(lr), rtol=1e-5, atol=1e-5)


def test_the_original_stays_as_it_was() -> None:
    generator = network(CONFIGS[2])
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    layers = str(generator)
    folded(generator)
    after = generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert str(generator) == layers


def test_batch_norm_and_prelu_are_gone() -> None:
    kinds = {type(module) for module in folded(network(CONFIGS[2])).modules()}
    assert not kinds & {nn.BatchNorm2d, nn.PReLU}


def test_a_slope_for_each_channel_is_kept() -> None:
    assert any(isinstance(module, nn.PReLU) for module in folded(network(CONFIGS[6])).modules())


@pytest.mark.parametrize(("factor", "kernel"), [(2, 9), (3, 9), (2, 3), (4, 5), (3, 1)])
def test_a_convolution_before_the_shuffle_equals_the_one_after_it(factor: int, kernel: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 3, kernel, padding=kernel // 2)
    unshuffled = torch.randn(2, 5 * factor**2, 7, 6)
    expected = conv(F.pixel_shuffle(unshuffled, factor))
    result = F.pixel_shuffle(before_shuffle(conv, factor)(unshuffled), factor)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_a_kernel_that_changes_the_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"padding \(1, 1\)"):
        before_shuffle(nn.Conv2d(3, 3, 5, padding=1), 2)
