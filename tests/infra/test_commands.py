"""Every command in infra/ is one that its program takes."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from prefect.cli._app import _app as prefect
from ray.scripts.scripts import cli as ray

from tests.support.manifests import OVERLAYS, command, pods, services
from tests.support.mlflow_code import cli as mlflow

NOT_OURS = {"postgres", "prometheus", "grafana"}
"""Images of others, whose programs are not installed here."""


def all_commands() -> Iterator[tuple[str, list[str]]]:
    """Where a command stands, and its words; what KubeRay makes of `rayStartParams` too."""
    for service, one in services().items():
        if service not in NOT_OURS:
            yield f"compose: {service}", one["command"]
    for overlay in OVERLAYS:
        for one in pods(overlay):
            where = f"{overlay}: {one.owner}"
            if one.ray_start is not None:
                options = [f"--{name}={value}" for name, value in one.ray_start.items()]
                kind = "--head" if one.owner.endswith("/head") else "--address=srgan-head-svc:6379"
                yield where, ["ray", "start", kind, *options, "--block"]
            elif "command" in one.container:
                yield where, command(overlay, one.container)


def understands(words: list[str]) -> None:
    """Raise unless a program takes a command line; nothing is started."""
    program, *arguments = words
    if program == "prefect":
        assert arguments.pop(0) == "--no-prompt", "nobody is there to answer"
        prefect.parse_args(arguments, exit_on_error=False, print_error=False)
    elif program in ("mlflow", "ray"):
        name, *options = arguments
        group = mlflow if program == "mlflow" else ray
        group.commands[name].make_context(name, options)
    elif program == "weed":
        assert options_of(arguments) <= options_of_weed()
    else:
        assert words[:2] == ["python", "-c"]
        compile(words[2], program, "exec")


def options_of(arguments: list[str]) -> set[str]:
    """Names of the options of `weed mini`."""
    options = [each for each in arguments if each != "mini"]
    return {each.lstrip("-").partition("=")[0] for each in options}


@cache
def options_of_weed() -> set[str]:
    """Names of the options that `weed mini` has, and those before `mini`."""
    weed = str(Path(sys.executable).with_name("weed"))
    shown = subprocess.run([weed, "help", "mini"], capture_output=True, text=True, check=False)
    return {*re.findall(r"^ +-(\S+)", shown.stdout + shown.stderr, re.M), "logtostderr"}


@pytest.mark.parametrize("words", [pytest.param(each, id=where) for where, each in all_commands()])
def test_a_program_understands_its_command(words: list[str]) -> None:
    understands(words)


@pytest.mark.parametrize(
    "line",
    [
        "prefect --no-prompt server begin",
        "prefect --no-prompt worker start --pol srgan",
        "mlflow server --hots=0.0.0.0",
        "ray start --head --num-cpu=2",
        "weed mini -s3.prot=8333",
    ],
)
def test_a_typing_error_in_a_command_is_found(line: str) -> None:
    with pytest.raises(Exception, match=r"(?s).*"):
        understands(line.split())


def test_health_checks_are_programs_that_compile() -> None:
    for name, service in services().items():
        if name not in NOT_OURS and "healthcheck" in service:
            kind, *words = service["healthcheck"]["test"]
            assert kind == "CMD"
            understands(words)
