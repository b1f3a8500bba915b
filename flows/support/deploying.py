"""Steps of prefect.yaml: what is known only where a deployment is registered, or where it runs.

Prefect itself would write the registering shell's variables into it, and nothing for unset ones.
"""

from pathlib import Path

from prefect.deployments.steps.pull import set_working_directory

from srgan.settings import Settings


def find_bucket() -> dict[str, str]:
    """Return the bucket that default parameters name, as ``bucket``; when it is registered."""
    return {"bucket": Settings().bucket}


def enter_checkout() -> dict[str, str]:
    """Go to the folder in which this worker has ``flows/``, and return it; before a run."""
    return set_working_directory(str(Path(__file__).resolve().parents[2]))
