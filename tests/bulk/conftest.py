"""The engine that batches run in these tests."""

import pytest
import torch

from srgan.config import GeneratorConfig
from srgan.inference.engine import Engine
from srgan.models.build import build_generator


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    config = GeneratorConfig(kind="bicubic_resnet", scale=4, num_blocks=1, num_channels=8)
    return Engine(build_generator(config), tile=64)
