"""Find the champion: the promotion log decides, and the alias ``champion`` in MLflow follows.

Whoever reaches the bucket asks here. Who has MLflow's address alone (`srgan.load`, and strangers
with ``models:/NAME@champion``) gets the alias, which every look from here corrects.
"""

from collections.abc import Callable
from dataclasses import dataclass

from srgan.errors import RegistryError
from srgan.promotion.log import Entry, PromotionLog, decision_tags
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHAMPION, Registry, parse_address
from srgan.storage import ObjectStore

Say = Callable[[str], object]
"""Told about an alias that was corrected."""


@dataclass(frozen=True)
class Moved:
    """A change of the alias of a model."""

    model: str
    before: int | None
    """Version that it named; None if there was no alias."""
    after: int

    def __str__(self) -> str:
        was = f"version {self.before}" if self.before else "no version"
        return f"alias {CHAMPION} of {self.model}: {was} → version {self.after}, as the log says"


def champion_of(registry: Registry, log: PromotionLog, say: Say) -> ModelRef | None:
    """Return the champion by the log; None before the first promotion, or where it is `lost`.

    An alias that says otherwise is corrected: a promotion that was interrupted between the log
    and the alias ends here.
    """
    if moved := follow(registry, log):
        # Whoever was interrupted before the alias may not have written the tags either.
        publish(registry, log, log.entries()[-1])
        say(str(moved))
    return _champion(registry, log)


def find_version(registry: Registry, store: ObjectStore, address: str, say: Say) -> ModelRef:
    """Return the version that ``NAME``, ``NAME@ALIAS`` or ``NAME/VERSION`` means.

    A bare name and ``@champion`` mean the champion by the promotion log. Where the log names none
    (all versions were imported or refused) the alias is all there is: it may have been set by hand.
    `RegistryError` if the version does not exist, or the log's champion is `lost`.
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
    """The log's champion where the registry has it no more, or has other weights by its number."""
    return None if _champion(registry, log) else log.champion()


def how_lost(model: str, version: int) -> str:
    """Say what is wrong if the champion is `lost`, and which commands mend it."""
    return (
        f"{model}: champion version {version} is gone from the registry, or other weights have its "
        f"number. Make another one champion: `srgan models rollback {model} --reason TEXT` or "
        f"`srgan models promote {model}/N --force --reason TEXT`"
    )


def follow(registry: Registry, log: PromotionLog) -> Moved | None:
    """Point the alias at the log's champion; None where it does so already or there is none.

    A champion that was deleted from the registry gets no alias. Looks again after it wrote: of two
    who follow at the same moment, the slower one may have read an older log and would otherwise
    leave the alias behind.
    """
    before = registry.alias(log.model, CHAMPION)
    aliased = before
    while (champion := _champion(registry, log)) is not None and champion.version != aliased:
        registry.set_alias(log.model, CHAMPION, champion.version)
        aliased = champion.version
    return None if aliased is None or aliased == before else Moved(log.model, before, aliased)


def publish(registry: Registry, log: PromotionLog, entry: Entry) -> Moved | None:
    """Say on the versions what was decided about them, and let the alias follow."""
    concerned = {entry.decision.challenger, *(entry.hand.rolled_back if entry.hand else ())}
    for version in registry.versions(log.model):
        if version.version in concerned:
            for name, value in decision_tags(entry).items():
                registry.set_tag(version.ref, name, value)
    return follow(registry, log)


def _champion(registry: Registry, log: PromotionLog) -> ModelRef | None:
    """The log's champion, where the registry still has it with the weights that were promoted."""
    entry = log.last_promotion()
    if entry is None:
        return None
    found = registry.version(log.model, entry.decision.challenger)
    return found if found and found.weights_digest == entry.weights_digest else None
