"""A bucket of the previous release is read, and documents of a newer one are refused.

The bucket was written by `tests/support/write_released.py` with the code of that release.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from srgan import keys
from srgan.bulk.plan import find_plan
from srgan.config import AdversarialConfig
from srgan.data.changes import growth_since_announced
from srgan.data.dataset import open_crops
from srgan.data.manifest import read_latest, read_manifest
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.errors import NewerFormatError
from srgan.keys import MAP, Key
from srgan.measure.evaluation import Report
from srgan.measure.pictures import Details
from srgan.measure.sets import SetImages, newest_set, read_set
from srgan.models.weights import find_mirrored
from srgan.mos.results import RatingResults, results_of
from srgan.progress import StageProgress
from srgan.promotion.decide import read_set_reports
from srgan.promotion.lineage import read_registration
from srgan.promotion.log import PromotionLog
from srgan.promotion.opinions import read_studies
from srgan.promotion.reasons import read_beginning
from srgan.refs import CheckpointRef, EvaluationRef
from srgan.services.s3 import S3Store
from srgan.storage import Place, read_document
from srgan.studies.design import find_end, read_design
from srgan.studies.figures import find_figures
from srgan.studies.parts import judged_columns, read_parts
from srgan.train.checkpoint import newest_checkpoint
from srgan.train.checkpoint import read_manifest as read_checkpoint
from srgan.train.run import StageInputs, run_stage
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.released import fill
from tests.support.stages import CPU

MODEL = "leaves-x2"
EVALUATIONS = keys.evaluations_prefix("pretrain-1")


def _dataset(store: S3Store) -> object:
    manifest, _ = read_latest(store, "leaves")
    assert manifest is not None
    return growth_since_announced(store, manifest.ref(0))


READERS: dict[Key[...], Callable[[S3Store, str], object]] = {
    keys.dataset_version_key: read_manifest,
    keys.newest_dataset_key: lambda store, _: read_latest(store, "leaves"),
    keys.announced_key: lambda store, _: _dataset(store),
    keys.set_version_key: read_set,
    keys.newest_set_key: lambda store, _: newest_set(store, "own"),
    keys.checkpoint_key: read_checkpoint,
    keys.result_key: lambda store, key: read_document(store, key, CheckpointRef),
    keys.registration_key: lambda store, _: read_registration(store, "adversarial-1", MODEL),
    keys.report_key: lambda store, key: read_document(store, key, Report),
    keys.set_report_key: lambda store, key: read_document(store, key, Report),
    keys.details_key: lambda store, key: read_document(store, key, Details),
    keys.evaluation_key: lambda store, key: read_document(store, key, EvaluationRef),
    keys.beginning_key: lambda store, _: read_beginning(store, "f-1"),
    keys.promotion_key: lambda store, _: PromotionLog(store, MODEL).entries(),
    keys.deletion_key: lambda store, _: PromotionLog(store, MODEL).deletions(),
    keys.study_key: lambda store, _: read_studies(store, MODEL),
    keys.design_key: lambda store, _: read_design(store, "spring"),
    keys.part_of_rater_key: lambda store, _: read_parts(store, "spring"),
    keys.study_end_key: lambda store, _: find_end(store, "spring"),
    keys.mirrored_key: lambda store, _: find_mirrored(store, "squeezenet1_1"),
    keys.plan_key: lambda store, _: find_plan(Place(store.uri("up"), store), "f-1"),
}
"""How the documents of each kind are read that outlive a release; of several, the first by key."""

PASSING = {
    keys.begun_dataset_key: "an attempt begins again if it cannot be read",
    keys.spec_key: "jobs refuse the spec of another release before they read it",
    keys.failure_key: "told apart by the id of the job that left it",
    keys.cost_key: "of jobs of the retraining that reads it",
    keys.progress_key: "for displays, while a job runs",
    keys.prepared_key: "read by the flow that began the preparation",
    keys.rank_key: "while a stage runs",
    keys.batch_key: "a part of its plan, which is read first",
    keys.batch_progress_key: "for displays, while a batch is made",
    keys.in_work_key: "for the next attempt of the same job",
    keys.summary_key: "for people",
    keys.drift_key: "the next bulk run of the version measures it again",
}
"""Documents that no later release needs, and why."""


@pytest.fixture
def bucket(object_store: S3Store) -> S3Store:
    fill(object_store)
    return object_store


def test_every_kind_of_document_is_read_here_or_said_to_pass() -> None:
    documents = {each.template for each in MAP if each.template.endswith(".json")}
    named = {each.template for each in (*READERS, *PASSING)}
    assert documents == named


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.template)
def test_a_document_of_the_previous_release_is_read_and_one_of_a_newer_refused(
    bucket: S3Store, kind: Key[...]
) -> None:
    key = min(info.key for info in bucket.list("") if kind.names(info.key))
    assert READERS[kind](bucket, key)
    document = json.loads(bucket.get(key))
    name, _, number = document.get("format", "srgan-anything-1").rpartition("-")
    newer = f"{name}-{int(number) + 1}"
    bucket.put(key, json.dumps({**document, "format": newer}).encode())
    known = document.get("format", "the first one, which has no name")
    said = f"{bucket.uri(key)} has the format {newer}, and this release reads {known}"
    with pytest.raises(NewerFormatError, match=re.escape(said)):
        READERS[kind](bucket, key)


@pytest.mark.parametrize("name", ["leaves", "packed"])
def test_a_dataset_is_read_and_takes_a_new_photo(
    bucket: S3Store, tmp_path: Path, name: str
) -> None:
    manifest, _ = read_latest(bucket, name)
    assert manifest is not None
    ref = manifest.ref(0)
    cache = ShardCache(bucket, tmp_path, 2**30)
    crops = {side: open_crops(bucket, ref, side, cache) for side in ("train", "eval")}
    counts = ref.num_train_crops, ref.num_eval_crops
    assert (len(crops["train"]), len(crops["eval"])) == counts
    assert crops["train"][0].shape == (32, 32, 3)
    bucket.put("raw/leaves/new.png", dead_leaves(99, 64, 96))
    grown = prepare_dataset(place(bucket, "raw/leaves"), bucket, name, manifest.config)
    num_photos = ref.num_train_photos + ref.num_eval_photos
    assert grown.num_train_photos + grown.num_eval_photos == num_photos + 1


def test_an_evaluation_set_and_an_evaluation_are_read(bucket: S3Store) -> None:
    images = SetImages(bucket, newest_set(bucket, "own"), 2)
    assert [image.shape for image in images] == [(60, 80, 3)] * 2
    (key,) = (i.key for i in bucket.list(EVALUATIONS) if keys.evaluation_key.names(i.key))
    evaluation = read_document(bucket, key, EvaluationRef)
    report = read_document(bucket, evaluation.key, Report)
    assert report.metrics == evaluation.metrics
    assert read_set_reports(bucket, report)["own"].metrics == evaluation.sets["own"].metrics


class Begun:
    """A reporter that notes where a stage begins."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def begin(self, step: int) -> None:
        self.at.append(step)

    def progress(self, progress: StageProgress) -> None:
        pass

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        pass

    def picture(self, name: str, png: bytes, step: int) -> None:
        pass

    def note(self, step: int, text: str) -> None:
        pass


