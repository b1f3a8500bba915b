"""The decorator of all tasks."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed
from prefect.tasks import Task

from flows.support.tasks import io_task, may_pass
from srgan.errors import ConflictError, DataError, RegistryError
from tests.support.checkout import ROOT


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConflictError("x"), True),
        (ConnectionError("x"), True),
        (DataError("x"), False),
        (RegistryError("x"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, again: bool) -> None:
    arguments: Any = (None, None, Failed(data=error, message="x"))
    assert may_pass(*arguments) is again


def tasks() -> Iterator[Task[..., Any]]:
    """All tasks of all flows."""
    for path in sorted((ROOT / "flows").rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        module = import_module(name.removesuffix(".__init__"))
        yield from (each for each in vars(module).values() if isinstance(each, Task))


def test_every_task_is_tried_again_and_never_cached() -> None:
    found = {each.name: each for each in tasks()}
    assert len(found) > 20
    other = [
        name
        for name, each in found.items()
        if (each.cache_policy, each.retry_condition_fn) != (NO_CACHE, may_pass) or not each.retries
    ]
    assert not other, "tasks without @io_task"


def test_the_error_of_a_task_is_kept_without_the_password_that_it_quotes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team:pass-word@mlflow:5000")

    @io_task
    def ask() -> None:
        raise MlflowException("no answer from http://team:pass-word@mlflow:5000/api")

    with pytest.raises(MlflowException, match=r"from http://team:\*\*\*@mlflow:5000/api"):
        ask.fn()


def test_a_task_keeps_its_name_and_may_have_one_for_each_run() -> None:
    @io_task
    def count_photos(prefix: str) -> int:
        return len(prefix)

    @io_task(task_run_name="of-{prefix}")
    def count_crops(prefix: str) -> int:
        return len(prefix)

    assert (count_photos.name, count_photos.task_run_name) == ("count_photos", None)
    assert (count_crops.name, count_crops.task_run_name) == ("count_crops", "of-{prefix}")
    assert count_photos.fn("raw") == count_crops.fn("raw") == 3
