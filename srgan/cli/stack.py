"""`srgan stack`: the services of this machine. `srgan demo` starts them and drives them."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srgan.cli.console import AsJson, Commands, print_json

if TYPE_CHECKING:
    from srgan.stack import Stack
    from srgan.stack.local import ServiceStatus

stack_app = Commands("Start, watch and stop the services of this machine.")


@stack_app.command()
def up() -> None:
    """Start S3, Prefect with a worker, MLflow and Ray, and wait until all of them answer."""
    stack = _stack()
    typer.echo(f"local stack in {stack.home}")
    started = stack.up(report=typer.echo)
    if not started:
        typer.echo("everything was already running")
    _print_services(stack.status())
    typer.echo(
        'To use it in a shell   eval "$(srgan stack env)"\n'
        f"Token for Ray's page   {stack.state.ray_token_path}\n"
        "To stop it             srgan stack down"
    )


@stack_app.command()
def down() -> None:
    """Stop exactly what `up` started. Data, logs and credentials stay."""
    stack = _stack()
    stopped = stack.down()
    was = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
    typer.echo(f"{was} in {stack.home}")


@stack_app.command()
def status(as_json: AsJson = False) -> None:
    """Show the state of each service; exit with 1 unless all of them run."""
    stack = _stack()
    services = stack.status()
    if as_json:
        print_json({"home": stack.home, "services": services})
    else:
        _print_services(services)
    for name in (each.name for each in services if each.state == "failed"):
        typer.echo(f"\n{name} died; the last lines of {stack.log_path(name)}:", err=as_json)
        typer.echo(stack.log_tail(name), err=as_json)
    if any(each.state != "running" for each in services):
        raise typer.Exit(1)


@stack_app.command()
def logs(
    service: Annotated[str | None, typer.Argument(help="One service; default: all")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines per service")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new lines until Ctrl-C")
    ] = False,
) -> None:
    """Print the last lines of the services' logs."""
    from srgan.stack import SERVICES

    stack = _stack()
    names = [service] if service else list(SERVICES)
    if follow:
        paths = [str(stack.log_path(name)) for name in names]
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *paths])  # noqa: S606, S607
    for name in names:
        if len(names) > 1:
            typer.echo(f"==> {stack.log_path(name)} <==")
        typer.echo(stack.log_tail(name, lines))


@stack_app.command()
def env() -> None:
    """Print shell lines with which `prefect`, `mlflow` and `ray job` find the services."""
    from srgan.settings import foreign_variables

    variables = _stack().env()
    # A session token or profile for another S3 would be sent to this one.
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
    """Register the flows of prefect.yaml with the running Prefect server, without questions."""
    _stack().deploy()
    typer.echo("deployed; see them with `prefect deployment ls`")


def demo(
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of your photos; default: those of scikit-image and scikit-learn"),
    ] = None,
) -> None:
    """Run the whole pipeline on real photos, from training to upscaling. It takes minutes."""
    from srgan.settings import foreign_variables

    stack = _stack()
    # Gives this process what `eval "$(srgan stack env)"` gives a shell: libraries that read
    # their own variables find the local services, and no others.
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


def _print_services(services: "list[ServiceStatus]") -> None:
    typer.echo(f"{'service':<9}{'state':<10}{'pid':>8}  {'up':>8}  address")
    for service in services:
        pid = service.pid or "-"
        up_for = f"{service.uptime_s} s" if service.pid else "-"
        typer.echo(f"{service.name:<9}{service.state:<10}{pid:>8}  {up_for:>8}  {service.page}")
