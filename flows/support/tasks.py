"""The decorator of all tasks, which only read and write services."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar, overload

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from srgan.errors import SrganError, StorageError
from srgan.logs import hide_in, own_secrets

P = ParamSpec("P")
R = TypeVar("R")

IO_RETRIES = (2.0, 10.0, 30.0)
"""Seconds before the second, third and fourth attempt of a task."""


@overload
def io_task(function: Callable[P, R]) -> Task[P, R]: ...
@overload
def io_task(*, task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def io_task(
    function: Callable[P, R] | None = None, *, task_run_name: str | None = None
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function that may run twice: it is tried again and never cached.

    Without `NO_CACHE` Prefect hashes the parameters, among them open stores. Prefect keeps what it
    raises, where everybody can read it: MLflow's errors quote an address with its password.
    """
    decorate = task(
        task_run_name=task_run_name,
        cache_policy=NO_CACHE,
        retries=len(IO_RETRIES),
        retry_delay_seconds=list(IO_RETRIES),
        retry_condition_fn=may_pass,
    )

    def made(function: Callable[P, R]) -> Task[P, R]:
        return decorate(_hiding(function))

    return made(function) if function else made


def _hiding(function: Callable[P, R]) -> Callable[P, R]:
    @wraps(function)
    def call(*given: P.args, **named: P.kwargs) -> R:
        try:
            return function(*given, **named)
        except Exception as error:
            hide_in(error, own_secrets())
            raise

    return call


def may_pass(_task: Task[..., object], _run: TaskRun, state: State[object]) -> bool:
    """Return whether trying again may help: never after what a user has to put right."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StorageError) or not isinstance(error, SrganError)
