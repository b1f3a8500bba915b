"""Register the generators that come with the project."""

import hashlib

from srgan.errors import ConfigError
from srgan.models.interchange import FORMAT
from srgan.models.shipped import SHIPPED, read_shipped, shipped_card
from srgan.promotion.decide import promote_by_hand
from srgan.promotion.lineage import ImportLineage
from srgan.promotion.log import Entry
from srgan.refs import ModelRef
from srgan.versions.champion import publish
from srgan.versions.register import Registrar
from srgan.versions.services import Services

_WHY = "it comes with srgan, and there was no champion to compare it with"


def import_shipped(services: Services, name: str, model: str) -> tuple[ModelRef, Entry | None]:
    """Make a version of `model` from one of `SHIPPED`, or return the one that is there.

    A model that never had a champion gets it as its first; the entry says so. None: it has one.
    `ConfigError` for an unknown name.
    """
    if name not in SHIPPED:
        raise ConfigError(f"no shipped model {name!r}; there are: {', '.join(SHIPPED)}")
    weights = read_shipped(name)
    digest = hashlib.sha256(weights).hexdigest()
    lineage = ImportLineage(
        source_file=name, source_sha256=digest, source_format=FORMAT, weights_digest=digest
    )
    registrar = Registrar(services.settings)
    version = registrar.register_import(model, weights, lineage, shipped_card())
    log = services.log(model)
    if log.last_promotion() is not None:
        return version, None
    entry = promote_by_hand(log, version, None, "", _WHY)
    publish(services.registry, log, entry)
    return version, entry
