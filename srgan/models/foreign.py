"""Import generators from foreign files: recognised by their keys, checked, never run."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor

from srgan.errors import CheckpointError, ConfigError, explain
from srgan.models import ncnn
from srgan.models.adopted import adopt, is_installed
from srgan.models.base import Generator
from srgan.models.build import build_empty_generator
from srgan.models.interchange import (
    FORMAT,
    check_finite,
    check_weights,
    is_own,
    load_generator,
)
from srgan.models.namings import Naming, recognise
from srgan.models.weights_file import is_safetensors, read_tensors_file

CONTAINERS = ("params_ema", "params-ema", "params", "ema_state_dict", "state_dict")
"""Where checkpoints keep their weights; averaged weights first, because they are better."""
_PREFIXES = ("module.", "_orig_mod.")  # added by DistributedDataParallel, averaging, compiling
_NO_WEIGHT = "n_averaged"  # how often torch's AveragedModel was updated


class Imported(NamedTuple):
    """A generator, the format of its file, and the SHA-256 of the file."""

    generator: Generator
    format: str
    """``MSRResNet of BasicSR, torch.save``, or the name of our format."""
    sha256: str
    """Digest of the file; for a pair of ncnn, of the graph's bytes followed by the weights'."""


def import_file(path: Path) -> Imported:
    """Load a generator on the CPU in eval mode from a file, of our format or a published one.

    Reads what `read_import` does, and either file of a pair of ncnn, ``NAME.param`` and
    ``NAME.bin``. `CheckpointError` names the file and what is wrong in it.
    """
    try:
        return _import_file(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _import_file(path: Path) -> Imported:
    data = path.read_bytes()
    # Published checkpoints of torch are called .bin too, so the graph decides.
    graph = path.with_suffix(".param")
    param = data if path == graph else graph.read_bytes() if graph.is_file() else b""
    if path.suffix not in (".param", ".bin") or not ncnn.is_ncnn(param):
        return read_import(data)
    if path == graph:
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise CheckpointError(
                f"{weights.name} is missing, which holds the weights of this graph"
            )
        data = weights.read_bytes()
    return _from_ncnn(param, data)


def _from_ncnn(param: bytes, weights: bytes) -> Imported:
    graph = ncnn.read_graph(param, weights)
    try:
        config = ncnn.config_of(graph)
    except ValidationError as error:
        raise CheckpointError(f"the network of this graph cannot be built: {explain(error)}") from (
            error
        )
    generator = build_empty_generator(config)
    expected = generator.state_dict()
    state = ncnn.state_of(graph, list(expected))
    check_weights(state, expected, config)
    generator.load_state_dict(state, assign=True)
    ncnn.check_equal(graph, generator.eval())
    digest = hashlib.sha256(param + weights).hexdigest()
    return Imported(generator, f"{type(generator).__name__}, ncnn", digest)


def read_import(data: bytes) -> Imported:
    """Load a generator on the CPU in eval mode, from our format or a known published naming.

    Reads safetensors and `torch.save` files of SRResNet (``conv1.0``, ``trunk.N.rcb.M``), BasicSR's
    MSRResNet, the ×4 RRDBNet of ESRGAN and Real-ESRGAN, and SRVGGNetCompact, and whatever the
    package spandrel reads if it is installed. `CheckpointError` names the keys that are missing,
    unknown or have another shape, as they are called in the file.
    """
    digest = hashlib.sha256(data).hexdigest()
    if is_own(data):
        return Imported(load_generator(data), FORMAT, digest)
    state = _tensors(read_tensors_file(data))
    container = "safetensors" if is_safetensors(data) else "torch.save"
    try:
        generator, title = _native(state)
    except CheckpointError as error:
        if not is_installed():
            raise
        check_finite(state)
        try:
            adopted = adopt(state)
        except (CheckpointError, ConfigError) as second:
            raise CheckpointError(f"{error}; {second}") from second
        generator, title = adopted, f"{adopted.architecture} by spandrel"
    return Imported(generator.eval(), f"{title}, {container}", digest)


def _native(state: dict[str, Tensor]) -> tuple[Generator, str]:
    """Put tensors into a network of ours; also returns the title of their naming."""
    naming = recognise(state)
    config = naming.config(state)
    generator = build_empty_generator(config)
    expected = generator.state_dict()
    theirs = {name: naming.theirs(name, config) for name in expected}
    state = _with_counters(set(theirs.values()), state)
    check_weights(state, {theirs[name]: expected[name] for name in expected}, config)
    ours = {name: state[theirs[name]] for name in expected}
    generator.load_state_dict(_in_our_range(ours, naming), assign=True)
    return generator, naming.title


def _tensors(loaded: object) -> dict[str, Tensor]:
    """Find the tensors of a checkpoint by their bare names; floats become float32."""
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"expected a dictionary of tensors, got {type(loaded).__name__}")
    weights: Mapping[object, object] = loaded
    for container in CONTAINERS:
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
                f"{key} holds {type(value).__name__}, not a tensor; weights are expected at the "
                f"top level or under {', '.join(CONTAINERS)}"
            )
        tensor = value.detach()
        state[name] = tensor.float() if tensor.is_floating_point() else tensor
    return state


def _bare(name: str) -> str:
    while prefix := next((each for each in _PREFIXES if name.startswith(each)), ""):
        name = name.removeprefix(prefix)
    return name


def _with_counters(names: set[str], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add batch norm's batch counters if a checkpoint lacks them; inference does not read them."""
    counters = {name for name in names - state.keys() if name.endswith(".num_batches_tracked")}
    return state | {name: torch.zeros((), dtype=torch.long) for name in counters}


def _in_our_range(state: dict[str, Tensor], naming: Naming) -> dict[str, Tensor]:
    """Change the last layer of SRResNet from images in [0, 1] to [−1, 1]: y becomes 2y − 1."""
    if not naming.unit_range:
        return state
    return state | {
        "exit.weight": 2 * state["exit.weight"],
        "exit.bias": 2 * state["exit.bias"] - 1,
    }
