"""Progress that is shown while Prefect's server answers, and after it did not."""

import logging
import uuid

import pytest

from flows.support import artifacts
from flows.support.artifacts import ProgressArtifact


def test_progress_that_prefect_does_not_take_is_a_warning_and_is_shown_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[float] = []
    is_away = iter([True, False, True, False])

    def take(percent: float) -> None:
        if next(is_away):
            raise ConnectionError("Prefect's server is away")
        shown.append(percent)

    def create(percent: float, **_: object) -> uuid.UUID:
        take(percent)
        return uuid.UUID(int=1)

    def update(_: uuid.UUID, percent: float, **options: object) -> None:
        take(percent)

    monkeypatch.setattr(artifacts, "create_progress_artifact", create)
    monkeypatch.setattr(artifacts, "update_progress_artifact", update)
    monkeypatch.setattr(artifacts, "get_run_logger", lambda: logging.getLogger("flow-run"))
    artifact = ProgressArtifact("upscale-progress")
    for percent in (10, 20, 30, 140):
        artifact.show(percent, "text")
    assert shown == [20, 100]
    warning = "Progress could not be shown: ConnectionError: Prefect's server is away"
    assert caplog.messages == [warning, warning]
