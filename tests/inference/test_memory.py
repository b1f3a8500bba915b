import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import ConfigError
from srgan.inference import memory
from srgan.inference.device import whole_device
from srgan.inference.engine import Engine
from srgan.inference.memory import PROCESS_BYTES, Costs, costs_of, is_out_of_memory, largest_tile
from srgan.inference.reach import Reach
from srgan.inference.tiles import LEAST_SIDE
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interpolation import Nearest
from tests.support.networks import random_generator
from tests.support.pixels import photo_of

SRRESNET = build_generator(GeneratorConfig())
NOT_THERE = 2**60
"""More bytes than any machine has."""


class _Hungry(Generator):
    """Nearest, but its trunk allocates too much memory above a number of pixels."""

    def __init__(self, most_pixels: int, allocator: str) -> None:
        super().__init__()
        self.inner, self.scale, self.config = Nearest(2), 2, None
        self.trunk_radius, self.head_radius = 3, 0
        self.most_pixels, self.allocator = most_pixels, allocator
        self.sizes: list[int] = []

    def trunk(self, lr: Tensor) -> Tensor:
        self.sizes.append(lr.shape[2] * lr.shape[3])
        if self.sizes[-1] > self.most_pixels:
            if self.allocator == "torch":
                torch.empty(NOT_THERE, dtype=torch.uint8)
            else:
                np.empty(NOT_THERE, np.uint8)
        return lr

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        return self.inner(lr)


@pytest.mark.parametrize("allocator", ["torch", "numpy"])
@pytest.mark.parametrize("tile", [None, 600])
def test_when_memory_runs_out_the_tile_is_halved_and_the_result_is_complete(
    allocator: str, tile: int | None
) -> None:
    image = photo_of(620, 500)
    hungry = _Hungry(40_000, allocator)
    result = Engine(hungry, tile=tile, device="cpu").upscale(image)
    np.testing.assert_array_equal(result, image.repeat(2, 0).repeat(2, 1))
    assert hungry.sizes[-1] <= 40_000


def test_the_next_image_starts_with_the_tile_that_fitted() -> None:
    hungry = _Hungry(40_000, "torch")
    engine = Engine(hungry, tile=600, device="cpu")
    engine.upscale(photo_of(500, 500))
    hungry.sizes.clear()
    engine.upscale(photo_of(500, 500))
    assert max(hungry.sizes) <= 40_000


def test_a_halved_tile_grows_back_when_memory_is_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_UNTIL_LARGER", 3)
    hungry = _Hungry(40_000, "torch")
    engine, image = Engine(hungry, tile=600, device="cpu"), photo_of(500, 500)
    engine.upscale(image)
    hungry.most_pixels = 10**6
    largest = []
    for _ in range(9):
        hungry.sizes.clear()
        engine.upscale(image)
        largest.append(max(hungry.sizes))
    assert largest[0] <= 40_000
    assert largest[-1] == 500 * 500
    assert largest == sorted(largest)
    assert largest[1] == largest[0], "not at once: what ran out of memory would do so again"


def test_memory_that_torch_keeps_on_a_gpu_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(_Hungry(10**9, "torch"), memory_bytes=2**40, device="cpu")
    engine.device = torch.device("cuda")
    held = {"mem_get_info": (2**20, 2**33), "memory_reserved": 2**32, "memory_allocated": 2**20}
    for name, value in held.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    tile = engine._tile_for(1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**32, 2**33))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 2**20)
    assert tile == engine._tile_for(1) > LEAST_SIDE


def test_if_the_smallest_tile_is_too_large_the_error_is_raised() -> None:
    with pytest.raises(RuntimeError, match="memory") as caught:
        Engine(_Hungry(100, "torch"), tile=600, device="cpu").upscale(photo_of(300, 300))
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "GET was unable to find an engine to execute this computation",
        "FIND was unable to find an engine to execute this computation",
    ],
)
def test_what_the_libraries_of_a_gpu_say_counts_as_out_of_memory(text: str) -> None:
    class Full(_Hungry):
        def trunk(self, lr: Tensor) -> Tensor:
            if lr.shape[2] * lr.shape[3] > self.most_pixels:
                raise RuntimeError(text)
            return lr

    image = photo_of(620, 500)
    with whole_device():
        result = Engine(Full(40_000, ""), tile=600, device="cpu").upscale(image)
    np.testing.assert_array_equal(result, image.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    "text", ["CUDA error: an illegal memory access", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"]
)
def test_other_errors_of_a_gpu_do_not(text: str) -> None:
    assert not is_out_of_memory(RuntimeError(text))


def test_other_errors_of_torch_do_not_count_as_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) @ torch.zeros(3)
    assert not is_out_of_memory(caught.value)


def test_costs_count_what_is_alive_at_once() -> None:
    network = random_generator(
        GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=2, num_channels=16)
    )
    costs = costs_of(network, torch.float32, lambda sr: sr)
    # The stream, the features of the block, the result of the convolution, and the pixels.
    assert costs.trunk == pytest.approx(3 * 16 * 4 + 12, abs=16 * 4 + 12)
    assert costs.kept == 16 * 4 + 12
    assert costs.head >= 12 * 4 + 16 * 4


def test_bf16_takes_about_half() -> None:
    full = costs_of(SRRESNET, torch.float32, lambda sr: sr)
    half = costs_of(copy.deepcopy(SRRESNET).bfloat16(), torch.bfloat16, lambda sr: sr)
    assert 0.4 < half.head / full.head < 0.6
    assert 0.4 < half.trunk / full.trunk < 0.6


def test_the_largest_tile_fits_and_the_next_does_not() -> None:
    costs = Costs(trunk=1000, kept=300, head=5000)
    reach = Reach(trunk=38, head=2)
    tile = largest_tile(2**30, costs, reach)
    assert tile % 144 == 0
    assert costs.peak_bytes(tile, reach) <= 2**30 < costs.peak_bytes(tile + 144, reach)


def test_the_upsampling_layers_are_counted_with_their_own_context_only() -> None:
    costs = Costs(trunk=1000, kept=300, head=5000)
    near, far = (costs.peak_bytes(144, Reach(trunk, head=2)) for trunk in (38, 98))
    window = ((144 + 200) ** 2, (144 + 80) ** 2)
    assert far - near == pytest.approx(1.3 * 300 * (window[0] - window[1]), rel=1e-3)


def test_a_budget_without_room_for_one_tile_is_refused_with_the_size_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"takes \d\.\d GiB .* raise --memory"):
        Engine(copy.deepcopy(SRRESNET), memory_bytes=PROCESS_BYTES + 2**20, device="cpu")


def test_a_larger_budget_takes_larger_tiles() -> None:
    sizes = []
    for memory_bytes in (PROCESS_BYTES + 30 * 2**20, PROCESS_BYTES + 2**30):
        hungry = _Hungry(10**9, "torch")
        Engine(hungry, memory_bytes=memory_bytes, device="cpu").upscale(photo_of(600, 600))
        sizes.append(max(hungry.sizes))
    assert sizes[0] < sizes[1]
