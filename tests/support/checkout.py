"""The checkout, and what its prefect.yaml deploys."""

from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {one["name"]: one for one in PROJECT["deployments"]}


def defaults_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """The default parameters of a deployment, as this environment would register them."""
    # Imported here: most tests do without, and it costs seconds.
    from prefect.utilities.templating import apply_values

    from flows.support.deploying import find_defaults

    found: dict[str, Any] = apply_values(
        deployment.get("parameters", {}), {"settings": find_defaults()}
    )
    return found


def flow_of(deployment: dict[str, Any]) -> Any:
    """The flow that a deployment runs."""
    path, _, name = deployment["entrypoint"].partition(":")
    return getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
