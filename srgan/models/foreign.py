"""Generators from the files of others: sniffed by content, checked key by key, never run."""

import re
from collections.abc import Mapping
from io import BytesIO
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from srgan.errors import CheckpointError
from srgan.models.base import Generator
from srgan.models.build import build_empty_generator
from srgan.models.foreign_names import Naming, recognise
from srgan.models.interchange import FORMAT, check_weights, is_own, load_generator

_CONTAINERS = ("params_ema", "params", "ema_state_dict", "state_dict")
"""Where checkpoints keep their weights; averaged ones first, for they are the better."""
_PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel or averaging, and of compiling
_NO_WEIGHT = "n_averaged"  # how often torch's AveragedModel was updated


class Imported(NamedTuple):
    """A generator, and what it came in."""

    generator: Generator
    format: str
    """``MSRResNet of BasicSR, torch.save``, or the name of our own format."""


def import_generator(data: bytes) -> Generator:
    """Generator on the CPU in eval mode, from a file of ours or of a known published naming.

    Takes safetensors and what `torch.save` wrote, of SRResNet (``conv1.0``, ``trunk.N.rcb.M``),
    BasicSR's MSRResNet and the ×4 RRDBNet of ESRGAN and Real-ESRGAN. `CheckpointError` names
    keys that are missing, unknown or of another shape, as they are called in the file.
    """
    return read_import(data).generator


def read_import(data: bytes) -> Imported:
    """As `import_generator`, with the name of the format."""
    if is_own(data):
        return Imported(load_generator(data), FORMAT)
    state = _tensors(_read(data))
    naming = recognise(state)
    config = naming.config(state)
    generator = build_empty_generator(config)
    expected = generator.state_dict()
    state = _with_counters({naming.theirs(name) for name in expected}, state)
    check_weights(state, {naming.theirs(name): expected[name] for name in expected}, config)
    ours = {name: state[naming.theirs(name)] for name in expected}
    generator.load_state_dict(_in_our_range(ours, naming), assign=True)
    container = "safetensors" if _is_safetensors(data) else "torch.save"
    return Imported(generator.eval(), f"{naming.title}, {container}")


def _is_safetensors(data: bytes) -> bool:
    return data[8:9] == b"{"  # the length of its header, then JSON


def _read(data: bytes) -> object:
    if _is_safetensors(data):
        try:
            return load(data)
        except SafetensorError as error:
            raise CheckpointError(f"this is no whole safetensors file: {error}") from error
    try:
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    # What torch raises on files that are none has no common base: UnpicklingError, RuntimeError,
    # EOFError, KeyError, AttributeError and more.
    except Exception as error:
        if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"loading this file would run {code[1]}, and files that run code are not loaded; "
                "have its author save the state_dict() alone"
            ) from error
        what = str(error).partition("\n")[0]
        begins = f"begins with {data[:16]!r}" if data else "is empty"
        raise CheckpointError(
            "this is neither a safetensors file nor a whole one of torch.save: it "
            f"{begins} ({type(error).__name__}{': ' * bool(what)}{what})"
        ) from error


def _tensors(loaded: object) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their bare names, floats as float32."""
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"expected a dictionary of tensors, got {type(loaded).__name__}")
    weights: Mapping[object, object] = loaded
    for container in _CONTAINERS:
        if isinstance(inner := loaded.get(container), Mapping) and inner:
            weights = inner
            break
    state = {}
    for key, value in weights.items():
        name = _bare(str(key))
        if name == _NO_WEIGHT:
            continue
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{key} holds {type(value).__name__}, not a tensor; weights are looked for at the "
                f"top and under {', '.join(_CONTAINERS)}"
            )
        tensor = value.detach()
        state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return _bare(name.removeprefix(prefix))
    return name


def _with_counters(names: set[str], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Batch norm's counters of batches, which no inference reads, where a checkpoint has none."""
    counters = {name for name in names - state.keys() if name.endswith(".num_batches_tracked")}
    return state | {name: torch.zeros((), dtype=torch.long) for name in counters}


def _in_our_range(state: dict[str, Tensor], naming: Naming) -> dict[str, Tensor]:
    """Last layer of SRResNet from images in [0, 1] to [−1, 1]: y becomes 2y − 1."""
    if not naming.unit_range:
        return state
    return state | {
        "exit.weight": 2 * state["exit.weight"],
        "exit.bias": 2 * state["exit.bias"] - 1,
    }
