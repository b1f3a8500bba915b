"""Artifacts that flows show on the page of their run."""

import re
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact


def artifact_key(name: str, what: str) -> str:
    """``leaves_x4.1``, ``metrics`` → ``leaves-x4-1-metrics``; each key keeps its own history."""
    return f"{re.sub('[^a-z0-9]+', '-', name)}-{what}"


class ProgressArtifact:
    """A progress bar, made when there is something to show."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._made: UUID | None = None

    def show(self, percent: float, text: str) -> None:
        """Show a share of the work, at most 100 %, and a text."""
        percent = min(100.0, percent)
        if self._made is None:
            made = create_progress_artifact(percent, key=self._key, description=text)
            assert isinstance(made, UUID)
            self._made = made
        else:
            update_progress_artifact(self._made, percent, description=text)
