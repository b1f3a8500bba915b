"""Artifacts that flows show on the page of their run."""

import re
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from srgan.logs import hidden, own_secrets


def artifact_key(name: str, what: str) -> str:
    """``leaves_x4.1``, ``metrics`` → ``leaves-x4-1-metrics``; each key keeps its own history."""
    return f"{re.sub('[^a-z0-9]+', '-', name)}-{what}"


class ProgressArtifact:
    """A progress bar, made when there is something to show."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._made: UUID | None = None

    def show(self, percent: float, text: str) -> None:
        """Show a share of the work, at most 100 %, and a text; a warning if Prefect takes neither.

        It is only a display: the work goes on where Prefect's server does not answer.
        """
        try:
            self._show(min(100.0, percent), text)
        except Exception as error:  # Prefect's and httpx's, which have no class in common
            found = hidden(f"{type(error).__name__}: {error}", own_secrets())
            get_run_logger().warning("Progress could not be shown: %s", found)

    def _show(self, percent: float, text: str) -> None:
        if self._made is None:
            made = create_progress_artifact(percent, key=self._key, description=text)
            assert isinstance(made, UUID)
            self._made = made
        else:
            update_progress_artifact(self._made, percent, description=text)
