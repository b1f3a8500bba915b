"""Keys of Prefect artifacts, which allow fewer signs than the names of models do."""

import re


def artifact_key(model: str, what: str) -> str:
    """``leaves_x4.1``, ``metrics`` → ``leaves-x4-1-metrics``; each key keeps its own history."""
    return f"{re.sub('[^a-z0-9]+', '-', model)}-{what}"
