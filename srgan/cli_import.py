"""`srgan import-weights`: public weights of others into the form that this project runs."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from srgan.cli_generators import check_target
from srgan.disk import write_atomically
from srgan.errors import CheckpointError, ConfigError


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights that others published")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Result; default: FILE.safetensors beside it, unless registered"),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make it a version of this model in the registry"),
    ] = None,
) -> None:
    """Convert a checkpoint of SRResNet, MSRResNet or RRDBNet to safetensors with its config."""
    from srgan.models.foreign import read_import
    from srgan.models.interchange import dump_generator

    if not file.is_file():
        raise ConfigError(f"{file} is no file")
    target = to if to or register else file.with_suffix(".safetensors")
    if target:
        check_target(target)
    data = file.read_bytes()
    try:
        generator, source_format = read_import(data)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    config = generator.config
    assert config is not None  # every file holds a network with weights
    weights = dump_generator(generator)
    num_parameters = sum(parameter.numel() for parameter in generator.parameters())
    typer.echo(
        f"{config.kind} ×{config.scale}, {config.num_blocks} blocks of {config.num_channels} "
        f"channels, {num_parameters:,} parameters"
    )
    if target:
        with write_atomically(target) as draft:
            draft.write_bytes(weights)
        typer.echo(f"{target}, SHA-256 {hashlib.sha256(weights).hexdigest()}")
    if register:
        _register(register, file.name, data, source_format, weights)


def _register(model: str, name: str, data: bytes, source_format: str, weights: bytes) -> None:
    from srgan.adapters.registering import Registrar
    from srgan.evaluate.lineage import ImportLineage
    from srgan.settings import Settings

    lineage = ImportLineage(
        source_file=name,
        source_sha256=hashlib.sha256(data).hexdigest(),
        source_format=source_format,
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    version = Registrar(Settings()).register_import(model, weights, lineage)
    typer.echo(f"{version.uri}, {lineage.run}; no alias points to it")
