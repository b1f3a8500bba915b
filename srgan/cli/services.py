"""The services that commands about registered models talk to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from srgan.errors import ConflictError, RegistryError
from srgan.readable import Say

if TYPE_CHECKING:
    from srgan.versions.services import Services


@contextmanager
def services_for(model: str | None = None, *, say: Say = typer.echo) -> Iterator["Services"]:
    """Store and registry; what MLflow raises inside is a message that names its address.

    `say` gets lines about what they notice, such as an alias that was left behind.
    `RegistryError` at once if MLflow does not answer or does not have a model of that name.
    """
    from srgan.services.mlflow_runs import mlflow_errors, require_answer
    from srgan.versions.services import open_services

    services = open_services(say)
    require_answer(services.settings)
    with mlflow_errors(explain=services.settings):
        if model and model not in (known := services.registry.names()):
            raise RegistryError(f"no model {model!r}; there are: {', '.join(known) or 'none'}")
        try:
            yield services
        except ConflictError as error:
            raise ConflictError(
                f"somebody else decided at the same moment, and nothing was changed here: {error}"
            ) from error
