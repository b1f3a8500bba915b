"""Save and load generators: safetensors with the config that rebuilds the network. No pickle."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor

from srgan.config import GeneratorConfig
from srgan.errors import CheckpointError, explain, first_few
from srgan.models.adopted import KIND, adopt
from srgan.models.base import Generator
from srgan.models.build import build_empty_generator
from srgan.models.weights_file import read_safetensors
from srgan.refs import Blend

_OURS = "srgan-generator-"
FORMAT = "srgan-generator-1"
_ALIGNMENT = 8


def dump_generator(generator: Generator) -> bytes:
    """Write weights, batch statistics, config, and what the generator was blended of, if it was.

    Equal networks always give equal bytes.
    """
    if generator.config is None:
        raise ValueError(f"{type(generator).__name__} has no weights to save")
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()
    }
    metadata = {"config": generator.config.model_dump_json(), "format": FORMAT}
    if generator.blend is not None:
        metadata["blend"] = generator.blend.model_dump_json()
    return _canonical(save(tensors, metadata))


def load_generator(data: bytes) -> Generator:
    """Load a generator on the CPU in eval mode; `CheckpointError` says what does not fit.

    The bytes are only parsed as JSON and numbers, so nothing in them can run.
    """
    tensors = read_safetensors(data)
    metadata = _split(data)[0].get("__metadata__") or {}
    config = _read_config(metadata)
    if config.kind == KIND:
        check_finite(tensors)
        adopted = adopt(tensors)
        adopted.blend = _read_blend(metadata)
        return adopted
    _check_claims(config, tensors)
    # Without memory or random numbers: loading must not change the seed of a training run.
    generator = build_empty_generator(config)
    check_weights(tensors, generator.state_dict(), config)
    generator.load_state_dict(tensors, assign=True)
    generator.blend = _read_blend(metadata)
    return generator.eval()


def is_own(data: bytes) -> bool:
    """Return whether this is a safetensors file that claims our format, in any version."""
    try:
        metadata = _split(data)[0]["__metadata__"]
        return str(metadata["format"]).startswith(_OURS)
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def _read_config(metadata: dict[str, str]) -> GeneratorConfig:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"expected a generator of format {FORMAT!r}, got {metadata.get('format')!r}; "
            + (
                "another release of srgan wrote it, so read it with that one"
                if metadata.get("format", "").startswith(_OURS)
                else "`srgan import-weights FILE` converts files of other programs"
            )
        )
    try:
        return GeneratorConfig.model_validate_json(metadata.get("config", ""))
    except ValidationError as error:
        raise CheckpointError(
            f"the generator config in the file is not valid: {explain(error)}"
        ) from error


def _read_blend(metadata: dict[str, str]) -> Blend | None:
    if "blend" not in metadata:
        return None
    try:
        return Blend.model_validate_json(metadata["blend"])
    except ValidationError as error:
        raise CheckpointError(
            f"what the file says it was blended of is not valid: {explain(error)}"
        ) from error


def _check_claims(config: GeneratorConfig, tensors: dict[str, Tensor]) -> None:
    """Refuse a config that the tensors contradict, before building it could take hours."""
    widest = max((max(tensor.shape, default=0) for tensor in tensors.values()), default=0)
    if config.num_blocks > len(tensors) or config.num_channels > widest:
        raise CheckpointError(
            f"the config in the file says {config.num_blocks} blocks of {config.num_channels} "
            f"channels, but its {len(tensors)} tensors have {widest} values along their longest "
            "side: it is damaged or was altered"
        )


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` for a tensor that holds NaN or infinite values."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name} holds NaN or infinite values")


def check_weights(
    found: dict[str, Tensor], expected: dict[str, Tensor], config: GeneratorConfig
) -> None:
    """Raise `CheckpointError` unless keys, shapes and types are equal and values finite."""
    unknown = [f"{name} is unknown" for name in sorted(found.keys() - expected.keys())]
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    for name in sorted(expected.keys() & found.keys()):
        want, have = expected[name], found[name]
        if (have.shape, have.dtype) != (want.shape, want.dtype):
            problems.append(
                f"{name} is {tuple(have.shape)} {have.dtype}, "
                f"expected {tuple(want.shape)} {want.dtype}"
            )
        elif not bool(torch.isfinite(have).all()):
            problems.append(f"{name} holds NaN or infinite values")
        elif name.endswith("running_var") and bool((have < 0).any()):
            problems.append(f"{name} holds negative variances")
    if unknown or problems:
        # Separate lists: unknown names show whose file this is, even if many are missing.
        raise CheckpointError(
            f"the weights do not make a {config.kind} ×{config.scale} "
            f"({config.num_blocks} blocks, {config.num_channels} channels): "
            + "; ".join(first_few(each) for each in (unknown, problems) if each)
        )


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Split a safetensors file (8 bytes of length, JSON, tensors) into header and tensor bytes."""
    end = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:end])
    return header, data[end:]


def _canonical(data: bytes) -> bytes:
    """Sort the keys in the header of a safetensors file.

    safetensors writes its metadata in the random order of a hash map, so equal networks would
    differ in their SHA-256, which names checkpoints and model versions.
    """
    header, body = _split(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + body
