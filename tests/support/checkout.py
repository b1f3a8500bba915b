"""The checkout, and what its prefect.yaml deploys."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {one["name"]: one for one in PROJECT["deployments"]}
