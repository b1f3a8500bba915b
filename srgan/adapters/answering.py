"""MLflow's answers: its errors in our words, its pages as one list."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from srgan.errors import RegistryError
from srgan.settings import Settings

if TYPE_CHECKING:
    from mlflow.store.entities import PagedList

T = TypeVar("T")

_ANSWER_LIMIT_S = 10.0

# MLflow's own names of what went wrong.
ABSENT = ("RESOURCE_DOES_NOT_EXIST",)
NO_ALIAS = (*ABSENT, "INVALID_PARAMETER_VALUE")
"""An alias that does not exist is an invalid parameter."""
PRESENT = ("RESOURCE_ALREADY_EXISTS",)


@contextmanager
def answers(
    tolerated: tuple[str, ...] = (), *, explain: Settings | None = None, consequence: str = ""
) -> Iterator[None]:
    """Swallow MLflow's errors of the codes `tolerated`, and raise the rest.

    They stay MLflow's own, which flows try again. With `explain`, for people who wait at a
    terminal, they are a `RegistryError` with the server's address and the `consequence`.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code in tolerated:
            return
        if explain is None:
            raise
        raise RegistryError(
            f"the registry at {explain.mlflow_tracking_uri} gave an error: {error.message}"
            f"{f'. {consequence}' if consequence else ''}"
        ) from error


def pages(search: "Callable[[str | None], PagedList[T]]") -> Iterator[T]:
    """Everything that a search finds; `search` gets the token of the page to ask for."""
    token = None
    while True:
        found = search(token)
        yield from found
        token = found.token
        if not token:
            return


def require_answer(settings: Settings) -> None:
    """`RegistryError` unless something answers at MLflow's address, within seconds.

    MLflow's own client tries for four minutes, which suits a flow but not a person at a terminal.
    """
    address = settings.require("mlflow_tracking_uri")
    if not address.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(address, timeout=_ANSWER_LIMIT_S).close()  # noqa: S310  # HTTP it is
    except urllib.error.HTTPError:
        return  # somebody is there; what it says is for MLflow's client to judge
    except (urllib.error.URLError, OSError) as error:
        raise RegistryError(
            f"MLflow at {address} does not answer ({error}); see `srgan stack status`, or correct "
            "MLFLOW_TRACKING_URI"
        ) from error
