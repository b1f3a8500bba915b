"""The promotion log: all decisions about a model in order. The registry's alias follows it.

Beside the decisions it keeps which versions were deleted, and by whom.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import Field

from srgan.config import GateConfig
from srgan.config.networks import FeatureNetwork
from srgan.errors import ConflictError
from srgan.keys import deletion_key, promotion_key
from srgan.measure.intervals import Interval
from srgan.promotion.opinions import OpinionPair
from srgan.promotion.record import VersionRecord, as_tags
from srgan.refs import ModelRef, PromotionDecision, Ref
from srgan.storage import ObjectStore, read_document, write_document


class OnSet(Ref):
    """Figures on one evaluation set that a decision rests on."""

    version: str
    """Version of the set."""
    metrics: dict[str, dict[str, float]]
    differences: dict[str, Interval]
    """Differences as in `Evidence`."""


class Evidence(Ref):
    """Figures and rule that a decision rests on."""

    run: str
    """Training stage that made the challenger."""
    weights_digest: str
    dataset_version: str
    """Version of the dataset whose held-out crops decided."""
    evaluation: str = ""
    """Key of the report."""
    metrics: dict[str, dict[str, float]]
    trained_on_judge: dict[str, list[str]] = Field(default_factory=dict)
    """Contestants whose training used the judge, as in `EvaluationRef`."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the weights of each perceptual network that measured a distance."""
    rule: str = ""
    """The gate's rule in words."""
    gate: GateConfig | None = None
    """Judges and margins of the rule, as recorded with the challenger."""
    attempt: int = 1
    """Number of this attempt against the champion; later ones need more evidence."""
    against: str = ""
    """Opponent of the challenger: ``champion`` or ``bicubic``."""
    differences: dict[str, Interval] = Field(default_factory=dict)
    """Challenger minus opponent by figure, with 95 % interval, on the held-out crops."""
    sets: dict[str, OnSet] = Field(default_factory=dict)
    """The same on each evaluation set by name. If there are any, they decided."""
    opinion: OpinionPair | None = None
    """Mean opinion scores of both, if somebody rated both."""


class ManualDecision(Ref):
    """Mark of a decision that a person made."""

    why: str
    """Reason that the person gave."""
    rolled_back: tuple[int, ...] = ()
    """Versions that a rollback left, the latest first; empty for a promotion by hand."""


class Entry(Evidence):
    """One decision, ``promotions/<model>/<n>.json``."""

    number: int
    """1, 2, 3, …; unique, because the entry is written only if its key is free."""
    time: str
    """Time of the decision, UTC, ISO 8601."""
    decision: PromotionDecision
    champion: int | None
    """Champion version after this decision."""
    hand: ManualDecision | None = None
    """None if the gate decided."""
    by: str = ""
    """Person or service account that promoted, rolled back or asked the gate; empty in entries of
    releases before 2026-11-30."""

    @property
    def set_versions(self) -> dict[str, str]:
        """Version by name of each evaluation set that decided."""
        return {name: each.version for name, each in self.sets.items()}

    @property
    def all_differences(self) -> dict[str, dict[str, Interval]]:
        """Differences by evaluation set; "" stands for the held-out crops."""
        return {"": self.differences} | {on: each.differences for on, each in self.sets.items()}

    def about(self, version: int) -> PromotionDecision:
        """Return what it says of one of the versions it `concerns`.

        A rollback decides about its target. It says of a version that it left that this one is not
        promoted, because the gate does not promote it again.
        """
        if self.decision.challenger == version:
            return self.decision
        return PromotionDecision(
            model=self.decision.model,
            challenger=version,
            champion_before=self.champion,
            promoted=False,
            reason=self.decision.reason,
        )


class Deletion(Ref):
    """A version that was deleted from the registry."""

    version: int
    run: str
    """Training stage that made it."""
    weights_digest: str
    time: str
    """Time of the deletion, UTC, ISO 8601."""
    by: str
    """Person or service account that deleted it."""


