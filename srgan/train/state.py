"""A stage as named parts (bytes) and back: everything that the next step depends on."""

from io import BytesIO
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from srgan.errors import CheckpointError
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator
from srgan.train.step import Stage, copy_generator

_OPTIMISERS = "optimisers"


def dump_stage(stage: Stage) -> dict[str, bytes]:
    """Parts ``generator``, ``ema`` and ``discriminator`` where there are, and ``optimisers``.

    Waits for the device: the copy must be of one moment.
    """
    parts: dict[str, bytes] = {}
    for name, network in stage.networks().items():
        if isinstance(network, Generator):
            parts[name] = dump_generator(network)
        else:
            tensors = network.state_dict().items()
            parts[name] = save({key: value.cpu().contiguous() for key, value in tensors})
    rest: dict[str, Any] = {name: update.state() for name, update in stage.updates.items()}
    if stage.ema:
        rest["ema_updates"] = stage.ema.num_updates
    buffer = BytesIO()
    torch.save(rest, buffer)
    parts[_OPTIMISERS] = buffer.getvalue()
    return parts


def load_stage(stage: Stage, parts: dict[str, bytes]) -> None:
    """Put a stage into the state that `dump_stage` saw; `CheckpointError` names the part."""
    expected = {*stage.networks(), _OPTIMISERS}
    if parts.keys() != expected:
        raise CheckpointError(f"checkpoint has parts {sorted(parts)}, needed: {sorted(expected)}")
    for name, network in stage.networks().items():
        if isinstance(network, Generator):
            copy_generator(parts[name], network)
            continue
        try:
            network.load_state_dict(load(parts[name]))
        except (SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"part {name!r} does not fit its network: {error}") from error
    # Only tensors and plain containers: a checkpoint must not be able to run code.
    rest = torch.load(BytesIO(parts[_OPTIMISERS]), map_location=stage.device, weights_only=True)
    for name, update in stage.updates.items():
        update.load_state(rest[name])
    if stage.ema:
        stage.ema.num_updates.copy_(rest["ema_updates"])
