"""The promotion log: what was decided, in order. It decides; the registry's alias follows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from pydantic import Field

from srgan.config import GateConfig
from srgan.config.networks import FeatureNetwork
from srgan.errors import ConflictError
from srgan.keys import promotion_key
from srgan.measure.bootstrap import Interval
from srgan.promotion.opinions import OpinionPair
from srgan.promotion.record import as_tags
from srgan.refs import PromotionDecision, Ref
from srgan.storage import ObjectStore, read_document, write_document


class OnSet(Ref):
    """What an evaluation set said in a decision."""

    version: str
    """Of the set."""
    metrics: dict[str, dict[str, float]]
    differences: dict[str, Interval]
    """As in `Evidence`."""


class Evidence(Ref):
    """What a decision of the gate rests on."""

    run: str
    """Training stage that made the challenger."""
    weights_digest: str
    dataset_version: str
    """Dataset version whose held-out crops decided."""
    evaluation: str = ""
    """Key of the report that was judged."""
    metrics: dict[str, dict[str, float]]
    trained_on_judge: dict[str, list[str]] = Field(default_factory=dict)
    """As `EvaluationRef` has it."""
    judges: dict[FeatureNetwork, str] = Field(default_factory=dict)
    """SHA-256 of the weights of each perceptual network that measured a distance."""
    rule: str = ""
    """The rule that decided, in words."""
    gate: GateConfig | None = None
    """The margins of the rule, as they were recorded with the challenger."""
    against: str = ""
    """Whom the challenger was compared with, ``champion`` or ``bicubic``."""
    differences: dict[str, Interval] = Field(default_factory=dict)
    """Challenger minus that one, by figure, with its 95 % interval; on the held-out crops."""
    sets: dict[str, OnSet] = Field(default_factory=dict)
    """The same on each evaluation set, by name. Where there are any, they decided."""
    opinion: OpinionPair | None = None
    """What people think of both, where some rated both."""


class ManualDecision(Ref):
    """That a person decided, and why."""

    why: str
    """The reason that was given."""
    rolled_back: tuple[int, ...] = ()
    """Of a rollback: the versions that it went back from, the latest first."""


class Entry(Evidence):
    """One decision, ``promotions/<model>/<n>.json``."""

    number: int
    """1, 2, 3, …: the condition of the write makes it unique."""
    time: str
    """UTC, ISO 8601."""
    decision: PromotionDecision
    champion: int | None
    """Champion version after this decision."""
    hand: ManualDecision | None = None
    """None: the gate decided."""

    @property
    def set_versions(self) -> dict[str, str]:
        """Version by name of the evaluation sets that decided."""
        return {name: each.version for name, each in self.sets.items()}

    @property
    def all_differences(self) -> dict[str, dict[str, Interval]]:
        """Differences by evaluation set; those on the held-out crops by ""."""
        return {"": self.differences} | {on: each.differences for on, each in self.sets.items()}


class PromotionLog:
    """The decisions about one model, append-only; of two writers one wins."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self.model = model
        self._store = store
        self._prefix = promotion_key.below(model)

    def entries(self) -> list[Entry]:
        """All decisions, the oldest first."""
        keys = [info.key for info in self._store.list(self._prefix) if info.key.endswith(".json")]
        return [read_document(self._store, key, Entry) for key in sorted(keys)]

    def champion(self) -> int | None:
        """Version that the last decision left as champion."""
        entries = self.entries()
        return entries[-1].champion if entries else None

    def crowning(self) -> Entry | None:
        """The decision that made the present champion."""
        promoted = [entry for entry in self.entries() if entry.decision.promoted]
        return promoted[-1] if promoted else None

    def standing(
        self,
        challenger: int,
        judges: Mapping[FeatureNetwork, str],
        sets: Mapping[str, str] = MappingProxyType({}),
        opinion: OpinionPair | None = None,
        dataset_version: str | None = None,
    ) -> Entry | None:
        """The decision about this version that still holds, so that it is not taken twice.

        A promotion holds while that version is champion. A refusal holds while the champion that
        it lost against still is, the same perceptual networks judge on the same versions of the
        same evaluation `sets`, people's `opinion` of the two is what it was, and so is the
        `dataset_version` where one is asked for. A rollback from that version holds until somebody
        promotes it by hand: the next scheduled run must not undo it.
        """
        entries = self.entries()
        for entry in reversed(entries):
            decision = entry.decision
            if entry.hand and challenger in entry.hand.rolled_back:
                return entry
            if decision.challenger == challenger:
                holds = entry.champion == entries[-1].champion
                same = (entry.judges, entry.set_versions, entry.opinion) == (judges, sets, opinion)
                same = same and dataset_version in (None, entry.dataset_version)
                return entry if holds and (decision.promoted or same) else None
        return None

    def append(
        self, decision: PromotionDecision, evidence: Evidence, hand: ManualDecision | None = None
    ) -> Entry:
        """Write the decision as the next entry; `hand` where it is not the gate's.

        `ConflictError` when another decision was written since `decision.champion_before` was
        read: the challenger was then compared with a champion that may be none any more.
        """
        entries = self.entries()
        number = entries[-1].number + 1 if entries else 1
        current = entries[-1].champion if entries else None
        if current != decision.champion_before:
            raise ConflictError(
                f"champion of {decision.model} is version {current} by now, not "
                f"{decision.champion_before}; decide again"
            )
        entry = Entry(
            number=number,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            decision=decision,
            champion=decision.challenger if decision.promoted else current,
            hand=hand,
            **evidence.model_dump(),
        )
        write_document(self._store, promotion_key(self.model, number), entry, if_absent=True)
        return entry


def champions(entries: Sequence[Entry]) -> list[int]:
    """The present champion, last, after those that a rollback can go back to, the oldest first."""
    line: list[int] = []
    for entry in entries:
        if entry.hand and entry.hand.rolled_back:
            while line and line[-1] != entry.champion:
                line.pop()
        if entry.champion is not None and entry.champion not in line[-1:]:
            line.append(entry.champion)
    return line


def decision_tags(entry: Entry) -> dict[str, str]:
    """What the model version says of it: verdict, rule, intervals, trained on the judge or not.

    A rollback leaves what the gate said of a version where it is.
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
