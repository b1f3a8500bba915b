"""Whether a program takes a command line: its own parser reads it, and nothing is started."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from prefect.cli._app import _app as prefect
from ray.scripts.scripts import cli as ray
from typer.main import get_command

from srgan.cli import app
from tests.support.checkout import DEPLOYMENTS, ROOT, defaults_of, flow_of
from tests.support.mlflow_code import cli as mlflow
from tests.support.shell import SUBSTITUTED

_AT_ONCE = {"--help", "--version", "--install-completion", "--show-completion"}
_SOME_ID = "00000000-0000-4000-8000-000000000000"
_MAKEFILE = (ROOT / "Makefile").read_text()


def understands(words: Sequence[str], stdin: str | None = None) -> None:
    """Raise unless a program takes a command line; `KeyError` names a program of which nobody here
    knows."""
    program, *arguments = words
    _PROGRAMS[Path(program).name](arguments, stdin)


def _srgan(arguments: list[str], _: str | None) -> None:
    # These do their work while the line is parsed: one writes into the shell's files.
    arguments = [each for each in arguments if each not in _AT_ONCE]
    if not arguments:
        return
    command, name = get_command(app), "srgan"
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        assert name in command.commands, f"there is not a command `srgan … {name}`"
        command = command.commands[name]
    arguments = ["3" if each == "N" else each for each in arguments]
    try:
        command.make_context(name, arguments)
    except Exception as error:
        if "does not exist" not in str(error):  # the page's files are not here
            raise


def _prefect(arguments: list[str], _: str | None) -> None:
    if arguments[0] == "--no-prompt":  # of a parser around the one that is asked here
        arguments = arguments[1:]
    arguments = [_SOME_ID if each == "ID" else each for each in arguments]
    _, given, *_ = prefect.parse_args(arguments, exit_on_error=False, print_error=False)
    if arguments[:2] == ["deployment", "run"] and len(arguments) > 2:
        _run(**given.arguments)
    if arguments[:2] == ["deployment", "inspect"]:
        assert arguments[2].rpartition("/")[2] in DEPLOYMENTS
    for word in arguments:
        if word.startswith("infra/"):
            assert (ROOT / word).is_file(), f"{word} is not there"


def _run(
    name: str, params: list[str] | None = None, multiparams: str | None = None, **_: Any
) -> None:
    """`prefect deployment run`: a deployment of ours, with parameters that its flow takes."""
    flow, _, deployed = name.partition("/")
    deployed = deployed.rpartition("~")[2]  # without the name of a team
    assert deployed in DEPLOYMENTS, f"prefect.yaml has no deployment {name}"
    deployment = DEPLOYMENTS[deployed]
    taken = flow_of(deployment)
    assert flow == taken.name, f"{name}: its flow is {taken.name}"
    given = dict(each.split("=", 1) for each in params or [])
    values = {key: _value(text) for key, text in given.items() if SUBSTITUTED not in text}
    values |= json.loads(multiparams or "{}")
    unknown = {*given, *values} - taken.parameters.properties.keys()
    assert not unknown, f"{name} does not take {', '.join(sorted(unknown))}"
    taken.validate_parameters(defaults_of(deployment) | values)


def _value(text: str) -> Any:
    """A parameter's value, read as `prefect deployment run --param` reads it.

    A word in capitals stands for a name.
    """
    if re.fullmatch(r"[A-Z-]+", text):
        return text.lower()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _click(group: Any) -> Any:
    def takes(arguments: list[str], _: str | None) -> None:
        command, name = group, ""
        while hasattr(command, "commands"):
            name, *arguments = arguments
            command = command.commands[name]
        command.make_context(name, arguments)

    return takes


def _weed(arguments: list[str], _: str | None) -> None:
    options = {each.lstrip("-").partition("=")[0] for each in arguments if each != "mini"}
    assert options <= _options_of_weed()


@cache
def _options_of_weed() -> set[str]:
    """Names of the options that `weed mini` has, and those before `mini`."""
    shown = subprocess.run(
        [_beside_python("weed"), "help", "mini"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return {*re.findall(r"^ +-(\S+)", shown.stdout + shown.stderr, re.M), "logtostderr"}


def _python(arguments: list[str], stdin: str | None) -> None:
    first, *rest = arguments
    if first == "-c":
        compiles(rest[0])
    elif first == "-":
        assert stdin is not None
        compiles(stdin)
    elif first == "-m":
        _module(*rest)
    else:
        assert (ROOT / first).is_file(), f"{first} is not there"
        _takes_options(first, [ROOT / first], rest)


def _module(name: str, *arguments: str) -> None:
    if name == "pytest":
        files = [each.replace("/FOLDER", "") for each in arguments if not each.startswith("-")]
        assert all((ROOT / each).exists() for each in files), f"{files} are not all there"
        return
    path = ROOT / name.replace(".", "/")
    sources = (
        [path.with_suffix(".py")] if path.with_suffix(".py").exists() else [*path.glob("*.py")]
    )
    assert sources, f"there is not a module {name}"
    _takes_options(name, sources, arguments)


def _takes_options(name: str, files: list[Path], arguments: Sequence[str]) -> None:
    source = "".join(each.read_text() for each in files)
    for option in (each.partition("=")[0] for each in arguments if each.startswith("--")):
        assert f'"{option}"' in source, f"{name} has no option {option}"


def compiles(code: str) -> None:
    """Raise unless Python code compiles and what it takes from srgan is there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("srgan"):
            for name in node.names:
                assert hasattr(importlib.import_module(str(node.module)), name.name), name.name
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "srgan":
            assert hasattr(importlib.import_module("srgan"), node.attr), f"srgan.{node.attr}"


