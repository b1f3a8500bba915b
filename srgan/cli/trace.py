"""`srgan trace`: where an upscaled image or a model version comes from."""

from pathlib import Path
from typing import Annotated

import typer

from srgan.cli.console import AsJson, print_json, say
from srgan.cli.services import services_for
from srgan.errors import ConfigError
from srgan.report.chain import as_svg, as_text


def trace(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="s3://BUCKET/KEY of an upscaled image, or models:/NAME/VERSION"
        ),
    ],
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw the chain into this SVG file")
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Also list every photo that the model was trained on")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the chain from an upscaled image to its model, runs, dataset, photos and code."""
    from srgan.versions.trace import check_address, source_keys
    from srgan.versions.trace import trace as find

    if svg and not svg.parent.is_dir():
        raise ConfigError(f"--svg {svg}: there is no folder {svg.parent}")
    check_address(address)
    tell = say if as_json else typer.echo
    with services_for(say=tell) as services:
        chain = find(services, address)
        if not as_json:
            typer.echo(as_text(chain))
        if svg:
            svg.write_text(as_svg(chain, alone=True), encoding="utf-8")
            tell(f"\ndrawn in {svg}")
        photos = source_keys(services, address) if sources else None
        if as_json:
            print_json({"chain": chain, "photos": photos})
        elif photos is not None:
            typer.echo("\n".join(["\nphotos:", *photos]))
