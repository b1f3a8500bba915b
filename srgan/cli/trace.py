"""`srgan trace`: where an upscaled image or a model version comes from."""

from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Print the chain from an upscaled image to its model, runs, dataset, photos and code."""
    from srgan.services.mlflow_runs import mlflow_errors, require_answer
    from srgan.settings import Settings
    from srgan.versions.trace import check_address, source_keys
    from srgan.versions.trace import trace as find

    settings = Settings()
    if svg and not svg.parent.is_dir():
        raise ConfigError(f"--svg {svg}: there is no folder {svg.parent}")
    check_address(address)
    require_answer(settings)
    with mlflow_errors(explain=settings):
        chain = find(settings, address, typer.echo)
        typer.echo(as_text(chain))
        if svg:
            svg.write_text(as_svg(chain, alone=True), encoding="utf-8")
            typer.echo(f"\ndrawn in {svg}")
        if sources:
            typer.echo("\nphotos:")
            for key in source_keys(settings, address, typer.echo):
                typer.echo(key)
