"""Self-ensemble of a network."""

import numpy as np
import pytest
import torch

from srgan.config import GeneratorConfig
from srgan.inference import engine as engine_module
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.interchange import dump_generator
from srgan.models.interpolation import Bicubic
from tests.support.networks import random_generator

GENERATOR = random_generator(
    GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=4)
).eval()


@torch.no_grad()
def test_it_does_not_depend_on_how_the_image_is_turned() -> None:
    lr = torch.rand(1, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    ensemble = SelfEnsemble(GENERATOR)
    expected = ensemble(lr)
    for turns in range(4):
        for flipped in (False, True):
            turned = torch.rot90(lr.flip(3) if flipped else lr, turns, (2, 3))
            sr = torch.rot90(ensemble(turned), -turns, (2, 3))
            torch.testing.assert_close(sr.flip(3) if flipped else sr, expected)
    assert not torch.allclose(GENERATOR(lr), expected), "a single network depends on it"


@torch.no_grad()
def test_it_changes_nothing_for_a_network_that_is_symmetric() -> None:
    lr = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(SelfEnsemble(Bicubic(3))(lr), Bicubic(3)(lr))


def test_it_works_with_lower_precision_and_a_memory_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "computes_bf16", lambda device: True)
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    ensemble = SelfEnsemble(GENERATOR)
    exact = Engine(ensemble, device="cpu").upscale(image)
    fast = Engine(ensemble, precision="auto", device="cpu").upscale(image)
    assert 0 < np.abs(exact.astype(int) - fast).max() <= 3


def test_tiles_give_the_whole_images_result() -> None:
    image = np.random.default_rng(0).integers(0, 256, (160, 310, 3), np.uint8)
    whole, tiled = (
        Engine(SelfEnsemble(GENERATOR), tile=tile, device="cpu").upscale(image)
        for tile in (400, 150)
    )
    np.testing.assert_array_equal(whole, tiled)


def test_it_has_no_weights_to_save() -> None:
    with pytest.raises(ValueError, match="SelfEnsemble has no weights"):
        dump_generator(SelfEnsemble(GENERATOR))