def test_a_stage_that_was_broken_off_goes_on(bucket: S3Store, tmp_path: Path) -> None:
    bucket.delete(keys.mirrored_key("squeezenet1_1"))  # invented: validations would measure by it
    found = newest_checkpoint(bucket, "adversarial-1")
    assert found is not None
    before, _ = found
    assert 0 < before.step < 8
    dataset, _ = read_latest(bucket, "leaves")
    assert dataset is not None
    inputs = StageInputs(
        run="adversarial-1",
        config=AdversarialConfig.model_validate(before.config),
        dataset=dataset.ref(0),
        pairs=None,
        init_from=read_document(bucket, keys.result_key("pretrain-1"), CheckpointRef),
        numerics_version=before.numerics_version,
        release_version="now",
    )
    reporter, cache = Begun(), ShardCache(bucket, tmp_path, 2**30)
    end = run_stage(bucket, inputs, cache, device=CPU, reporter=reporter, stall_s=600)
    assert reporter.at == [before.step]
    assert (end.step, end.final, end.release_version) == (8, True, "now")


def test_the_promotion_log_says_who_is_champion_and_who_decided(bucket: S3Store) -> None:
    log = PromotionLog(bucket, MODEL)
    assert log.champion() == 2
    assert {entry.by for entry in log.entries()} == {"anna@lab"}
    assert log.entries()[-1].hand is not None
    assert [each.version for each in log.deletions()] == [1]
    (study,) = read_studies(bucket, MODEL).values()
    assert study.source == "study spring"


def test_the_results_of_a_study_are_what_people_answered(bucket: S3Store) -> None:
    design, parts = read_design(bucket, "spring"), read_parts(bucket, "spring")
    found = results_of(judged_columns(design, parts), find_figures(bucket, "spring"))
    assert isinstance(found, RatingResults)
    assert {name: found.opinions[name].mean for name in ("nearest", "dark")} == {
        "nearest": 2.0,
        "dark": 3.0,
    }
