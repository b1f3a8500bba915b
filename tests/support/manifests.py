"""The platform's view of infra/: overlays as kubectl renders them, and the compose file."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.checkout import ROOT

KUBERNETES = ROOT / "infra" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
WITH_TEAM = [*OVERLAYS, *(f"{overlay} + team" for overlay in OVERLAYS)]
"""The overlays, and each of them with a second team, `anna`."""
COMPOSE = ROOT / "infra" / "docker" / "compose.yaml"
EXAMPLE_ENV = COMPOSE.with_name("example.env")
DOCKERFILE = COMPOSE.with_name("Dockerfile")

WORKLOADS = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True)
class Pod:
    """One kind of pod of an overlay."""

    owner: str
    """``Deployment/mlflow``; for a RayCluster its group too."""
    labels: dict[str, str]
    spec: dict[str, Any]
    ray_start: dict[str, str] | None = None
    """Options of `ray start`, which KubeRay makes the command of; None for other pods."""

    @property
    def container(self) -> dict[str, Any]:
        """The container of ours; each pod has one."""
        (one,) = self.spec["containers"]
        return one


@cache
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """Objects of an overlay, as `kubectl apply -k` would send them; of `WITH_TEAM` too."""
    name, _, team = overlay.partition(" + ")
    if not team:
        return render(KUBERNETES / "overlays" / name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "kubernetes"
        shutil.copytree(KUBERNETES, copy)
        file = copy / "overlays" / name / "kustomization.yaml"
        described = yaml.safe_load(file.read_text())
        described["resources"].append("../../team")  # as the folder's comment says
        file.write_text(yaml.safe_dump(described))
        return render(file.parent)


def render(folder: Path) -> tuple[dict[str, Any], ...]:
    """Objects of a folder with a kustomization."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("kubectl")), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    found = tuple(yaml.safe_load_all(done.stdout))
    assert found, f"{folder} makes nothing"
    return found


def find(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """One object of an overlay."""
    (one,) = (
        each
        for each in rendered(overlay)
        if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return one


def pods(overlay: str) -> list[Pod]:
    """Every kind of pod that an overlay starts, which is at least one."""
    found = list(_pods(overlay))
    assert found, f"{overlay} starts nothing"
    return found


def _pods(overlay: str) -> Iterator[Pod]:
    for one in rendered(overlay):
        name = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] in WORKLOADS:
            template = one["spec"]["template"]
            yield Pod(name, template["metadata"]["labels"], template["spec"])
        elif one["kind"] == "RayCluster":
            cluster = {"ray.io/cluster": one["metadata"]["name"]}
            head = one["spec"]["headGroupSpec"]
            yield Pod(
                f"{name}/head",
                cluster | {"ray.io/node-type": "head"},
                head["template"]["spec"],
                head["rayStartParams"],
            )
            for group in one["spec"]["workerGroupSpecs"]:
                yield Pod(
                    f"{name}/{group['groupName']}",
                    cluster | {"ray.io/node-type": "worker"},
                    group["template"]["spec"],
                    group["rayStartParams"],
                )


def pod(overlay: str, owner: str) -> Pod:
    """One kind of pod of an overlay."""
    (one,) = (each for each in pods(overlay) if each.owner == owner)
    return one


def environment(overlay: str, container: dict[str, Any]) -> dict[str, str]:
    """Variables of a container by name: their values, or ``secret SECRET/KEY``.

    A secret that is taken whole has the keys in `SECRETS`.
    """
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= find(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
        else:
            name = source["secretRef"]["name"]
            found |= {variable: f"secret {name}/{variable}" for variable in SECRETS[name]}
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {})
        if "secretKeyRef" in reference:
            key = reference["secretKeyRef"]
            found[variable["name"]] = f"secret {key['name']}/{key['key']}"
        elif "configMapKeyRef" in reference:
            key = reference["configMapKeyRef"]
            found[variable["name"]] = find(overlay, "ConfigMap", key["name"])["data"][key["key"]]
        else:
            found[variable["name"]] = expanded(variable["value"], found)
    return found


def command(overlay: str, container: dict[str, Any]) -> list[str]:
    """A container's command with the variables that Kubernetes puts in."""
    return [expanded(word, environment(overlay, container)) for word in container["command"]]


def expanded(text: str, variables: dict[str, str]) -> str:
    """Put variables in for ``$(NAME)``, as Kubernetes does; `KeyError` for an unknown one."""
    return re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], text)


SECRETS = {
    "srgan-databases": ("postgres", "prefect", "mlflow"),
    "srgan-prefect": ("auth",),
    "srgan-ray": ("auth_token",),
    "srgan-s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
"""Secrets that docs/deploying.md tells people to make, with their keys."""


def example_env() -> dict[str, str]:
    """Variables of example.env, those that are commented out left out."""
    lines = EXAMPLE_ENV.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def optional_env() -> set[str]:
    """Names of the variables of example.env that are commented out."""
    return set(re.findall(r"^#([A-Z_]+)=", EXAMPLE_ENV.read_text(), re.MULTILINE))


@cache
def compose() -> dict[str, Any]:
    """The compose file, as compose sees it with a filled-in .env."""
    filled = {name: f"example-{name.lower()}" for name in example_env()}
    return yaml.safe_load(_substituted(COMPOSE.read_text(), filled))


def services() -> dict[str, dict[str, Any]]:
    """Services of the compose file, which has at least one."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    assert found
    return found


def _substituted(text: str, variables: dict[str, str]) -> str:
    """Put variables in for ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}``."""

    def put(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name in variables:
            return variables[name]
        assert default is not None, f"example.env has no {name}"
        return default

    pattern = r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}"
    return re.sub(pattern, put, text)


QUANTITY = {"": 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}


def number(quantity: str) -> float:
    """A quantity of Kubernetes: ``500m``, ``2Gi``."""
    match = re.fullmatch(r"(\d+)(m|Mi|Gi|)", quantity)
    assert match, quantity
    return int(match[1]) * QUANTITY[match[2]]


def shared_memory(one: Pod) -> float:
    """Bytes of a pod's /dev/shm."""
    found = empty_folder(one, "/dev/shm")
    assert found["medium"] == "Memory"
    return number(found["sizeLimit"])


def empty_folder(one: Pod, path: str) -> dict[str, str]:
    """The volume that is mounted there, empty when the pod starts."""
    (mount,) = (each["name"] for each in one.container["volumeMounts"] if each["mountPath"] == path)
    (volume,) = (each for each in one.spec["volumes"] if each["name"] == mount)
    found: dict[str, str] = volume["emptyDir"]
    return found
