"""The promotion log on a real object store: order, one winner, decisions that still hold."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from srgan.config import GateConfig
from srgan.config.networks import FeatureNetwork
from srgan.errors import ConflictError
from srgan.measure.figures import differences_table
from srgan.measure.intervals import Interval
from srgan.promotion.log import (
    Entry,
    Evidence,
    ManualDecision,
    OnSet,
    PromotionLog,
    champions,
    decision_tags,
)
from srgan.refs import ModelRef, PromotionDecision, to_json
from srgan.services.s3 import S3Store

JUDGES: dict[FeatureNetwork, str] = {"squeezenet1_1": "1" * 64}


def of(version: int, weights: str = "0" * 64) -> ModelRef:
    return ModelRef(name="m", version=version, run="r", weights_digest=weights)


def decide(
    log: PromotionLog,
    challenger: int,
    before: int | None,
    *,
    promoted: bool,
    weights: str = "0" * 64,
) -> Entry:
    return log.append(
        PromotionDecision(
            model="m",
            challenger=challenger,
            champion_before=before,
            promoted=promoted,
            reason="because",
        ),
        Evidence(
            run=f"adversarial-{challenger}",
            weights_digest=weights,
            dataset_version="v",
            metrics={"model": {"psnr": 29.0, "ssim": 0.8}},
            judges=JUDGES,
            attempt=log.next_attempt(),
        ),
    )


def roll_back(log: PromotionLog, before: int, to: int, left: tuple[int, ...]) -> Entry:
    decision = PromotionDecision(
        model="m", challenger=to, champion_before=before, promoted=True, reason="back"
    )
    evidence = Evidence(run="r", weights_digest="0" * 64, dataset_version="v", metrics={})
    return log.append(decision, evidence, ManualDecision(why="halos", rolled_back=left))


def test_the_last_decision_says_who_is_champion(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    assert log.champion() is None
    decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=False)
    assert log.champion() == 1
    decide(log, 3, 1, promoted=True)
    assert log.champion() == 3
    assert [entry.number for entry in log.entries()] == [1, 2, 3]
    assert object_store.head("promotions/m/000003.json") is not None


def test_models_do_not_share_a_log(object_store: S3Store) -> None:
    decide(PromotionLog(object_store, "m"), 1, None, promoted=True)
    assert PromotionLog(object_store, "mm").champion() is None


def test_a_decision_against_a_former_champion_is_refused(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    with pytest.raises(ConflictError, match="version 1 by now, not None"):
        decide(log, 2, None, promoted=True)
    assert log.champion() == 1


def test_an_attempt_that_was_counted_before_another_decision_is_refused(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    refused = decide(log, 2, 1, promoted=False)
    evidence = Evidence(**refused.model_dump(include=set(Evidence.model_fields)))
    assert evidence.attempt == 1
    late = refused.decision.model_copy(update={"challenger": 3})
    with pytest.raises(ConflictError, match=r"version 3 of m is attempt 2 .* by now, not 1"):
        log.append(late, evidence)
    log.append(late, evidence.model_copy(update={"attempt": 2}))
    assert log.next_attempt() == 3


def test_one_of_several_promotions_at_the_same_moment_wins(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")

    def attempt(challenger: int) -> bool:
        try:
            decide(log, challenger, None, promoted=True)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(attempt, range(1, 9)))
    assert won.count(True) == 1, f"winners: {won}"
    assert log.champion() == won.index(True) + 1


def test_a_decision_holds_until_the_champion_changes(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    assert log.standing(of(1), JUDGES) is None
    promoted = decide(log, 1, None, promoted=True)
    refused = decide(log, 2, 1, promoted=False)
    assert log.standing(of(1), JUDGES) == promoted
    assert log.standing(of(2), JUDGES) == refused
    decide(log, 3, 1, promoted=True)
    assert log.standing(of(1), JUDGES) is None, "it was replaced, so it may try again"
    assert log.standing(of(2), JUDGES) is None, "the champion it lost against is gone"


def test_a_refusal_no_longer_holds_when_the_judges_change(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    promoted = decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=False)
    more: dict[FeatureNetwork, str] = {**JUDGES, "vgg19": "2" * 64}
    assert log.standing(of(2), more) is None
    assert log.standing(of(1), more) == promoted, "the champion need not be promoted again"


def test_a_refusal_no_longer_holds_when_an_evaluation_set_has_another_version(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    refused = decide(log, 2, 1, promoted=False)
    assert log.standing(of(2), JUDGES, {}) == refused
    assert log.standing(of(2), JUDGES, {"set5": "s1"}) is None, "it was measured without that set"


def test_after_a_rollback_the_attempts_against_the_old_champion_are_still_spent(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    for version in (2, 3, 4):
        decide(log, version, 1, promoted=False)
    decide(log, 5, 1, promoted=True)
    assert log.next_attempt() == 1, "nobody has challenged the new champion"
    decide(log, 6, 5, promoted=False)
    assert log.next_attempt() == 2
    roll_back(log, 5, 1, (5,))
    assert log.next_attempt() == 5, "three refusals and the promotion of its successor"
    decide(log, 7, 1, promoted=False)
    assert log.next_attempt() == 6


def test_attempts_are_counted_by_champion(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    assert log.next_attempt() == 1
    decide(log, 1, None, promoted=False)
    assert log.next_attempt() == 2, "against bicubic too"
    decide(log, 2, None, promoted=True)
    assert log.next_attempt() == 1
    for version in (3, 4, 4):
        decide(log, version, 2, promoted=False)
    assert log.next_attempt() == 4, "a version that is decided on again is another attempt"
    roll_back(log, 2, 1, (2,))
    assert log.next_attempt() == 1


def test_a_rollback_takes_versions_out_of_the_line_of_champions(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    for version, before in ((1, None), (2, 1), (3, 2)):
        decide(log, version, before, promoted=True)
    decide(log, 4, 3, promoted=False)
    assert champions(log.entries()) == [1, 2, 3]
    roll_back(log, 3, 1, (3, 2))
    assert champions(log.entries()) == [1]
    decide(log, 3, 1, promoted=True)
    decide(log, 1, 3, promoted=True)
    assert champions(log.entries()) == [1, 3, 1]
    roll_back(log, 1, 3, (1,))
    assert champions(log.entries()) == [1, 3]


def test_a_rollback_holds_against_the_gate(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=True)
    entry = roll_back(log, 2, 1, (2,))
    more: dict[FeatureNetwork, str] = {**JUDGES, "vgg19": "2" * 64}
    assert log.standing(of(2), more) == entry, "whichever judges there are"
    decide(log, 3, 1, promoted=True)
    assert log.standing(of(2), JUDGES) == entry, "whichever version is champion"
    assert decision_tags(entry) == {"rollback": "back"}


OTHER = "f" * 64


def test_other_weights_under_an_old_number_inherit_no_decision(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    first = decide(log, 1, None, promoted=True)
    refused = decide(log, 2, 1, promoted=False)
    assert log.standing(of(1, OTHER), JUDGES) is None
    assert log.standing(of(2, OTHER), JUDGES) is None
    second = decide(log, 1, 1, promoted=True, weights=OTHER)
    assert log.standing(of(1, OTHER), JUDGES) == second
    assert log.standing(of(1), JUDGES) is None, "its successor has its number"
    assert log.standing(of(2), JUDGES) is None, "it was compared with other weights"
    assert (first.champion, refused.champion, second.champion) == (1, 1, 1)


def test_a_rollback_holds_for_the_weights_that_it_left_alone(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=True)
    entry = roll_back(log, 2, 1, (2,))
    assert log.standing(of(2), JUDGES) == entry
    assert log.standing(of(2, OTHER), JUDGES) is None
    refused = decide(log, 2, 1, promoted=False, weights=OTHER)
    assert log.standing(of(2, OTHER), JUDGES) == refused
    assert log.standing(of(2), JUDGES) == entry


def test_attempts_against_other_weights_under_the_champions_number_are_not_counted(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=False)
    decide(log, 1, 1, promoted=True, weights=OTHER)
    assert log.next_attempt() == 1
    decide(log, 2, 1, promoted=False, weights=OTHER)
    assert log.next_attempt() == 2


def test_a_decision_is_recorded_with_its_rule_intervals_and_teachers(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    entry = decide(log, 1, None, promoted=True)
    assert differences_table("", entry.all_differences).markdown() == ""
    assert decision_tags(entry).keys() == {"decision", "decision_metrics", "decision_differences"}
    evidence = Evidence(
        **entry.model_dump(include=set(Evidence.model_fields))
        | {
            "rule": "the rule",
            "gate": GateConfig(max_psnr_loss_db=1.0),
            "against": "champion",
            "differences": {"psnr": Interval(mean=-1.5, low=-2.0, high=-1.0)},
            "trained_on_judge": {"squeezenet_distance": ["model"]},
            "sets": {
                "set5": OnSet(
                    version="s1",
                    metrics={"model": {"psnr": 30.0, "ssim": 0.9}},
                    differences={"psnr": Interval(mean=0.5, low=0.25, high=0.75)},
                )
            },
        }
    )
    decision = entry.decision.model_copy(update={"challenger": 2, "champion_before": 1})
    written = log.append(decision, evidence)
    assert log.entries()[-1] == written
    tags = decision_tags(written)
    assert tags["decision"] == "because"
    assert tags["decision_rule"] == "the rule"
    assert json.loads(tags["decision_differences"]) == {
        "against": "champion",
        "psnr": {"mean": -1.5, "low": -2.0, "high": -1.0},
    }
    assert json.loads(tags["trained_on_judge"]) == {"squeezenet_distance": ["model"]}
    assert json.loads(tags["decision_metrics"]) == {"model": {"psnr": 29.0, "ssim": 0.8}}
    on_set5 = json.loads(tags["decision_sets"])["set5"]
    assert (on_set5["version"], on_set5["differences"]["psnr"]["mean"]) == ("s1", 0.5)
    table = differences_table("Challenger minus champion", written.all_differences)
    assert table.markdown().splitlines() == [
        "| Challenger minus champion | mean | 95 % interval |",
        "|---|---:|---:|",
        "| PSNR | −1.500 dB | −2.000 to −1.000 dB |",
        "| set5: PSNR | +0.500 dB | +0.250 to +0.750 dB |",
    ]


def test_decisions_of_earlier_releases_are_read(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    fields = json.loads(to_json(decide(log, 1, None, promoted=True)))
    added = {"judges", "rule", "gate", "against", "differences", "trained_on_judge", "attempt"}
    for later in added | {"sets", "hand", "by"}:
        del fields[later]
    object_store.put("promotions/m/000001.json", json.dumps(fields).encode())
    assert log.champion() == 1


def test_a_decision_names_who_made_it(object_store: S3Store) -> None:
    decide(PromotionLog(object_store, "m", by="anna@lab"), 1, None, promoted=True)
    decide(PromotionLog(object_store, "m"), 2, 1, promoted=True)
    assert [entry.by for entry in PromotionLog(object_store, "m").entries()] == ["anna@lab", ""]


def test_a_deleted_version_is_kept_with_who_deleted_it_and_is_not_a_decision(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m", by="anna@lab")
    entry = decide(log, 1, None, promoted=True)
    log.note_deletion(ModelRef(name="m", version=7, run="adversarial-7", weights_digest="7" * 64))
    (deletion,) = PromotionLog(object_store, "m").deletions()
    assert (deletion.version, deletion.run, deletion.by) == (7, "adversarial-7", "anna@lab")
    assert log.entries() == [entry]
    assert PromotionLog(object_store, "other").deletions() == []


def test_a_lost_entry_or_a_folder_object_does_not_stop_the_log(object_store: S3Store) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    decide(log, 2, 1, promoted=True)
    object_store.put("promotions/m/", b"")
    object_store.delete("promotions/m/000001.json")
    assert decide(log, 3, 2, promoted=False).number == 3
    last = log.last_promotion()
    assert last is not None
    assert last.decision.challenger == 2


def test_a_refusal_holds_on_the_dataset_version_that_it_was_measured_on(
    object_store: S3Store,
) -> None:
    log = PromotionLog(object_store, "m")
    decide(log, 1, None, promoted=True)
    refused = decide(log, 2, 1, promoted=False)
    assert log.standing(of(2), JUDGES) == refused
    assert log.standing(of(2), JUDGES, dataset_version="v") == refused
    assert log.standing(of(2), JUDGES, dataset_version="larger") is None
