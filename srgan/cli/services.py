"""The services that commands about registered models talk to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from srgan.errors import ConflictError, RegistryError

if TYPE_CHECKING:
    from srgan.promotion.log import PromotionLog
    from srgan.promotion.record import VersionRecord
    from srgan.services.mlflow_models import Registry
    from srgan.services.s3 import S3Store
    from srgan.settings import Settings


@dataclass(frozen=True)
class Services:
    """Store and registry, which hold models and their history."""

    settings: "Settings"
    store: "S3Store"
    registry: "Registry"

    def log(self, model: str) -> "PromotionLog":
        from srgan.promotion.log import PromotionLog

        return PromotionLog(self.store, model)

    def find(self, address: str) -> "VersionRecord":
        """The version that an address means; an alias that is corrected for it is printed."""
        from srgan.versions.champion import find_version

        version = find_version(self.registry, self.store, address, typer.echo)
        return self.registry.record(version)


@contextmanager
def services_for(model: str | None = None) -> Iterator[Services]:
    """Store and registry; what MLflow raises inside is a message that names its address.

    `RegistryError` at once if MLflow does not answer or does not have a model of that name.
    """
    from srgan.services.mlflow_models import Registry
    from srgan.services.mlflow_runs import mlflow_errors, require_answer
    from srgan.services.s3 import open_store
    from srgan.settings import Settings

    settings = Settings()
    require_answer(settings)
    with mlflow_errors(explain=settings):
        registry = Registry(settings)
        if model and model not in (known := registry.names()):
            raise RegistryError(f"no model {model!r}; there are: {', '.join(known) or 'none'}")
        try:
            yield Services(settings, open_store(settings), registry)
        except ConflictError as error:
            raise ConflictError(
                f"somebody else decided at the same moment, and nothing was changed here: {error}"
            ) from error
