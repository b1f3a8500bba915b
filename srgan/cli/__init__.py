"""The `srgan` command. Commands import what they need when they run: `--help` stays instant."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srgan.cli.gc import gc
from srgan.cli.models import models_app
from srgan.cli.mos import mos_app
from srgan.cli.photos import degrade, evaluate, upscale
from srgan.cli.trace import trace
from srgan.cli.weights import export, import_weights, weights_app
from srgan.errors import SrganError

if TYPE_CHECKING:
    from srgan.stack import Stack


class _App(typer.Typer):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Show errors that this project raises on purpose as messages, not as tracebacks."""
        try:
            return super().__call__(*arguments, **options)
        except SrganError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            sys.exit(1)


app = _App(
    help="Train, evaluate, promote and run super-resolution GANs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stack_app = typer.Typer(help="The services of this machine.", no_args_is_help=True)
app.add_typer(stack_app, name="stack")
app.add_typer(weights_app, name="weights")
app.add_typer(models_app, name="models")
app.add_typer(mos_app, name="mos")
for verb in (degrade, upscale, evaluate, import_weights, export, trace, gc):
    app.command()(verb)


@stack_app.command()
def up() -> None:
    """Start S3, Prefect with a worker, MLflow and Ray; wait until all of them answer."""
    stack = _stack()
    typer.echo(f"local stack in {stack.home}")
    started = stack.up(report=typer.echo)
    if not started:
        typer.echo("everything was running already")
    _print_services(stack)
    typer.echo(
        'Shells find it with   eval "$(srgan stack env)"\n'
        "Ray's page asks for the token in " + str(stack.state.ray_token_path) + "\n"
        "Stop it with          srgan stack down"
    )


@stack_app.command()
def down() -> None:
    """End exactly what `up` started. Data, logs and credentials stay."""
    stopped = _stack().down()
    typer.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@stack_app.command()
def status() -> None:
    """Show the state of each service; exit code 1 unless all of them run."""
    stack = _stack()
    states = _print_services(stack)
    for name in (name for name, state in states.items() if state == "failed"):
        typer.echo(f"\n{name} died; the last lines of {stack.log_path(name)}:")
        typer.echo(stack.log_tail(name))
    if set(states.values()) != {"running"}:
        raise typer.Exit(1)


@stack_app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="One service; default: all")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines per service")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C")] = False,
) -> None:
    """Last lines of the services' logs."""
    from srgan.stack import SERVICES

    stack = _stack()
    names = [service] if service else list(SERVICES)
    if follow:
        paths = [str(stack.log_path(name)) for name in names]
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *paths])  # noqa: S606, S607
    for name in names:
        if len(names) > 1:
            typer.secho(f"==> {stack.log_path(name)} <==", bold=True)
        typer.echo(stack.log_tail(name, lines))


@stack_app.command()
def env() -> None:
    """Shell lines with which `prefect`, `mlflow` and `ray job` find the services."""
    from srgan.settings import foreign_variables

    variables = _stack().env()
    # A session token or profile of another S3 would be sent to this one.
    for name in foreign_variables():
        if name not in variables:
            typer.echo(f"unset {name}")
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    programs = shlex.quote(str(Path(sys.executable).parent))
    # Only once, however often the lines are evaluated.
    typer.echo(f'case ":$PATH:" in *:{programs}:*) ;; *) export PATH={programs}:"$PATH" ;; esac')


@stack_app.command()
def deploy() -> None:
    """Register the flows of prefect.yaml with the running Prefect server; asks nothing."""
    from srgan.stack import deploy as deploy_flows

    deploy_flows(_stack())
    typer.echo("deployed; see them with `prefect deployment ls`")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one as JSON")] = None,
) -> None:
    """List the recipes (complete named configs), or print one."""
    from srgan.recipes import RECIPES, get_recipe

    if name:
        typer.echo(get_recipe(name).model_dump_json(indent=2))
        return
    width = max(map(len, RECIPES))
    for known, recipe in RECIPES.items():
        typer.echo(f"{known:<{width}}  {(recipe.__doc__ or '').splitlines()[0]}")


@app.command()
def demo(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of your own photos; default: those that ship")
    ] = None,
) -> None:
    """The whole pipeline on real photos: train, evaluate, promote, upscale. About five minutes."""
    from srgan.settings import foreign_variables

    stack = _stack()
    # This process is then what a shell is after `eval "$(srgan stack env)"`: the libraries that
    # read their own variables find the local services, and no others.
    stack.up(report=typer.echo)
    for name in foreign_variables():
        del os.environ[name]
    os.environ.update(stack.env())
    from srgan.demo import run_demo

    raise typer.Exit(run_demo(stack, photos.expanduser() if photos else None))


def _stack() -> "Stack":
    from srgan.settings import Settings
    from srgan.stack import Stack

    return Stack(Settings().home)


def _print_services(stack: "Stack") -> dict[str, str]:
    services = stack.status()
    typer.echo(f"{'service':<9}{'state':<10}{'pid':>8}  {'up':>8}  address")
    for service in services:
        pid = service.pid or "-"
        up_for = f"{service.uptime_s} s" if service.pid else "-"
        typer.echo(f"{service.name:<9}{service.state:<10}{pid:>8}  {up_for:>8}  {service.page}")
    return {service.name: service.state for service in services}
