"""Steps of prefect.yaml: what is known only where a deployment is registered, or where it runs.

Prefect itself would write the registering shell's variables into it, and nothing for unset ones.
"""

from pathlib import Path

from prefect.deployments.steps.pull import set_working_directory

from srgan.keys import prefix_of_team
from srgan.settings import Settings


def find_place() -> dict[str, str]:
    """Return where default parameters have photos, as ``place``; when it is registered.

    It is the bucket's address, or a team's place in it.
    """
    settings = Settings()
    return {"place": f"s3://{settings.bucket}/{prefix_of_team(settings.team)}".rstrip("/")}


def enter_checkout() -> dict[str, str]:
    """Go to the folder in which this worker has ``flows/``, and return it; before a run."""
    return set_working_directory(str(Path(__file__).resolve().parents[2]))
