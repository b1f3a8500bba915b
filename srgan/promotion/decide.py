"""Decide who is champion: by the gate, by hand against it, or back to a former champion.

`settle` is the whole protocol of the gate. Every decision is an entry of the promotion log, which
refuses it when another one was written meanwhile.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from srgan.config import GateConfig
from srgan.config.networks import FeatureNetwork
from srgan.errors import ConfigError
from srgan.measure.evaluation import CHAMPION, MODEL, Report
from srgan.measure.sets import newest_set
from srgan.models.weights import find_judges
from srgan.promotion.gate import verdict_of
from srgan.promotion.log import (
    Entry,
    Evidence,
    ManualDecision,
    OnSet,
    PromotionLog,
    champions,
    concerns,
    promoted_weights,
)
from srgan.promotion.opinions import OpinionPair, compare_opinions, read_studies
from srgan.promotion.record import VersionRecord
from srgan.refs import ModelRef, PromotionDecision
from srgan.settings import Settings
from srgan.storage import ObjectStore, find_document, read_document


@dataclass(frozen=True)
class Comparison:
    """Two versions to be measured on the same images."""

    challenger: ModelRef
    champion: ModelRef | None
    """None: the challenger is compared with bicubic."""
    judges: Mapping[FeatureNetwork, str]
    """SHA-256 of the weights of each perceptual network in the bucket."""
    sets: Mapping[str, str]
    """Newest version of each evaluation set that the challenger's gate names."""

    def measured_in(self, report: Report) -> bool:
        """True if a report compares exactly these two, with these judges, on these sets."""
        expected = {MODEL: self.challenger.weights_digest}
        if self.champion:
            expected[CHAMPION] = self.champion.weights_digest
        found = {name: report.weights.get(name) for name in (MODEL, CHAMPION)}
        same_two = {name: digest for name, digest in found.items() if digest} == expected
        same_sets = {name: each.version for name, each in report.sets.items()} == self.sets
        return same_two and report.judges == self.judges and same_sets


@dataclass(frozen=True)
class Reports:
    """Everything that was measured for one decision."""

    report: Report
    on_sets: Mapping[str, Report] = field(default_factory=dict)
    """Reports on the evaluation sets that were measured with it, by name."""
    key: str = ""
    """Key of `report`; it becomes part of the log's entry."""


Measure = Callable[[Comparison], str]
"""Returns the key of a report about the two, or raises if it cannot get one."""


def settle(
    log: PromotionLog,
    store: ObjectStore,
    challenger: VersionRecord,
    measure: Measure,
    *,
    before: int | None,
    champion: ModelRef | None,
    dataset_version: str | None = None,
) -> Entry:
    """Return the decision about a challenger that still stands, or make one and log it.

    `before` is the log's champion, and `champion` is that version in the registry; None if it is
    gone from there. Read `before` first, so that a promotion in between is a conflict and not a
    champion that is gone. `dataset_version` is set if held-out crops of a particular version were
    asked for; without it they are the challenger's own. `ConflictError` if another decision was
    written meanwhile: the caller decides whether to start again.
    """
    ref = challenger.ref
    gate, judges = challenger.gate, find_judges(store)
    sets = {name: newest_set(store, name).version for name in gate.sets}
    opinion = _opinion_of(store, ref, champion)
    dataset_version = dataset_version or challenger.dataset_version
    standing = log.standing(ref, judges, sets, opinion, dataset_version)
    if standing is not None:
        return standing
    key = measure(Comparison(ref, champion, judges, sets))
    report = read_document(store, key, Report, mend=f"measure {ref.uri} again")
    reports = Reports(report, read_set_reports(store, report), key)
    lost = None if champion else before
    return decide(log, ref, champion, reports, gate, opinion, lost=lost)


def recorded_evaluation(
    store: ObjectStore, challenger: VersionRecord, settings: Settings
) -> Measure:
    """Make a `Measure` that only looks up the evaluation of the registration.

    `ConfigError` with the command that measures if that evaluation compares something else.
    """

    def find(comparison: Comparison) -> str:
        key, champion = challenger.evaluation, comparison.champion
        report = find_document(store, key, Report) if key else None
        if key and report and comparison.measured_in(report):
            return key
        whom = f"champion version {champion.version}" if champion else "bicubic"
        named = {"model": challenger.name, "version": challenger.version}
        on = {} if challenger.dataset else {"dataset": "NAME"}
        command = settings.run_command("promote/promote", **named, **on)
        raise ConfigError(
            f"no recorded evaluation compares {challenger.uri} with {whom} by today's judges and "
            f"sets, and this command measures nothing; `{command}` measures and decides"
        )

    return find


