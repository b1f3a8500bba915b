"""How others name the parameters of networks that we have too: recognised by their keys."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, explain, first_few

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Naming:
    """One published way to name the parameters of one network."""

    title: str
    mark: str
    """A key that only this naming has."""
    sizes: Callable[[State], dict[str, object]]
    """What the shapes say of scale, blocks and channels."""
    renames: tuple[tuple[str, str], ...] = ()
    """Patterns of our keys and what they are called there; the first that fits counts."""
    unit_range: bool = False
    """Whether its last layer makes images in [0, 1], where ours makes them in [−1, 1]."""

    def config(self, state: State) -> GeneratorConfig:
        """The generator that these tensors belong to, or a `CheckpointError`."""
        try:
            return GeneratorConfig.model_validate(self.sizes(state))
        except ValidationError as error:
            raise CheckpointError(
                f"this {self.title} is none that can be built: {explain(error)}"
            ) from error

    def theirs(self, name: str) -> str:
        """Their key for a key of ours."""
        for pattern, replacement in self.renames:
            if re.match(pattern, name):
                return re.sub(pattern, replacement, name)
        return name


def recognise(keys: Collection[str]) -> Naming:
    """The naming that these keys follow; `CheckpointError` lists what there is instead."""
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
    """Output (or input) channels of a convolution."""
    if name not in state:
        raise CheckpointError(f"{name} is missing")
    if state[name].ndim != 4:
        raise CheckpointError(f"{name} is {tuple(state[name].shape)}, expected a convolution's")
    return state[name].shape[axis]


def _factor(state: State, name: str, channels: int) -> int:
    """By how much the pixel shuffle after a convolution enlarges."""
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
