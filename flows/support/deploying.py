"""Steps of prefect.yaml: what is known only where a deployment is registered, or where it runs.

Prefect itself would write the registering shell's variables into it, and nothing for unset ones.
"""

from pathlib import Path

from prefect.deployments.steps.pull import set_working_directory

from srgan.keys import prefix_of_team
from srgan.settings import Settings


def find_defaults() -> dict[str, str]:
    """Return what default parameters take from the settings; when a deployment is registered.

    ``place`` is where photos are: the bucket's address, or a team's place in it. ``gpu`` is the
    parameter of that name.
    """
    settings = Settings()
    place = f"s3://{settings.bucket}/{prefix_of_team(settings.team)}".rstrip("/")
    return {"place": place, "gpu": settings.gpu}


def enter_checkout() -> dict[str, str]:
    """Go to the folder in which this worker has ``flows/``, and return it; before a run."""
    return set_working_directory(str(Path(__file__).resolve().parents[2]))
