"""`srgan export`: a generator as a file for other programs."""

import hashlib
import os
from pathlib import Path
from typing import Annotated

import typer

from srgan.cli_generators import open_generator
from srgan.errors import ConfigError

_SUFFIXES = (".onnx", ".safetensors")


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A weights file or models:/NAME@ALIAS")
    ],
    to: Annotated[Path, typer.Option("--to", help="Result: FILE.onnx or FILE.safetensors")],
) -> None:
    """Write a generator as ONNX, verified against torch, or as safetensors with its config."""
    if to.suffix not in _SUFFIXES:
        raise ConfigError(f"{to} ends in neither of {', '.join(_SUFFIXES)}")
    if to.exists():
        raise ConfigError(f"{to} exists; choose another one with --to")
    if not to.parent.is_dir():
        raise ConfigError(f"{to.parent} is no folder; make it first")
    generator = open_generator(model)
    if to.suffix == ".onnx":
        from srgan.models.onnx_export import export_onnx

        difference = export_onnx(generator, to)
        typer.echo(f"{to}, at most {difference:.1e} away from torch on two sizes")
        return
    from srgan.models.interchange import dump_generator

    data = dump_generator(generator)
    unfinished = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(to)
    finally:
        unfinished.unlink(missing_ok=True)
    typer.echo(f"{to}, SHA-256 {hashlib.sha256(data).hexdigest()}")
