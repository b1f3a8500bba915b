"""`srgan import-weights`: public weights of others into the form that this project runs."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from srgan.errors import ConfigError


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights that others published")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Result; default: FILE.safetensors beside it")
    ] = None,
) -> None:
    """Convert a checkpoint of SRResNet, MSRResNet or RRDBNet to safetensors with its config."""
    from srgan.models.foreign import import_generator
    from srgan.models.interchange import dump_generator

    if not file.is_file():
        raise ConfigError(f"{file} is no file")
    target = to or file.with_suffix(".safetensors")
    if target.exists():
        raise ConfigError(f"{target} exists; choose another one with --to")
    generator = import_generator(file.read_bytes())
    config = generator.config
    assert config is not None  # every file holds a network with weights
    data = dump_generator(generator)
    target.write_bytes(data)
    num_parameters = sum(parameter.numel() for parameter in generator.parameters())
    typer.echo(
        f"{config.kind} ×{config.scale}, {config.num_blocks} blocks of {config.num_channels} "
        f"channels, {num_parameters:,} parameters\n"
        f"{target}, SHA-256 {hashlib.sha256(data).hexdigest()}"
    )
