from typing import Any

import pytest
from prefect.states import Failed

from flows.support.tasks import may_pass
from srgan.errors import ConflictError, DataError, RegistryError


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
