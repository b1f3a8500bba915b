"""Find the champion: the promotion log decides, and the alias ``champion`` in MLflow follows.

Code that can read the bucket asks here. Code that has only MLflow's address (`srgan.load`, and
strangers with ``models:/NAME@champion``) gets the alias, which every call here corrects.
"""

from dataclasses import dataclass

from srgan.errors import RegistryError
from srgan.promotion.log import Entry, PromotionLog, concerns, decision_tags
from srgan.readable import Say
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHAMPION, Registry, parse_address
from srgan.storage import ObjectStore


@dataclass(frozen=True)
class Moved:
    """A change of the alias of a model."""

    model: str
    before: int | None
    """Version that the alias named; None if there was no alias."""
    after: int

    def __str__(self) -> str:
        was = f"version {self.before}" if self.before else "no version"
        return f"alias {CHAMPION} of {self.model}: {was} → version {self.after}, as the log says"


def champion_of(registry: Registry, log: PromotionLog, say: Say) -> ModelRef | None:
    """Return the champion by the log; None before the first promotion, or if it is `lost`.

    Corrects an alias that says otherwise, and so completes a promotion that was interrupted between
    log and alias.
    """
    if moved := follow(registry, log):
        # A promotion that did not reach the alias may not have written its tags either.
        publish(registry, log, log.entries()[-1])
        say(str(moved))
    return _champion(registry, log)


def find_version(registry: Registry, store: ObjectStore, address: str, say: Say) -> ModelRef:
    """Return the version that ``NAME``, ``NAME@ALIAS`` or ``NAME/VERSION`` means.

    A bare name and ``@champion`` mean the champion by the promotion log. If the log has none (all
    versions were imported or refused), they mean the alias, which may have been set by hand.
    `RegistryError` if the version does not exist, or if the log's champion is `lost`.
    """
    name, alias, version = parse_address(address)
    if version is not None or alias not in (None, CHAMPION):
        return registry.resolve(address)
    log = PromotionLog(store, name)
    if (champion := champion_of(registry, log, say)) is not None:
        return champion
    if (gone := lost(registry, log)) is not None:
        raise RegistryError(how_lost(name, gone))
    return registry.resolve(address)


def lost(registry: Registry, log: PromotionLog) -> int | None:
    """Return the log's champion if it is gone from the registry or has other weights there."""
    return None if _champion(registry, log) else log.champion()


def how_lost(model: str, version: int) -> str:
    """Explain that the champion is `lost`, and name the commands that mend it."""
    return (
        f"{model}: champion version {version} is gone from the registry, or other weights have its "
        f"number. Make another version champion: `srgan models rollback {model} --reason TEXT` or "
        f"`srgan models promote {model}/N --force --reason TEXT`"
    )


def follow(registry: Registry, log: PromotionLog) -> Moved | None:
    """Point the alias at the log's champion; None if it already does, or if there is no champion.

    A champion that was deleted from the registry does not get the alias. After writing, the log is
    read again: of two processes that follow at once, the slower one may have read an older log and
    would otherwise leave the alias behind.
    """
    before = registry.alias(log.model, CHAMPION)
    aliased = before
    while (champion := _champion(registry, log)) is not None and champion.version != aliased:
        registry.set_alias(log.model, CHAMPION, champion.version)
        aliased = champion.version
    return None if aliased is None or aliased == before else Moved(log.model, before, aliased)


def publish(registry: Registry, log: PromotionLog, entry: Entry) -> Moved | None:
    """Tag the versions with what was decided about them, and let the alias follow."""
    entries = log.entries()
    for version in registry.versions(log.model):
        if concerns(entries, entry, version):
            for name, value in decision_tags(entry).items():
                registry.set_tag(version.ref, name, value)
    return follow(registry, log)


def _champion(registry: Registry, log: PromotionLog) -> ModelRef | None:
    """Return the log's champion if the registry still has it with the promoted weights."""
    entry = log.last_promotion()
    if entry is None:
        return None
    found = registry.version(log.model, entry.decision.challenger)
    return found if found and found.weights_digest == entry.weights_digest else None
