"""Every command in infra/ is one that its program takes."""

from collections.abc import Iterator

import pytest

from tests.support.manifests import WITH_TEAM, command, pods, services
from tests.support.programs import understands

NOT_OURS = {"postgres", "prometheus", "grafana"}
"""Images of others, whose programs are not installed here."""


def all_commands() -> Iterator[tuple[str, list[str]]]:
    """Where a command stands, and its words; what KubeRay makes of `rayStartParams` too."""
    for service, one in services().items():
        if service not in NOT_OURS:
            yield f"compose: {service}", one["command"]
    for overlay in WITH_TEAM:
        for one in pods(overlay):
            where = f"{overlay}: {one.owner}"
            if one.ray_start is not None:
                options = [f"--{name}={value}" for name, value in one.ray_start.items()]
                kind = "--head" if one.owner.endswith("/head") else "--address=srgan-head-svc:6379"
                yield where, ["ray", "start", kind, *options, "--block"]
            elif "command" in one.container:
                yield where, command(overlay, one.container)


@pytest.mark.parametrize("words", [pytest.param(each, id=where) for where, each in all_commands()])
def test_a_program_understands_its_command(words: list[str]) -> None:
    assert words[0] != "prefect" or words[1] == "--no-prompt", "nobody is there to answer"
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
