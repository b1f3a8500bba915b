"""The protocol of a promotion: who is compared with whom, by which figures, and what is decided.

The flow, which measures with a Ray job, and the command, which takes a recorded evaluation, differ
in `measure` alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from srgan.errors import ConfigError
from srgan.evaluate.decision import decide, opinion_of, read_set_reports
from srgan.evaluate.judges import find_judges
from srgan.evaluate.promotions import Entry, PromotionLog
from srgan.evaluate.report import Report
from srgan.evaluate.sets import newest_set
from srgan.evaluate.spec import CHAMPION, MODEL
from srgan.perceptual import FeatureNetwork
from srgan.promotion.record import VersionRecord
from srgan.refs import ModelRef
from srgan.storage import ObjectStore


@dataclass(frozen=True)
class Comparison:
    """Two versions that have to be measured on the same images."""

    challenger: ModelRef
    champion: ModelRef | None
    """None: the challenger is held against bicubic."""
    judges: Mapping[FeatureNetwork, str]
    """SHA-256 of the weights of each perceptual network in the bucket."""
    sets: Mapping[str, str]
    """Newest version of each evaluation set that the challenger's gate names."""

    def measured_in(self, report: Report) -> bool:
        """Whether a report compares just these two, by these judges, on these sets."""
        expected = {MODEL: self.challenger.weights_digest}
        if self.champion:
            expected[CHAMPION] = self.champion.weights_digest
        found = {name: report.weights.get(name) for name in (MODEL, CHAMPION)}
        same_two = {name: digest for name, digest in found.items() if digest} == expected
        same_sets = {name: each.version for name, each in report.sets.items()} == self.sets
        return same_two and report.judges == self.judges and same_sets


Measure = Callable[[Comparison], str]
"""Gives the key of a report about the two; raises where there is none to be had."""


def settle(
    store: ObjectStore,
    challenger: VersionRecord,
    champion_of: Callable[[PromotionLog], ModelRef | None],
    measure: Measure,
    *,
    dataset_version: str | None = None,
) -> Entry:
    """Return the decision about a challenger that stands, or take one and write it in the log.

    `dataset_version` is the one whose held-out crops were asked for, where one was.
    `ConflictError` where another decision was written meanwhile: the caller decides whether to
    begin again.
    """
    ref, log = challenger.ref, PromotionLog(store, challenger.name)
    # First: who becomes champion after this is a conflict, not a champion that is gone.
    before = log.champion()
    champion = champion_of(log)
    gate, judges = challenger.gate, find_judges(store)
    sets = {name: newest_set(store, name).version for name in gate.sets}
    opinion = opinion_of(store, ref, champion)
    standing = log.standing(ref.version, judges, sets, opinion, dataset_version)
    if standing is not None:
        return standing
    key = measure(Comparison(ref, champion, judges, sets))
    report = Report.model_validate_json(store.get(key))
    return decide(
        log,
        ref,
        champion,
        report,
        gate,
        read_set_reports(store, report),
        opinion,
        evaluation=key,
        lost=None if champion else before,
    )


def recorded(store: ObjectStore, challenger: VersionRecord) -> Measure:
    """Make a `Measure` that only finds the evaluation of the registration.

    `ConfigError` with the command that measures where it does not compare what has to be compared.
    """

    def find(comparison: Comparison) -> str:
        key, champion = challenger.evaluation, comparison.champion
        body = store.find(key) if key else None
        if key and body and comparison.measured_in(Report.model_validate_json(body)):
            return key
        whom = f"champion version {champion.version}" if champion else "bicubic"
        on = "" if challenger.dataset else " --param dataset=NAME"
        raise ConfigError(
            f"no recorded evaluation compares {challenger.uri} with {whom} by today's judges and "
            "sets, and this command measures nothing; `prefect deployment run promote/promote "
            f"--param model={challenger.name} --param version={challenger.version}{on}` measures "
            "and decides"
        )

    return find
