"""Pixels on their way to the device and back: what waits, in which order, and what is lost."""

import copy
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from srgan.config import GeneratorConfig
from srgan.errors import ImageError
from srgan.inference import engine as engine_module
from srgan.inference.engine import Engine
from srgan.inference.ensemble import SelfEnsemble
from srgan.inference.levels import Outgoing
from srgan.inference.tiles import LEAST_SIDE
from srgan.models.base import Generator
from srgan.models.interpolation import Bicubic, Bilinear, Nearest
from tests.support.networks import random_generator
from tests.support.pixels import Pixels, photo_of

CPU = torch.device("cpu")
NETWORKS = [
    random_generator(GeneratorConfig.model_validate(config))
    for config in (
        {"kind": "srresnet", "scale": 2, "num_blocks": 1, "num_channels": 4},
        {"kind": "bicubic_resnet", "scale": 2, "num_blocks": 1, "num_channels": 4},
        {"kind": "msrresnet", "scale": 2, "num_blocks": 1, "num_channels": 4},
        {"kind": "rrdbnet", "scale": 4, "num_blocks": 1, "num_channels": 4},
        {"kind": "srvgg", "scale": 2, "num_blocks": 1, "num_channels": 4},
        {"kind": "srcnn", "scale": 2},
        {"kind": "fsrcnn", "scale": 2},
        {"kind": "espcn", "scale": 3},
    )
]
FAST = NETWORKS[1]
WAITS = {
    "item",  # also `float()` of a tensor
    "is_nonzero",  # `bool()` of a tensor
    "_local_scalar_dense",
    "lift_fresh",  # `torch.tensor` of values of the host, which are copied to the device
    "nonzero",
    "equal",
}
"""Operations that wait for a GPU."""
needs_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class _Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own
        self.names[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["fp32", "auto"])
@pytest.mark.parametrize(
    "generator",
    [*NETWORKS, SelfEnsemble(FAST), Nearest(2), Bilinear(3), Bicubic(4)],
    ids=lambda generator: type(generator).__name__,
)
def test_only_the_end_of_an_image_waits_for_the_device_whatever_its_tiles(
    generator: Generator, precision: Any
) -> None:
    engine = Engine(copy.deepcopy(generator), tile=LEAST_SIDE, precision=precision, device="cpu")
    tiles: list[int] = []
    for side in (100, 300):
        with _Counted() as counted:
            engine.upscale(photo_of(side, side))
        waits = {name: count for name, count in counted.names.items() if name in WAITS}
        assert waits == {"is_nonzero": 1}, "whether all values are finite"
        tiles.append(counted.names["round"])
    assert tiles == [1, 9]


def sr_of(value: float) -> Tensor:
    return torch.full((1, 3, 2, 2), value)


class _Delayed(Outgoing):
    """Keeps pieces under way, as on a GPU."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._most_under_way = 3


def test_pieces_are_placed_in_the_order_in_which_they_are_sent() -> None:
    placed: list[int] = []
    outgoing = _Delayed(CPU)
    for index in range(6):
        value = 2 * index / 255 - 1
        outgoing.send(sr_of(value), np.uint8, lambda pixels: placed.append(int(pixels[0, 0, 0, 0])))
    assert placed == [0, 1, 2], "the others are under way"
    outgoing.finish()
    assert placed == [0, 1, 2, 3, 4, 5]


def test_on_a_cpu_nothing_is_under_way() -> None:
    placed: list[Pixels] = []
    outgoing = Outgoing(CPU)
    outgoing.send(sr_of(1.0), np.uint8, placed.append)
    assert placed[0].shape == (1, 2, 2, 3)
    assert (placed[0] == 255).all()


def test_a_piece_that_could_not_be_placed_is_placed_later() -> None:
    outgoing, placed, room = Outgoing(CPU), [], [False, True]

    def place(pixels: Pixels) -> None:
        if not room.pop(0):
            raise MemoryError
        placed.append(pixels)

    with pytest.raises(MemoryError):
        outgoing.send(sr_of(0.0), np.uint8, place)
    outgoing.finish()
    assert len(placed) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_value_that_is_not_finite_is_an_error_even_if_all_later_ones_are(
    value: float, dtype: Any
) -> None:
    outgoing, sr = Outgoing(CPU), sr_of(0.0)
    sr[0, 1, 1, 0] = value
    for each in (sr_of(0.0), sr, sr_of(0.0)):
        outgoing.send(each, dtype, lambda pixels: None)
    with pytest.raises(ImageError, match="not_finite"):
        outgoing.finish()


class _Forgetful(Generator):
    """Nearest, but its head runs out of memory at some of its pieces."""

    def __init__(self, *fails: int) -> None:
        super().__init__()
        self.inner, self.scale, self.config = Nearest(2), 2, None
        self.trunk_radius = self.head_radius = 0
        self.fails, self.num_pieces = fails, 0

    def trunk(self, lr: Tensor) -> Tensor:
        return lr

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        self.num_pieces += 1
        if self.num_pieces in self.fails:
            raise MemoryError
        return self.inner(lr)


@pytest.mark.parametrize("fails", [(2,), (7,), (8, 9)])
def test_memory_that_runs_out_while_pieces_are_under_way_costs_no_pixel(
    fails: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "Outgoing", _Delayed)
    image = photo_of(700, 650)
    result = Engine(_Forgetful(*fails), tile=600, device="cpu").upscale(image)
    np.testing.assert_array_equal(result, image.repeat(2, 0).repeat(2, 1))


@needs_a_gpu
def test_on_a_gpu_only_the_end_of_an_image_waits() -> None:
    engine = Engine(copy.deepcopy(FAST), tile=LEAST_SIDE, precision="auto", device="cuda")
    engine.upscale(photo_of(150, 150))  # loads the kernels
    for side in (100, 600):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                engine.upscale(photo_of(side, side))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits = [str(each.message) for each in caught if "called a synch" in str(each.message)]
        assert len(waits) == 1, waits


@needs_a_gpu
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_of_a_gpu_arrive_whole_and_in_their_places(dtype: Any) -> None:
    levels = np.iinfo(dtype).max + 1
    image = np.random.default_rng(0).integers(0, levels, (1500, 1300, 3), dtype)
    engine = Engine(Nearest(2), tile=200, device="cuda")
    for _ in range(3):
        np.testing.assert_array_equal(engine.upscale(image), image.repeat(2, 0).repeat(2, 1))


@needs_a_gpu
def test_a_gpu_computes_while_pieces_are_copied() -> None:
    device = torch.device("cuda")
    outgoing, sr = Outgoing(device), torch.zeros(1, 3, 64, 64, device=device)
    placed: list[Pixels] = []
    outgoing.send(sr, np.uint8, placed.append)
    torch.cuda._sleep(2_000_000_000)  # the next pieces
    copied = outgoing._under_way[0].copied
    assert copied is not None
    copied.synchronize()
    assert not torch.cuda.current_stream().query(), "the copy waited for the computation"
    outgoing.finish()
    assert (placed[0] == 128).all()
