"""The `srgan` command, assembled from its groups of commands.

`srgan --help` must stay instant, so this package imports neither torch, numpy, MLflow, Prefect nor
boto3: commands import what costs more than a few milliseconds when they run.
"""

import io
import sys
from typing import Annotated, Any

import typer

from srgan.cli.blend import blend
from srgan.cli.console import Commands, complain
from srgan.cli.models import models_app
from srgan.cli.mos import mos_app
from srgan.cli.photos import degrade, evaluate, upscale
from srgan.cli.setup import alerts, deploy, doctor
from srgan.cli.stack import demo, stack_app
from srgan.cli.versions import gc, trace
from srgan.cli.weights import export, import_weights, weights_app
from srgan.errors import ConfigError, SrganError
from srgan.logs import configure
from srgan.recipes import RECIPES, get_recipe
from srgan.settings import Settings

_USAGE = 2
"""Exit status of typer too, when it refuses an option."""


class _App(Commands):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Show errors that this project raises on purpose as messages, not as tracebacks."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A file's name that the terminal cannot show must not end the command.
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().__call__(*arguments, **options)
        except SrganError as error:
            complain(f"error: {error}")
            sys.exit(_USAGE if isinstance(error, ConfigError) else 1)


def _print_version(wanted: bool) -> None:
    if wanted:
        from srgan.version import release_version

        typer.echo(f"srgan {release_version()}")
        raise typer.Exit


def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the release, with a digest of its files, and exit.",
        ),
    ] = False,
) -> None:
    """Train, evaluate, promote and run super-resolution GANs."""
    configure(Settings(), sys.stderr)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe as JSON")] = None,
) -> None:
    """List the recipes (complete named configs), or print one."""
    if name:
        typer.echo(get_recipe(name).model_dump_json(indent=2))
        return
    width = max(map(len, RECIPES))
    for known, recipe in RECIPES.items():
        typer.echo(f"{known:<{width}}  {(recipe.__doc__ or '').splitlines()[0]}")


app = _App("Train, evaluate, promote and run super-resolution GANs.")
app.callback()(main)
app.add_typer(stack_app, name="stack")
app.add_typer(weights_app, name="weights")
app.add_typer(models_app, name="models")
app.add_typer(mos_app, name="mos")
for verb in (
    *(degrade, upscale, evaluate, import_weights, blend, export),
    *(trace, gc, recipes, deploy, doctor, alerts, demo),
):
    app.command()(verb)
