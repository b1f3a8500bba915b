"""The protocol of a promotion, on a real object store and with a fake measurement."""

from datetime import UTC, datetime

import pytest

from srgan.errors import ConfigError, ConflictError
from srgan.measure.evaluation import Report
from srgan.promotion.decide import (
    Comparison,
    Measure,
    promote_by_hand,
    recorded_evaluation,
    roll_back,
    rollback_line,
    settle,
)
from srgan.promotion.log import Entry, PromotionLog
from srgan.promotion.record import VersionRecord
from srgan.refs import to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import read_document
from tests.support.reports import report

ANNA = Settings(team="anna")


def record(version: int, **tags: str) -> VersionRecord:
    tags = {"run": f"run-{version}", "weights": f"{version}"} | tags
    return VersionRecord("m", version, tags, datetime.now(UTC))


class Measuring:
    """Always gives the same report, and remembers what it was asked for."""

    def __init__(self, store: S3Store, psnr: dict[str, float], **weights: str) -> None:
        self.asked: list[Comparison] = []
        found = report(psnr).model_copy(update={"weights": weights})
        store.put("report.json", to_json(found))

    def __call__(self, comparison: Comparison) -> str:
        self.asked.append(comparison)
        return "report.json"


def settled(store: S3Store, challenger: VersionRecord, measure: Measure) -> Entry:
    """Decide about a challenger; the registry has every champion of the log."""
    log = PromotionLog(store, "m")
    before = log.champion()
    champion = None if before is None else record(before).ref
    return settle(log, store, challenger, measure, before=before, champion=champion)


def test_a_first_version_is_measured_against_bicubic_and_decided_on_once(
    object_store: S3Store,
) -> None:
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.5})
    entry = settled(object_store, record(1), measure)
    assert entry.champion == 1
    assert entry.evaluation == "report.json"
    assert [each.champion for each in measure.asked] == [None]
    assert settled(object_store, record(1), measure) == entry, "it stands"
    assert len(measure.asked) == 1


def test_the_champion_of_the_log_is_the_opponent(object_store: S3Store) -> None:
    promote_by_hand(PromotionLog(object_store, "m"), record(1).ref, None, "v1", "first")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.2, "champion": 28.5})
    entry = settled(object_store, record(2), measure)
    assert not entry.decision.promoted
    assert [each.champion for each in measure.asked] == [record(1).ref]


def test_a_champion_that_is_gone_from_the_registry_is_named_and_replaced(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    promote_by_hand(log, record(1).ref, None, "v1", "first")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.5})
    entry = settle(log, object_store, record(2), measure, before=log.champion(), champion=None)
    assert (entry.champion, entry.decision.champion_before) == (2, 1)
    assert "Champion version 1 is gone from the registry" in entry.decision.reason


def test_another_decision_while_it_is_measured_is_a_conflict(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.5})

    def overtaken(comparison: Comparison) -> str:
        promote_by_hand(log, record(3).ref, None, "v1", "meanwhile")
        return measure(comparison)

    with pytest.raises(ConflictError, match="champion of m is version 3 by now"):
        settled(object_store, record(1), overtaken)
    assert log.champion() == 3


def test_of_two_gate_decisions_at_once_the_second_counts_the_first_as_an_attempt(
    object_store: S3Store,
) -> None:
    promote_by_hand(PromotionLog(object_store, "m"), record(1).ref, None, "v1", "first")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.2, "champion": 28.5})
    read = PromotionLog.next_attempt

    def overtaken(log: PromotionLog) -> int:
        counted = read(log)
        if log is mine:
            settled(object_store, record(3), measure)
        return counted

    mine = PromotionLog(object_store, "m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PromotionLog, "next_attempt", overtaken)
        with pytest.raises(ConflictError, match=r"version 2 of m is attempt 2 .* by now, not 1"):
            settle(mine, object_store, record(2), measure, before=1, champion=record(1).ref)
    settled(object_store, record(2), measure)
    assert [entry.attempt for entry in mine.entries() if entry.hand is None] == [1, 2]


def test_a_refusal_on_another_dataset_is_not_one_on_the_challengers_own(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    promote_by_hand(log, record(1).ref, None, "v1", "first")
    challenger = record(2, dataset_version="own")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.2, "champion": 28.5})

    def ask(asked: str | None, measured: str) -> Entry:
        found = read_document(object_store, "report.json", Report)
        dataset = found.dataset.model_copy(update={"version": measured})
        object_store.put("report.json", to_json(found.model_copy(update={"dataset": dataset})))
        champion = record(1).ref
        return settle(
            log,
            object_store,
            challenger,
            measure,
            before=1,
            champion=champion,
            dataset_version=asked,
        )

    cats = ask("cats", "cats")
    own = ask(None, "own")
    assert (cats.dataset_version, own.dataset_version) == ("cats", "own")
    assert ask(None, "own") == own, "it stands"
    assert len(measure.asked) == 2


def test_a_first_champion_while_the_registry_is_asked_is_a_conflict(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 28.5})
    before = log.champion()
    promote_by_hand(log, record(3).ref, None, "v1", "meanwhile")
    with pytest.raises(ConflictError, match="champion of m is version 3 by now"):
        settle(log, object_store, record(1), measure, before=before, champion=None)


def test_a_recorded_evaluation_decides_only_if_it_compares_exactly_these_two(
    object_store: S3Store,
) -> None:
    Measuring(object_store, {"bicubic": 28.0, "model": 28.5}, model="1")
    challenger = record(1, evaluation="report.json")
    entry = settled(object_store, challenger, recorded_evaluation(object_store, challenger, ANNA))
    assert entry.champion == 1
    other = record(2, evaluation="report.json")
    with pytest.raises(
        ConfigError,
        match=r"compares models:/m/2 with champion version 1 .* `prefect deployment run "
        r"promote/anna~promote --param model=m --param version=2 --param dataset=NAME` measures",
    ):
        settled(object_store, other, recorded_evaluation(object_store, other, ANNA))
    assert PromotionLog(object_store, "m").champion() == 1


def test_other_weights_under_the_champions_number_are_measured_and_may_be_promoted(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    promote_by_hand(log, record(1).ref, None, "v1", "first")
    again = record(1, weights="other")
    measure = Measuring(object_store, {"bicubic": 28.0, "model": 27.0})
    entry = settle(log, object_store, again, measure, before=1, champion=None)
    assert len(measure.asked) == 1, "the old promotion was taken for a decision about them"
    assert not entry.decision.promoted
    with pytest.raises(ConfigError, match="version 1 of m is champion already"):
        promote_by_hand(log, record(1).ref, 1, "v1", "twice")
    entry = promote_by_hand(log, again.ref, 1, "v1", "the registry was lost")
    assert entry.decision.promoted
    assert entry.decision.reason.startswith(
        "Version 1 replaces the champion, which had its number and other weights, by hand: the "
        "registry was lost. The gate had said: Version 1 "
    )
    with pytest.raises(ConfigError, match="version 1 of m is champion already"):
        promote_by_hand(log, again.ref, 1, "v1", "twice")


def test_a_rollback_does_not_make_champion_what_never_was(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    promote_by_hand(log, record(1).ref, None, "v1", "first")
    promote_by_hand(log, record(2).ref, 1, "v1", "second")
    line = rollback_line(log, None)
    with pytest.raises(ConfigError, match=r"other weights have its number .* promote m/1 --force"):
        roll_back(log, record(1, weights="other").ref, line, "v1", "halos")
    assert log.champion() == 2
    assert roll_back(log, record(1).ref, line, "v1", "halos").champion == 1
