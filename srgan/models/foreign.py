"""Import generators from foreign files: recognised by their keys, checked, never run."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, explain, first_few
from srgan.models.base import Generator
from srgan.models.build import build_empty_generator
from srgan.models.interchange import FORMAT, check_weights, is_own, load_generator

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Naming:
    """A published naming of one network's parameters."""

    title: str
    mark: str
    """A key that only this naming has."""
    sizes: Callable[[State], dict[str, object]]
    """Reads scale, blocks and channels from the shapes."""
    renames: tuple[tuple[str, str], ...] = ()
    """Patterns of our keys and their replacements; the first match counts."""
    unit_range: bool = False
    """True if its last layer makes images in [0, 1]; ours makes them in [−1, 1]."""

    def config(self, state: State) -> GeneratorConfig:
        """Read the config of the generator from its tensors, or raise a `CheckpointError`."""
        try:
            return GeneratorConfig.model_validate(self.sizes(state))
        except ValidationError as error:
            raise CheckpointError(f"this {self.title} cannot be built: {explain(error)}") from error

    def theirs(self, name: str) -> str:
        """Return their key for one of our keys."""
        for pattern, replacement in self.renames:
            if re.match(pattern, name):
                return re.sub(pattern, replacement, name)
        return name


def recognise(keys: Collection[str]) -> Naming:
    """Find the naming of these keys; `CheckpointError` lists the keys and the known namings."""
    for naming in _NAMINGS:
        if naming.mark in keys:
            return naming
    shown = first_few(sorted(keys), ", ") or "none"
    known = "; ".join(f"{naming.title} ({naming.mark})" for naming in _NAMINGS)
    raise CheckpointError(f"unknown keys: {shown}; networks that can be loaded: {known}")


def _srresnet(state: State) -> dict[str, object]:
    channels = _width(state, "conv1.0.weight")
    stages = _numbered(state, r"upsampling\.(\d+)\.upsample_block\.0\.weight")
    return {
        "kind": "srresnet",
        "scale": math.prod(_factor(state, stage, channels) for stage in stages),
        "num_blocks": len(_numbered(state, r"trunk\.(\d+)\.rcb\.0\.weight")),
        "num_channels": channels,
    }


def _msrresnet(state: State) -> dict[str, object]:
    channels = _width(state, "conv_first.weight")
    stages = [name for name in ("upconv1.weight", "upconv2.weight") if name in state]
    return {
        "kind": "msrresnet",
        "scale": math.prod(_factor(state, stage, channels) for stage in stages),
        "num_blocks": len(_numbered(state, r"body\.(\d+)\.conv1\.weight")),
        "num_channels": channels,
    }


def _rrdbnet(state: State) -> dict[str, object]:
    # Real-ESRGAN's ×2 and ×1 fold 2×2 and 4×4 pixels into the channels of a ×4 network.
    folded = {12: 2, 48: 1}.get(_width(state, "conv_first.weight", axis=1), 4)
    return {
        "kind": "rrdbnet",
        "scale": folded,
        "num_blocks": len(
            _numbered(state, r"(?:body|RRDB_trunk)\.(\d+)\.(?:rdb|RDB)1\.conv1\.weight")
        ),
        "num_channels": _width(state, "conv_first.weight"),
    }


def _numbered(state: State, pattern: str) -> list[str]:
    return sorted(name for name in state if re.fullmatch(pattern, name))


def _width(state: State, name: str, axis: int = 0) -> int:
    """Return the output (or input) channels of a convolution."""
    if name not in state:
        raise CheckpointError(f"{name} is missing")
    if state[name].ndim != 4:
        raise CheckpointError(f"{name} is {tuple(state[name].shape)}, expected a convolution's")
    return state[name].shape[axis]


def _factor(state: State, name: str, channels: int) -> int:
    """Return the factor of the pixel shuffle that follows a convolution."""
    return math.isqrt(_width(state, name) // max(1, channels))


_NAMINGS = (
    Naming(
        title="SRResNet",
        mark="trunk.0.rcb.0.weight",
        sizes=_srresnet,
        renames=(
            (r"entry\.", "conv1."),
            (r"blocks\.(\d+)\.body\.", r"trunk.\1.rcb."),
            (r"bridge\.", "conv2."),
            (r"upsampling\.(\d+)\.", r"upsampling.\1.upsample_block."),
            (r"exit\.", "conv3."),
        ),
        unit_range=True,
    ),
    Naming(title="MSRResNet of BasicSR", mark="body.0.conv1.weight", sizes=_msrresnet),
    Naming(title="RRDBNet of Real-ESRGAN", mark="body.0.rdb1.conv1.weight", sizes=_rrdbnet),
    Naming(
        title="RRDBNet of ESRGAN",
        mark="RRDB_trunk.0.RDB1.conv1.weight",
        sizes=_rrdbnet,
        renames=(
            (r"body\.(\d+)\.rdb(\d)\.", r"RRDB_trunk.\1.RDB\2."),
            (r"conv_body\.", "trunk_conv."),
            (r"conv_up(\d)\.", r"upconv\1."),
            (r"conv_hr\.", "HRconv."),
        ),
    ),
)

_CONTAINERS = ("params_ema", "params", "ema_state_dict", "state_dict")
"""Where checkpoints keep their weights; averaged weights first, because they are better."""
_PREFIXES = ("module.", "_orig_mod.")  # added by DistributedDataParallel, averaging, compiling
_NO_WEIGHT = "n_averaged"  # how often torch's AveragedModel was updated


class Imported(NamedTuple):
    """A generator and the format of its file."""

    generator: Generator
    format: str
    """``MSRResNet of BasicSR, torch.save``, or the name of our format."""


def import_generator(data: bytes) -> Generator:
    """Load a generator on the CPU in eval mode, from our format or a known published naming.

    Reads safetensors and `torch.save` files of SRResNet (``conv1.0``, ``trunk.N.rcb.M``), BasicSR's
    MSRResNet and the ×4 RRDBNet of ESRGAN and Real-ESRGAN. `CheckpointError` names the keys that
    are missing, unknown or have another shape, as they are called in the file.
    """
    return read_import(data).generator


def read_import(data: bytes) -> Imported:
    """Load as `import_generator` does, and name the format."""
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
    return data[8:9] == b"{"  # a length of 8 bytes, then JSON


def _read(data: bytes) -> object:
    if _is_safetensors(data):
        try:
            return load(data)
        except SafetensorError as error:
            raise CheckpointError(f"this is not a complete safetensors file: {error}") from error
    try:
        return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    # The exceptions that torch raises on other files have no common base: UnpicklingError,
    # RuntimeError, EOFError, KeyError, AttributeError and more.
    except Exception as error:
        if code := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"loading this file would run {code[1]}, and files that run code are not loaded; "
                "ask its author to save only the state_dict()"
            ) from error
        what = str(error).partition("\n")[0]
        begins = f"begins with {data[:16]!r}" if data else "is empty"
        raise CheckpointError(
            "this is neither a safetensors file nor a complete one of torch.save: it "
            f"{begins} ({type(error).__name__}{': ' * bool(what)}{what})"
        ) from error


def _tensors(loaded: object) -> dict[str, Tensor]:
    """Find the tensors of a checkpoint by their bare names; floats become float32."""
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
                f"{key} holds {type(value).__name__}, not a tensor; weights are expected at the "
                f"top level or under {', '.join(_CONTAINERS)}"
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
