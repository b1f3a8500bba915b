"""The bucket and the model registry, opened once in a task or a command and passed down."""

import logging
from dataclasses import dataclass
from functools import cached_property

from srgan.promotion.log import PromotionLog
from srgan.promotion.record import VersionRecord
from srgan.readable import Say
from srgan.refs import ModelRef
from srgan.services.mlflow_models import Registry
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.versions.champion import champion_of, find_version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """The services that `settings` name.

    Each is opened when it is first asked for: importing MLflow takes 3 seconds.
    """

    settings: Settings
    say: Say
    """Told what was done besides: an alias that was corrected, something that was deleted."""

    @cached_property
    def store(self) -> S3Store:
        """The project's own bucket."""
        return open_store(self.settings)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.settings)

    def log(self, model: str) -> PromotionLog:
        """The promotion log of a model; what is written to it is written by `Settings.who`."""
        return PromotionLog(self.store, model, by=self.settings.who)

    def champion(self, model: str) -> ModelRef | None:
        """The champion by the promotion log; an alias that says otherwise is corrected."""
        return champion_of(self.registry, self.log(model), self.say)

    def version(self, address: str) -> ModelRef:
        """The version that ``NAME`` (its champion), ``NAME@ALIAS`` or ``NAME/VERSION`` means."""
        return find_version(self.registry, self.store, address, self.say)

    def find(self, address: str) -> VersionRecord:
        """Everything that is recorded with the version that an address means."""
        return self.registry.record(self.version(address))


def open_services(say: Say = logger.warning) -> Services:
    """Read the environment, once for everything below the caller."""
    return Services(Settings(), say)