def _make(arguments: list[str], _: str | None) -> None:
    targets = set(re.findall(r"^([a-z-]+):", _MAKEFILE, re.M))
    for word in arguments:
        name, is_set, _ = word.partition("=")
        if is_set:
            assert f"$({name})" in _MAKEFILE, f"the Makefile does not read {name}"
        else:
            assert name in targets, f"the Makefile has no target {name}"


def _kubectl(arguments: list[str], stdin: str | None) -> None:
    if "--" in arguments:
        inner = arguments.index("--")
        _in_container(arguments[inner + 1 :])
        arguments = arguments[:inner]
    shown = subprocess.run(
        [_beside_python("kubectl"), *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in shown.stdout, f"kubectl has not this command: {arguments}"
    for word in arguments:
        if word.startswith("infra/"):
            assert (ROOT / word).exists(), f"{word} is not there"


def _docker(arguments: list[str], _: str | None) -> None:
    """There is no Docker to ask: files, services, build arguments and inner commands are ours."""
    assert arguments[0] in ("build", "compose", "run")
    for option, value in pairwise(arguments):
        if option == "-f":
            assert (ROOT / value).is_file(), f"{value} is not there"
        if option == "--build-arg":
            dockerfile = (ROOT / "infra" / "docker" / "Dockerfile").read_text()
            assert f"ARG {value.partition('=')[0]}" in dockerfile
    if "exec" in arguments:
        service, *inner = [
            each for each in arguments[arguments.index("exec") + 1 :] if each not in ("-T", "-it")
        ]
        composed = yaml.safe_load((ROOT / "infra" / "docker" / "compose.yaml").read_text())
        assert service in composed["services"], f"compose.yaml has no service {service}"
        _in_container(inner)


def _pip(arguments: list[str], _: str | None) -> None:
    """Never by our own name: what an index has under it is not ours."""
    assert arguments[0] in ("install", "download")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in arguments[1:]:
        name, _, wanted = word.rstrip("]").partition("[")
        assert name != "srgan", "an index may have another project of that name"
        if name == ".":
            assert set(wanted.split(",")) <= extras["optional-dependencies"].keys()


def _in_container(words: list[str]) -> None:
    if words[0] not in ("bash", "pg_dump", "pg_restore"):
        understands(words)


def _sudo(arguments: list[str], stdin: str | None) -> None:
    understands(arguments, stdin)


def _beside_python(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


_PROGRAMS = {
    "srgan": _srgan,
    "prefect": _prefect,
    "mlflow": _click(mlflow),
    "ray": _click(ray),
    "weed": _weed,
    "python": _python,
    "pip": _pip,
    "make": _make,
    "kubectl": _kubectl,
    "docker": _docker,
    "sudo": _sudo,
}
