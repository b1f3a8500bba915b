"""The checkout, and what its prefect.yaml deploys."""

from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {one["name"]: one for one in PROJECT["deployments"]}


def flow_of(deployment: dict[str, Any]) -> Any:
    """The flow that a deployment runs."""
    path, _, name = deployment["entrypoint"].partition(":")
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
