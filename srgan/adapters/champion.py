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

    A promotion that was interrupted between the log and the alias ends here.
    """
    moved = follow(registry, log)
    version = log.champion()
    champion = registry.resolve(f"models:/{log.model}/{version}") if version else None
    return champion, moved


def follow(registry: Registry, log: PromotionLog) -> Moved | None:
    """Point the alias at the log's champion; None where it does so already or there is none.

    Looks again after it wrote: of two who follow at the same moment, the slower one may have read
    an older log and would otherwise leave the alias behind.
    """
    before = registry.alias(log.model, CHAMPION)
    aliased = before
    while (version := log.champion()) is not None and version != aliased:
        registry.set_alias(log.model, CHAMPION, version)
        aliased = version
    return None if aliased is None or aliased == before else Moved(log.model, before, aliased)


def publish(registry: Registry, log: PromotionLog, entry: Entry) -> Moved | None:
    """Say on the versions what was decided about them, and let the alias follow."""
    concerned = {entry.decision.challenger, *(entry.hand.rolled_back if entry.hand else ())}
    for version in registry.versions(log.model):
        if version.ref.version in concerned:
            for name, value in decision_tags(entry).items():
                registry.set_tag(version.ref, name, value)
    return follow(registry, log)