class PromotionLog:
    """The decisions about one model, append-only; of two concurrent writers one wins."""

    def __init__(self, store: ObjectStore, model: str, *, by: str = "") -> None:
        """`by` is who writes; a log that is only read needs none."""
        self.model = model
        self._store = store
        self._by = by
        self._prefix = promotion_key.below(model)

    def entries(self) -> list[Entry]:
        """Read all decisions, the oldest first."""
        keys = [info.key for info in self._store.list(self._prefix)]
        ours = sorted(key for key in keys if promotion_key.names(key))
        return [read_document(self._store, key, Entry) for key in ours]

    def deletions(self) -> list[Deletion]:
        """Read which versions were deleted, by their numbers."""
        keys = [info.key for info in self._store.list(deletion_key.below(self.model))]
        return [read_document(self._store, key, Deletion) for key in sorted(keys)]

    def note_deletion(self, version: ModelRef) -> None:
        """Write down that a version has been deleted; a second call changes nothing that counts."""
        deletion = Deletion(
            version=version.version,
            run=version.run,
            weights_digest=version.weights_digest,
            time=_now(),
            by=self._by,
        )
        key = deletion_key(self.model, version.version, version.run)
        write_document(self._store, key, deletion)

    def champion(self) -> int | None:
        """Return the champion after the last decision."""
        entries = self.entries()
        return entries[-1].champion if entries else None

    def next_attempt(self) -> int:
        """Return 1 plus the number of the gate's decisions against the present champion."""
        return _next_attempt(self.entries())

    def last_promotion(self) -> Entry | None:
        """Return the decision that made the present champion."""
        promoted = [entry for entry in self.entries() if entry.decision.promoted]
        return promoted[-1] if promoted else None

    def standing(
        self,
        challenger: ModelRef,
        judges: Mapping[FeatureNetwork, str],
        sets: Mapping[str, str] = MappingProxyType({}),
        opinion: OpinionPair | None = None,
        dataset_version: str | None = None,
    ) -> Entry | None:
        """Return the decision about this version that still holds, so that it is not made twice.

        Decisions about other weights under its number do not count: a registry that was set up
        again, or whose model was deleted, begins with version 1 once more.

        A promotion holds while the version is champion. A refusal holds while nothing that it
        depends on has changed: the champion, the `judges`, the versions of the evaluation `sets`,
        people's `opinion` of the two, and the `dataset_version` of the held-out crops (None: any,
        as for an import, which has none). A rollback from the version holds until somebody
        promotes it by hand, because the next scheduled run must not undo it.
        """
        entries = self.entries()
        for at, entry in reversed(list(enumerate(entries))):
            if not concerns(entries, entry, challenger):
                continue
            if entry.decision.challenger != challenger.version:
                return entry  # a rollback left it
            holds = _champion_after(entries[: at + 1]) == _champion_after(entries)
            same = (entry.judges, entry.set_versions, entry.opinion) == (judges, sets, opinion)
            same = same and dataset_version in (None, entry.dataset_version)
            return entry if holds and (entry.decision.promoted or same) else None
        return None

    def append(
        self, decision: PromotionDecision, evidence: Evidence, hand: ManualDecision | None = None
    ) -> Entry:
        """Write the decision as the next entry; `hand` is set if the gate did not make it.

        `ConflictError` if another decision was written since `decision.champion_before` was read,
        because the challenger was then compared with a version that may not be champion now, or
        since the gate's `evidence.attempt` was counted, because it was then asked for too little.
        """
        entries = self.entries()
        number = entries[-1].number + 1 if entries else 1
        current = entries[-1].champion if entries else None
        if current != decision.champion_before:
            raise ConflictError(
                f"champion of {decision.model} is version {current} by now, not "
                f"{decision.champion_before}; decide again"
            )
        if hand is None and evidence.attempt != (attempt := _next_attempt(entries)):
            raise ConflictError(
                f"version {decision.challenger} of {decision.model} is attempt {attempt} against "
                f"the champion by now, not {evidence.attempt}; decide again"
            )
        entry = Entry(
            number=number,
            time=_now(),
            decision=decision,
            champion=decision.challenger if decision.promoted else current,
            hand=hand,
            by=self._by,
            **evidence.model_dump(),
        )
        write_document(self._store, promotion_key(self.model, number), entry, if_absent=True)
        return entry


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def champions(entries: Sequence[Entry]) -> list[int]:
    """List the champions that a rollback can go back to, the oldest first, then the present one."""
    line: list[int] = []
    for entry in entries:
        if entry.hand and entry.hand.rolled_back:
            while line and line[-1] != entry.champion:
                line.pop()
        if entry.champion is not None and entry.champion not in line[-1:]:
            line.append(entry.champion)
    return line


def promoted_weights(entries: Sequence[Entry], version: int | None) -> str | None:
    """Return the weights with which a version was promoted last; None if no entry tells."""
    for entry in reversed(entries):
        if entry.decision.promoted and entry.decision.challenger == version:
            return entry.weights_digest
    return None


def concerns(entries: Sequence[Entry], entry: Entry, version: ModelRef | VersionRecord) -> bool:
    """Tell whether one of `entries` decided on a version, or is a rollback that left it.

    Not if other weights had its number then.
    """
    if entry.hand and version.version in entry.hand.rolled_back:
        before = [each for each in entries if each.number < entry.number]
        return promoted_weights(before, version.version) in (None, version.weights_digest)
    decided_on = entry.decision.challenger, entry.weights_digest
    return decided_on == (version.version, version.weights_digest)


def _champion_after(entries: Sequence[Entry]) -> tuple[int | None, str | None]:
    """Return the champion after these decisions, and the weights that it was promoted with."""
    champion = entries[-1].champion if entries else None
    return champion, promoted_weights(entries, champion)


def _next_attempt(entries: Sequence[Entry]) -> int:
    """Count the gate's decisions against the champion after these, in all its reigns.

    After a rollback the looks are spent that were taken before, also the one that promoted its
    successor. Other weights under its number are another champion.
    """
    champion, weights = _champion_after(entries)
    spent = [
        entry
        for at, entry in enumerate(entries)
        if entry.hand is None
        and entry.decision.champion_before == champion
        and promoted_weights(entries[:at], champion) in (None, weights)
    ]
    return 1 + len(spent)


def decision_tags(entry: Entry) -> dict[str, str]:
    """Return the tags of the model version: verdict, rule, intervals, whether a judge taught it.

    A rollback leaves the tags of the gate's decision as they are.
    """
    if entry.hand and entry.hand.rolled_back:
        return as_tags(rollback=entry.decision.reason)
    return as_tags(
        decision=entry.decision.reason,
        decision_rule=entry.rule,
        decision_metrics=entry.metrics,
        decision_differences={"against": entry.against, **entry.differences},
        decision_sets=entry.sets or None,
        decision_opinion=entry.opinion,
        trained_on_judge=entry.trained_on_judge or None,
    )