def decide(
    log: PromotionLog,
    challenger: ModelRef,
    champion: ModelRef | None,
    reports: Reports,
    gate: GateConfig,
    opinion: OpinionPair | None = None,
    *,
    lost: int | None = None,
) -> Entry:
    """Let the gate decide and log it; `ConflictError` if another decision was written first.

    `opinion` is what people think of the two. `lost` is the log's champion if the registry no
    longer has it, so that there is none to compare with.
    """
    report, sets = reports.report, reports.on_sets
    before = champion.version if champion else None
    attempt = log.next_attempt()
    verdict = verdict_of(
        report,
        gate,
        challenger=challenger.version,
        champion=before,
        sets=sets,
        opinion=opinion,
        attempt=attempt,
    )
    reason = verdict.reason
    if champion is None and lost is not None:
        before = lost
        reason += f" Champion version {lost} is gone from the registry, so none was compared with."
    decision = PromotionDecision(
        model=challenger.name,
        challenger=challenger.version,
        champion_before=before,
        promoted=verdict.promoted,
        reason=reason,
    )
    evidence = Evidence(
        run=challenger.run,
        weights_digest=challenger.weights_digest,
        dataset_version=report.dataset.version,
        evaluation=reports.key,
        metrics=report.metrics,
        trained_on_judge=report.trained_on_judge,
        judges=report.judges,
        rule=verdict.rule,
        gate=gate,
        attempt=attempt,
        against=verdict.against,
        differences=dict(verdict.differences),
        sets={
            name: OnSet(
                version=report.sets[name].version,
                metrics=each.metrics,
                differences=dict(verdict.on_sets[name]),
            )
            for name, each in sets.items()
        },
        opinion=opinion,
    )
    return log.append(decision, evidence)


def read_set_reports(store: ObjectStore, report: Report) -> dict[str, Report]:
    """Read the reports on the evaluation sets that were measured with `report`, by name."""
    return {name: read_document(store, each.key, Report) for name, each in report.sets.items()}


def _opinion_of(
    store: ObjectStore, challenger: ModelRef, champion: ModelRef | None
) -> OpinionPair | None:
    """Compare the two by people's ratings; None if nobody rated both."""
    if champion is None or champion.version == challenger.version:
        return None
    studies = read_studies(store, challenger.name)
    return compare_opinions(studies, challenger, champion)


def promote_by_hand(
    log: PromotionLog, challenger: ModelRef, before: int | None, dataset_version: str, why: str
) -> Entry:
    """Make `challenger` champion in place of version `before`, whatever the gate says.

    The sentence includes the gate's last decision about it. `ConfigError` if the version is
    champion already, `ConflictError` if `before` is no longer champion.
    """
    gate = _last_gate_decision(log, challenger)
    place = (
        "becomes the first champion" if before is None else f"replaces champion version {before}"
    )
    if challenger.version == before:
        if promoted_weights(log.entries(), before) == challenger.weights_digest:
            raise ConfigError(f"version {before} of {challenger.name} is champion already")
        place = "replaces the champion, which had its number and other weights,"
    decision = PromotionDecision(
        model=challenger.name,
        challenger=challenger.version,
        champion_before=before,
        promoted=True,
        reason=f"Version {challenger.version} {place} by hand: {why.rstrip('.')}. {gate}",
    )
    evidence = _registered_evidence(challenger, dataset_version)
    return log.append(decision, evidence, ManualDecision(why=why))


def rollback_line(log: PromotionLog, to: int | None) -> tuple[int, ...]:
    """Versions from the present champion back to the target of a rollback, which comes last.

    Without `to` the target is the previous champion. `ConfigError` if there is none, or if `to` is
    not a former champion.
    """
    line = champions(log.entries())
    if len(line) < 2:
        now = f"version {line[0]} is the only champion it had" if line else "it has no champion"
        raise ConfigError(
            f"{log.model} cannot be rolled back: {now}; `srgan models promote {log.model}/N "
            "--force --reason TEXT` makes version N champion"
        )
    target = line[-2] if to is None else to
    if target not in line[:-1]:
        raise ConfigError(
            f"{log.model} cannot be rolled back to version {target}: a rollback goes to a former "
            f"champion ({', '.join(map(str, sorted(set(line[:-1]))))}); any other version becomes "
            "champion by `srgan models promote`"
        )
    start = len(line) - 1 - line[::-1].index(target, 1)
    return tuple(reversed(line[start:]))


def roll_back(
    log: PromotionLog, target: ModelRef, line: tuple[int, ...], dataset_version: str, why: str
) -> Entry:
    """Make `target` champion again; `line` comes from `rollback_line` and ends in its version.

    `ConfigError` if it has other weights than when it was champion, `ConflictError` if another
    version than the first of `line` is champion by now.
    """
    assert line[-1] == target.version
    if promoted_weights(log.entries(), target.version) not in (None, target.weights_digest):
        address = f"{target.name}/{target.version}"
        raise ConfigError(
            f"{target.name} cannot be rolled back to version {target.version}: other weights have "
            "its number than when it was champion. Name another former champion with --to, or make "
            f"these champion: `srgan models promote {address} --force --reason TEXT`"
        )
    left = tuple(dict.fromkeys(version for version in line if version != target.version))
    decision = PromotionDecision(
        model=target.name,
        challenger=target.version,
        champion_before=line[0],
        promoted=True,
        reason=f"Back to version {target.version} from champion version {line[0]}: "
        f"{why.rstrip('.')}.",
    )
    hand = ManualDecision(why=why, rolled_back=left)
    return log.append(decision, _registered_evidence(target, dataset_version), hand)


def _registered_evidence(version: ModelRef, dataset_version: str) -> Evidence:
    """The figures of the registration, because a person decides without new ones."""
    return Evidence(
        run=version.run,
        weights_digest=version.weights_digest,
        dataset_version=dataset_version,
        metrics=version.metrics,
    )


def _last_gate_decision(log: PromotionLog, version: ModelRef) -> str:
    entries = log.entries()
    for entry in reversed(entries):
        if entry.hand is None and concerns(entries, entry, version):
            return f"The gate had said: {entry.decision.reason}"
    return "The gate had not decided on it."
