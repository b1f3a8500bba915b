"""The alias ``champion`` follows the promotion log."""

from dataclasses import dataclass

from srgan.adapters.registry import CHAMPION, Registry
from srgan.evaluate.promotions import Entry, PromotionLog, decision_tags
from srgan.refs import ModelRef


@dataclass(frozen=True)
class Moved:
    """What happened to the alias of a model."""

    model: str
    before: int | None
    """Version that it named; None where there was no alias."""
    after: int

    def __str__(self) -> str:
        was = f"version {self.before}" if self.before else "no version"
        return f"alias {CHAMPION} of {self.model}: {was} → version {self.after}, as the log says"


def current_champion(registry: Registry, log: PromotionLog) -> tuple[ModelRef | None, Moved | None]:
    """The champion by the log, None before the first promotion; and what was put right for it.

    A promotion that was interrupted between the log and the alias ends here. None too where the
    champion by the log is `lost`.
    """
    moved = follow(registry, log)
    if moved:
        publish(registry, log, log.entries()[-1])
    return _champion(registry, log), moved


def lost(registry: Registry, log: PromotionLog) -> int | None:
    """The log's champion where the registry has it no more, or has other weights by its number."""
    return None if _champion(registry, log) else log.champion()


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
        if version.ref.version in concerned:
            for name, value in decision_tags(entry).items():
                registry.set_tag(version.ref, name, value)
    return follow(registry, log)


def _champion(registry: Registry, log: PromotionLog) -> ModelRef | None:
    """The log's champion, where the registry still has it with the weights that were promoted."""
    entry = log.crowning()
    if entry is None:
        return None
    found = registry.version(log.model, entry.decision.challenger)
    return found if found and found.weights_digest == entry.weights_digest else None
