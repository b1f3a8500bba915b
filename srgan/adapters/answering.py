"""Whether MLflow is there, for people who wait at a terminal."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from srgan.errors import RegistryError
from srgan.settings import Settings

_ANSWER_LIMIT_S = 10.0


@contextmanager
def explaining(settings: Settings) -> Iterator[None]:
    """`RegistryError` with the server's address for whatever MLflow raises inside."""
    from mlflow.exceptions import MlflowException

    address = settings.require("mlflow_tracking_uri")
    require_answer(address)
    try:
        yield
    except MlflowException as error:
        raise RegistryError(f"the registry at {address} refused: {error.message}") from error


def require_answer(address: str) -> None:
    """`RegistryError` unless something answers at an HTTP address, within seconds.

    MLflow's own client tries for four minutes, which suits a flow and no person at a terminal.
    """
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
