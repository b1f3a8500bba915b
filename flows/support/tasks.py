"""How the tasks that only read and write services try again."""

import re
from typing import Any, TypedDict

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from srgan.errors import SrganError, StorageError


def artifact_key(model: str, what: str) -> str:
    """``leaves_x4.1``, ``metrics`` → ``leaves-x4-1-metrics``; each key keeps its own history."""
    return f"{re.sub('[^a-z0-9]+', '-', model)}-{what}"


PAUSES_S = [2.0, 10.0, 30.0]


def may_pass(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Whether trying again may help: never after what a user has to put right."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StorageError) or not isinstance(error, SrganError)


class Retries(TypedDict):
    """Keywords of `prefect.task`."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any


PATIENTLY = Retries(
    retries=len(PAUSES_S), retry_delay_seconds=PAUSES_S, retry_condition_fn=may_pass
)
