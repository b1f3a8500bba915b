"""Published namings of networks' parameters: recognised by one key, sizes read from the shapes."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, explain, first_few

StateDict = Mapping[str, Tensor]

_OTHERS = "the extra spandrel reads others: pip install -e '.[spandrel]'"


@dataclass(frozen=True)
class Naming:
    """A published naming of one network's parameters."""

    title: str
    mark: str
    """A key that only this naming has."""
    sizes: Callable[[StateDict], dict[str, object]]
    """Reads scale, blocks and channels from the shapes."""
    renames: tuple[tuple[str, str], ...] = ()
    """Patterns of our keys and their replacements; the first match counts. ``{blocks}`` stands for
    the number of blocks."""
    unit_range: bool = False
    """True if its last layer makes images in [0, 1]; ours makes them in [−1, 1]."""

    def config(self, state: StateDict) -> GeneratorConfig:
        """Read the config of the generator from its tensors, or raise a `CheckpointError`."""
        try:
            return GeneratorConfig.model_validate(self.sizes(state))
        except ValidationError as error:
            raise CheckpointError(
                f"this {self.title} cannot be built: {explain(error)}; {_OTHERS}"
            ) from error

    def theirs(self, name: str, config: GeneratorConfig) -> str:
        """Return their key for one of our keys."""
        for pattern, replacement in self.renames:
            if re.match(pattern, name):
                key = re.sub(pattern, replacement, name)
                return key.replace("{blocks}", str(config.num_blocks))
        return name


def recognise(keys: Collection[str]) -> Naming:
    """Find the naming of these keys; `CheckpointError` lists the keys and the known namings."""
    for naming in NAMINGS:
        if naming.mark in keys:
            return naming
    shown = first_few(sorted(keys), ", ") or "none"
    known = "; ".join(f"{naming.title} ({naming.mark})" for naming in NAMINGS)
    raise CheckpointError(f"unknown keys: {shown}; networks that can be loaded: {known}; {_OTHERS}")


def _srresnet(state: StateDict) -> dict[str, object]:
    channels = _width(state, "conv1.0.weight")
    stages = _numbered(state, r"upsampling\.(\d+)\.upsample_block\.0\.weight")
    return {
        "kind": "srresnet",
        "scale": math.prod(_factor(state, stage, channels) for stage in stages),
        "num_blocks": len(_numbered(state, r"trunk\.(\d+)\.rcb\.0\.weight")),
        "num_channels": channels,
    }


def _msrresnet(state: StateDict) -> dict[str, object]:
    channels = _width(state, "conv_first.weight")
    stages = [name for name in ("upconv1.weight", "upconv2.weight") if name in state]
    return {
        "kind": "msrresnet",
        "scale": math.prod(_factor(state, stage, channels) for stage in stages),
        "num_blocks": len(_numbered(state, r"body\.(\d+)\.conv1\.weight")),
        "num_channels": channels,
    }


def _rrdbnet(state: StateDict) -> dict[str, object]:
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


def _old_rrdbnet(state: StateDict) -> dict[str, object]:
    # model.0 is the first layer; from model.2 on there is one convolution for each doubling, then
    # two more. Between them lie layers without weights, which are counted.
    layers = _numbered(state, r"model\.\d+\.weight")
    return {
        "kind": "rrdbnet",
        "scale": 2 ** max(0, len(layers) - 3),
        "num_blocks": len(_numbered(state, r"model\.1\.sub\.(\d+)\.RDB1\.conv1\.0\.weight")),
        "num_channels": _width(state, "model.0.weight"),
    }


def _srvgg(state: StateDict) -> dict[str, object]:
    # Python reads no numbers of thousands of digits.
    names = _numbered(state, r"body\.\d{1,9}\.weight")
    convolutions = [name for name in names if state[name].ndim == 4]
    last = max(convolutions, key=lambda name: int(name.split(".")[1]), default="body.0.weight")
    return {
        "kind": "srvgg",
        "scale": _factor(state, last, 3),
        "num_blocks": len(convolutions) - 2,
        "num_channels": _width(state, "body.0.weight"),
    }


def _numbered(state: StateDict, pattern: str) -> list[str]:
    return sorted(name for name in state if re.fullmatch(pattern, name))


def _width(state: StateDict, name: str, axis: int = 0) -> int:
    """Return the output (or input) channels of a convolution."""
    if name not in state:
        raise CheckpointError(f"{name} is missing")
    if state[name].ndim != 4:
        raise CheckpointError(f"{name} is {tuple(state[name].shape)}, expected a convolution's")
    return state[name].shape[axis]


def _factor(state: StateDict, name: str, channels: int) -> int:
    """Return the factor of the pixel shuffle that follows a convolution."""
    return math.isqrt(_width(state, name) // max(1, channels))


NAMINGS = (
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
    Naming(
        title="RRDBNet of ESRGAN, old naming",
        mark="model.1.sub.0.RDB1.conv1.0.weight",
        sizes=_old_rrdbnet,
        renames=(
            (r"conv_first\.", "model.0."),
            (r"body\.(\d+)\.rdb(\d)\.conv(\d)\.", r"model.1.sub.\1.RDB\2.conv\3.0."),
            (r"conv_body\.", "model.1.sub.{blocks}."),
            (r"conv_up1\.", "model.3."),
            (r"conv_up2\.", "model.6."),
            (r"conv_hr\.", "model.8."),
            (r"conv_last\.", "model.10."),
        ),
    ),
    Naming(title="SRVGGNetCompact of Real-ESRGAN", mark="body.0.weight", sizes=_srvgg),
)
