"""`srgan export`: a generator as a file for other programs."""

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from srgan.cli_generators import check_target, open_generator
from srgan.disk import write_atomically
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
    check_target(to)
    generator = open_generator(model)
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
