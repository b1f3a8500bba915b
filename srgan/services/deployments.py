"""The deployments of ``prefect.yaml``: their names on a server that teams share, and registering.

Prefect has one list of deployments, pools and automations for all who use a server.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from srgan.errors import ConfigError, OrchestratorError
from srgan.logs import hidden, own_secrets
from srgan.services.prefect_setup import SIGN_IN
from srgan.settings import Settings

DATASET = "srgan.dataset."
"""Events about a dataset name it by this and its name."""

_NAME, _ID = "prefect.resource.name", "prefect.resource.id"
_SHOWN_CHARS = 3000
_LIMIT_S = 300.0


def read_project(file: Path, settings: Settings) -> dict[str, Any]:
    """Return ``prefect.yaml`` with the team's names; `ConfigError` if the file is damaged."""
    try:
        project: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        _name_all(project["deployments"], settings)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} is not a project of Prefect with deployments, each in a pool: {error!r}"
        ) from error
    return project


def _name_all(deployments: list[dict[str, Any]], settings: Settings) -> None:
    """Name deployments, pools and triggers as the team's."""
    for each in deployments:
        each["name"] = settings.shared(each["name"])
        # Copied, because an alias in YAML is the same pool for all.
        each["work_pool"] = {
            **each["work_pool"],
            "name": settings.shared(each["work_pool"]["name"]),
        }
        for trigger in each.get("triggers", []):
            trigger["name"] = settings.shared(trigger["name"])
            related = trigger.get("match_related", [])
            for resource in (
                trigger.get("match", {}),
                *([related] if isinstance(related, dict) else related),
            ):
                _name(resource, settings)


def _name(resource: dict[str, str], settings: Settings) -> None:
    """Name what a trigger waits for as the team's."""
    if (name := resource.get(_NAME)) is not None:
        negated = "!" if name.startswith("!") else ""
        resource[_NAME] = negated + settings.shared(name.removeprefix("!"))
    if (found := resource.get(_ID, "")).startswith(DATASET):
        resource[_ID] = DATASET + settings.shared(found.removeprefix(DATASET))


def register(
    project: Mapping[str, Any], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Register the deployments of `read_project` without questions; safe to repeat.

    `folder` has ``flows/``; the server is that of the `environment`, by default this process's.
    `OrchestratorError` with Prefect's words if it fails, or after 5 minutes.
    """
    with tempfile.TemporaryDirectory(prefix="srgan-deploy-") as directory:
        file = Path(directory) / "prefect.yaml"
        file.write_text(yaml.safe_dump(dict(project), sort_keys=False), encoding="utf-8")
        prefect = str(Path(sys.executable).with_name("prefect"))
        command = [prefect, "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        try:
            answer = subprocess.run(  # noqa: S603 - a fixed command
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise OrchestratorError(
                f"`prefect deploy --all` has not ended after {_LIMIT_S:.0f} s; `srgan doctor` "
                "tells whether Prefect's server answers"
            ) from error
    if answer.returncode:
        hint = f"\n{SIGN_IN}" if "401 Unauthorized" in answer.stdout else ""
        # Hidden before it is cut, or the rest of a password could stand where it begins.
        shown = hidden(answer.stdout, own_secrets())[-_SHOWN_CHARS:]
        raise OrchestratorError(f"`prefect deploy --all` failed:\n{shown}{hint}")
