"""Plans of clean-ups: data that goes and data that must stay, on a real object store."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from srgan.config import DataConfig
from srgan.data.changes import growth_since_announced, mark_announced
from srgan.data.prepare import prepare_dataset
from srgan.keys import announced_key
from srgan.promotion.cleanup import Plan, Rules, Version, plan_cleanup
from srgan.promotion.log import Evidence, ManualDecision, PromotionLog
from srgan.promotion.record import VersionRecord
from srgan.refs import DatasetRef, PromotionDecision, to_json
from srgan.services.s3 import S3Store
from tests.support.checkpoints import manifest
from tests.support.places import place
from tests.support.versions import lineage

ALL_OLD = Rules(keep=1, before=time.time() + 3600)
DATA = DataConfig(scale=2, crop_size=32, eval_share=0.3)


def version(
    number: int, model: str = "m", aliases: tuple[str, ...] = (), created: float = 0.0, **tags: str
) -> Version:
    tags = {"run": f"stage-{model}-{number}", "weights": "0"} | tags
    created_at = datetime.fromtimestamp(created, UTC)
    return Version(VersionRecord(model, number, tags, created_at, aliases=aliases))


def promoted(store: S3Store, number: int, before: int | None, model: str = "m") -> None:
    decision = PromotionDecision(
        model=model, challenger=number, champion_before=before, promoted=True, reason="better"
    )
    evidence = Evidence(run="r", weights_digest="0", dataset_version="v", metrics={})
    PromotionLog(store, model).append(decision, evidence)


def gone(plan: Plan, kind: str) -> list[str]:
    return [each.name for each in plan.waste if each.kind == kind]


def delete(store: S3Store, plan: Plan) -> None:
    for each in plan.waste:
        for key in each.keys:
            store.delete(key)


def keys(store: S3Store, prefix: str = "") -> set[str]:
    return {info.key for info in store.list(prefix)}


@pytest.fixture
def prepare(
    object_store: S3Store, draw_photo: Callable[..., Any], encode_photo: Callable[..., bytes]
) -> Callable[..., DatasetRef]:
    """`prepare(seeds)`: a version of the dataset with exactly these photos."""

    def run(seeds: Sequence[int], dataset: str = "drawn") -> DatasetRef:
        for info in list(object_store.list("raw/")):
            object_store.delete(info.key)
        for seed in seeds:
            object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
        return prepare_dataset(place(object_store, "raw"), object_store, dataset, DATA)

    return run


def test_versions_with_an_alias_champions_newest_ones_used_and_imported_ones_stay(
    object_store: S3Store,
) -> None:
    for number, before in ((2, None), (3, 2), (4, 3)):
        promoted(object_store, number, before)
    versions = [version(number) for number in range(1, 9)]
    versions[4] = version(5, aliases=("staging",))
    versions[5] = version(6, source_file="theirs.pth")
    rules = replace(ALL_OLD, in_use={("m", 1): "a bulk run"})
    plan = plan_cleanup(object_store, versions, rules)
    assert [each.record.version for each in plan.versions] == [2, 7]
    assert plan.kept == {
        "models:/m/1": "a bulk run uses it",
        "models:/m/3": "former champion, which a rollback goes to",
        "models:/m/4": "champion by the promotion log",
        "models:/m/5": "staging",
        "models:/m/6": "imported: it cannot be made again here",
        "models:/m/8": "among the newest 1",
    }


def test_the_newest_are_counted_for_each_model_and_what_is_recent_stays(
    object_store: S3Store,
) -> None:
    now = time.time()
    versions = [version(n, model) for model in ("a", "b") for n in (1, 2, 10)]
    versions[0] = version(1, "a", created=now)
    plan = plan_cleanup(object_store, versions, Rules(keep=2, before=now - 60))
    assert [each.name for each in plan.versions] == ["models:/b/1"]


def test_only_the_dataset_versions_that_no_kept_model_was_trained_on_go_with_their_shards(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    used, unused, newest = (prepare(seeds) for seeds in ([0, 1, 2], [3, 4, 5], [6, 7, 8]))
    other = prepare([0, 1, 2], "other")
    before = keys(object_store, "crops/")
    kept = version(1, dataset_version=used.version, dataset_ref=used.model_dump_json())
    plan = plan_cleanup(object_store, [kept], ALL_OLD)
    assert gone(plan, "dataset version") == [f"drawn {unused.version[:12]}"]
    delete(object_store, plan)
    assert {used.key, newest.key, other.key} <= keys(object_store, "crops/")
    deleted = before - keys(object_store, "crops/")
    assert unused.key in deleted
    assert len([key for key in deleted if "/shards/" in key]) == 2, "one for each side"
    assert len([key for key in deleted if "/tables/" in key]) == 2
    again = prepare([6, 7, 8])
    assert (again.version, again.num_read) == (newest.version, 0), "the newest is whole"
    assert not plan_cleanup(object_store, [kept], ALL_OLD).waste, "nothing is left"


def test_the_dataset_version_from_which_growth_is_counted_stays(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    announced = prepare([0, 1, 2])
    mark_announced(object_store, announced)
    unused, newest = prepare([0, 1, 3]), prepare([0, 1, 2, 4])
    plan = plan_cleanup(object_store, [], ALL_OLD)
    assert gone(plan, "dataset version") == [f"drawn {unused.version[:12]}"]
    delete(object_store, plan)
    assert growth_since_announced(object_store, newest).new == ("raw/4.png",)


def test_an_unreadable_record_of_growth_keeps_all_datasets_and_is_named(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    prepare([0, 1, 2])
    prepare([3, 4, 5])
    object_store.put(announced_key("drawn"), b'{"of": "another release"}')
    plan = plan_cleanup(object_store, [], ALL_OLD)
    assert gone(plan, "dataset version") == []
    (why,) = plan.unread
    assert announced_key("drawn") in why


def test_shards_that_two_versions_share_stay_while_one_of_them_does(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    prepare([0, 1, 2, 3])
    prepare([0, 1, 2, 3, 4])
    shards = keys(object_store, "crops/drawn/shards/")
    plan = plan_cleanup(object_store, [], ALL_OLD)
    assert len(gone(plan, "dataset version")) == 1
    delete(object_store, plan)
    assert keys(object_store, "crops/drawn/shards/") == shards


RUNS = {
    "adversarial-kept": [
        "result.json",
        "parts/a",
        "evaluations/1/report.json",
    ],
    "pretrain-kept": ["result.json", "parts/b"],
    "adversarial-old": [
        "checkpoints/9.json",
        "evaluations/2/evaluation.json",
        "parts/c",
        "result.json",
    ],
    "upscale-run": ["000000/spec.json"],
}


def test_runs_of_kept_versions_and_of_bulk_runs_stay_and_others_go_results_first(
    object_store: S3Store,
) -> None:
    for run, names in RUNS.items():
        for name in names:
            object_store.put(f"runs/{run}/{name}", b"12345")
    object_store.put("promotions/other/000001.json", b"{}")
    object_store.put("weights/squeezenet1_1.json", b"{}")
    object_store.put("sets/own/latest.json", b"{}")
    before = keys(object_store)
    kept = version(1, run="adversarial-kept", pretrained_run="pretrain-kept")
    plan = plan_cleanup(object_store, [kept], ALL_OLD)
    (run,) = plan.waste
    assert (run.kind, run.name, run.size_bytes) == ("run", "adversarial-old", 20)
    assert run.keys == (
        "runs/adversarial-old/evaluations/2/evaluation.json",
        "runs/adversarial-old/result.json",
        "runs/adversarial-old/checkpoints/9.json",
        "runs/adversarial-old/parts/c",
    )
    delete(object_store, plan)
    assert before - keys(object_store) == set(run.keys)


def test_objects_that_stand_for_folders_do_no_harm_and_go_with_their_run(
    object_store: S3Store,
) -> None:
    folders = ["runs/", "runs/old/", "runs/old/ray/", "runs/kept/", "runs/kept/ray/", "crops/"]
    for key in [*folders, "crops/drawn/", "crops/drawn/versions/"]:
        object_store.put(key, b"")
    object_store.put("runs/old/result.json", b"{}")
    plan = plan_cleanup(object_store, [version(1, run="kept")], ALL_OLD)
    (run,) = plan.waste
    assert run.keys == ("runs/old/result.json", "runs/old/", "runs/old/ray/")


def test_runs_that_a_kept_version_was_fine_tuned_from_stay_with_all_origins(
    object_store: S3Store,
) -> None:
    line = ["pretrain-first", "adversarial-first", "registered-0123", "adversarial-tuned"]
    for origin, run in zip([None, *line], [*line, "adversarial-other"], strict=False):
        made = manifest(9, final=True).model_copy(update={"run": run, "init_run": origin})
        object_store.put(made.key, to_json(made))
    plan = plan_cleanup(object_store, [version(2, run="adversarial-tuned")], ALL_OLD)
    assert gone(plan, "run") == ["adversarial-other"]


def test_after_a_rollback_the_champion_that_the_next_one_goes_to_stays(
    object_store: S3Store,
) -> None:
    for number, before in ((1, None), (2, 1), (3, 2)):
        promoted(object_store, number, before)
    log = PromotionLog(object_store, "m")
    back = log.entries()[-1].decision.model_copy(
        update={"challenger": 2, "champion_before": 3, "promoted": True}
    )
    evidence = Evidence(run="r", weights_digest="0", dataset_version="v", metrics={})
    log.append(back, evidence, ManualDecision(why="too sharp", rolled_back=(3,)))
    plan = plan_cleanup(object_store, [version(number) for number in range(1, 6)], ALL_OLD)
    assert [each.record.version for each in plan.versions] == [3, 4]


def test_a_training_that_waits_for_the_registry_stays_with_its_dataset(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    used = prepare([0, 1, 2])
    prepare([3, 4, 5])
    waiting = "runs/adversarial-waits/registrations/m.json"
    made = lineage("adversarial-waits", b"weights").model_copy(update={"dataset": used})
    for key in (waiting, "runs/adversarial-done/registrations/m.json"):
        object_store.put(key, to_json(made))
    plan = plan_cleanup(object_store, [version(1, run="adversarial-done")], ALL_OLD)
    assert plan.waste == []
    versions = [version(1, run="adversarial-done"), version(2)]
    assert gone(plan_cleanup(object_store, versions, ALL_OLD), "run") == ["adversarial-done"]


def test_a_run_that_a_sentence_of_another_version_happens_to_name_does_not_stay(
    object_store: S3Store,
) -> None:
    for run in ("pretrain-1", "pretrain-12", "halos"):
        object_store.put(f"runs/{run}/result.json", b"{}")
    decision = "Version 1 becomes champion: halos are gone."
    kept = version(1, run="pretrain-12", decision=decision)
    assert gone(plan_cleanup(object_store, [kept], ALL_OLD), "run") == ["halos", "pretrain-1"]


def test_a_version_whose_record_cannot_be_read_stays_with_all_runs_and_datasets(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    prepare([0, 1, 2])
    prepare([3, 4, 5])
    object_store.put("runs/unnamed/result.json", b"{}")
    broken = version(1, dataset_ref='{"dataset": "drawn"}')
    plan = plan_cleanup(object_store, [broken, version(2), version(3)], ALL_OLD)
    assert [each.name for each in plan.versions] == ["models:/m/2"]
    assert plan.waste == []
    assert plan.kept["models:/m/1"] == "what it was made of cannot be read"
    (why,) = plan.unread
    assert why.startswith("tag srgan.dataset_ref of models:/m/1 cannot be read")


@pytest.mark.parametrize("key", ["registrations/m.json", "checkpoints/000000009.json"])
def test_a_registration_or_checkpoint_of_another_release_keeps_all_runs_and_is_named(
    object_store: S3Store, key: str
) -> None:
    object_store.put(f"runs/kept/{key}", b'{"of": "another release"}')
    object_store.put("runs/unnamed/result.json", b"{}")
    versions = [version(1, run="kept")] if "checkpoints" in key else []
    plan = plan_cleanup(object_store, versions, ALL_OLD)
    assert plan.waste == []
    (why,) = plan.unread
    assert f"runs/kept/{key}" in why


def test_recent_data_of_every_kind_stays(
    object_store: S3Store, prepare: Callable[..., DatasetRef]
) -> None:
    prepare([0, 1, 2])
    prepare([3, 4, 5])
    object_store.put("crops/drawn/shards/loose.npy", b"of a prepare that still runs")
    object_store.put("runs/pretrain-now/progress.json", b"{}")
    plan = plan_cleanup(object_store, [], replace(ALL_OLD, before=time.time() - 60))
    assert plan.waste == []
    plan = plan_cleanup(object_store, [], ALL_OLD)
    assert {each.kind for each in plan.waste} == {"dataset version", "shards and tables", "run"}
