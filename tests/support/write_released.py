"""Write a small bucket with the code of a commit: what a release leaves to those after it.

    python -m tests.support.write_released COMMIT tests/support/buckets/VERSION.zip

The commit's own copy of this program does it, if it has one. Everything is drawn or invented here.
`tests/test_released.py` reads the file with today's code.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from srgan.bulk.plan import make_plan
from srgan.bulk.records import from_parquet, tally
from srgan.bulk.run import BulkRun
from srgan.bulk.summary import summarise, write_summary
from srgan.config import AdversarialConfig, DataConfig, GateConfig, PretrainConfig
from srgan.data.changes import mark_announced
from srgan.data.prepare import prepare_dataset
from srgan.data.shards import ShardCache
from srgan.jobs.evaluate import run_evaluation
from srgan.jobs.upscale import UpscaleWorker
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import (
    part_of_rater_key,
    records_key,
    result_key,
    set_report_key,
    spec_key,
    study_end_key,
)
from srgan.measure.evaluation import EvaluateSpec, Report
from srgan.measure.sets import EvaluationSet
from srgan.models.interchange import dump_generator
from srgan.models.weights import publish_weights
from srgan.progress import StageProgress
from srgan.promotion.decide import Reports, decide, promote_by_hand
from srgan.promotion.lineage import keep_registration
from srgan.promotion.log import PromotionLog
from srgan.promotion.opinions import keep_study
from srgan.promotion.reasons import Beginning, keep_beginning
from srgan.refs import CheckpointRef, DatasetRef, ModelRef, config_digest
from srgan.services import mlflow_models
from srgan.services.s3 import S3Store, open_store
from srgan.storage import read_document, write_document
from srgan.studies.create import create_study
from srgan.studies.design import Closed
from srgan.studies.figures import ensure_figures
from srgan.studies.parts import judgements_of
from srgan.train.checkpoint import CheckpointManifest
from srgan.train.run import StageInputs, run_stage
from srgan.version import release_version
from tests.support.bulk_runs import CHAMPION, bulk_run
from tests.support.networks import random_generator
from tests.support.object_server import run_object_server
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.stages import CPU, PLAIN, adversarial, pretrain
from tests.support.studies import asked, makers, parts_of, photo_set
from tests.support.versions import lineage, weights

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).relative_to(ROOT)
MODEL = "leaves-x2"


class Quiet:
    """A reporter of a stage, which breaks it off at a step like a killed process."""

    def __init__(self, stop_at: int | None) -> None:
        self._stop_at = stop_at

    def begin(self, step: int) -> None:
        pass

    def progress(self, progress: StageProgress) -> None:
        if progress.step == self._stop_at:
            raise KeyboardInterrupt

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        pass

    def picture(self, name: str, png: bytes, step: int) -> None:
        pass

    def note(self, step: int, text: str) -> None:
        pass


class Models:
    """In place of the registry, which is a server."""

    def __init__(self, settings: object) -> None:
        pass

    def load_generator_bytes(self, ref: ModelRef) -> bytes:
        return dump_generator(random_generator(PLAIN))


def write_bucket(store: S3Store, folder: Path) -> None:
    """Write a few objects of every lasting kind."""
    dataset = write_datasets(store)
    photos = photo_set(store, (1, 2), (60, 80))
    trained = write_stages(store, dataset, folder)
    report_key = write_evaluation(store, dataset, photos, trained)
    write_decisions(store, dataset, report_key, trained)
    write_study(store, photos)
    write_bulk_runs(store)
    # Last, because evaluations and studies would measure with them.
    publish_weights(store, "squeezenet1_1", b"invented", "nowhere")


def write_datasets(store: S3Store) -> DatasetRef:
    """A dataset of plain shards, and one of packed ones."""
    for seed in range(6):
        store.put(f"raw/leaves/{seed}.png", dead_leaves(seed, 64, 96))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
    packed = config.model_copy(update={"compress": True})
    prepare_dataset(place(store, "raw/leaves"), store, "packed", packed)
    dataset = prepare_dataset(place(store, "raw/leaves"), store, "leaves", config)
    mark_announced(store, dataset)
    return dataset


def write_stages(store: S3Store, dataset: DatasetRef, folder: Path) -> CheckpointRef:
    """A first stage that has ended, and a second one that was broken off with one checkpoint."""
    cache = ShardCache(store, folder / "shards", 2**30)

    def run(
        name: str,
        config: PretrainConfig | AdversarialConfig,
        init_from: CheckpointRef | None,
        stop_at: int | None,
    ) -> CheckpointManifest:
        inputs = StageInputs(
            run=name,
            config=config,
            dataset=dataset,
            pairs=None,
            init_from=init_from,
            numerics_version="c",
            release_version=release_version(),
        )
        return run_stage(store, inputs, cache, device=CPU, reporter=Quiet(stop_at), stall_s=600)

    trained = run("pretrain-1", pretrain(), None, None).ref(None)
    write_document(store, result_key("pretrain-1"), trained)
    try:
        run("adversarial-1", adversarial(), trained, 4)
    except KeyboardInterrupt:
        return trained
    raise AssertionError("the second stage was not broken off")


def write_evaluation(
    store: S3Store, dataset: DatasetRef, photos: EvaluationSet, trained: CheckpointRef
) -> str:
    """An evaluation on held-out crops and on a set; the key of its report."""
    spec = EvaluateSpec(
        dataset=dataset,
        contestants={"model": trained},
        sets=(photos.ref,),
        numerics_version="c",
        release_version=release_version(),
    )
    write_document(store, spec_key(spec.run), spec)
    run_evaluation(spec_key(spec.run))
    return spec.report_key


def write_decisions(
    store: S3Store, dataset: DatasetRef, report_key: str, trained: CheckpointRef
) -> None:
    """A beginning, a registration, two decisions, a deleted version."""
    keep_beginning(store, "f-1", Beginning(dataset=dataset, champion=None, reason="the first"))
    keep_registration(store, MODEL, lineage("adversarial-1", weights(1)))
    first, second = (
        ModelRef(name=MODEL, version=number, run=trained.run, weights_digest=trained.digest)
        for number in (1, 2)
    )
    report = read_document(store, report_key, Report)
    on_set = set_report_key(report_key.removeprefix("runs/").rpartition("/")[0], "own")
    sets = {"own": read_document(store, on_set, Report)}
    log = PromotionLog(store, MODEL, by="anna@lab")
    entry = decide(log, first, None, Reports(report, sets, report_key), GateConfig())
    promote_by_hand(log, second, entry.champion, dataset.version, "it is sharper")
    log.note_deletion(first)


def write_study(store: S3Store, photos: EvaluationSet) -> None:
    """A study that two people have answered and that is closed, and its ratings with the model."""
    methods = makers("nearest", "dark", "original")
    design = create_study(store, asked(), photos, methods, photos, lambda done, total: None)
    parts = parts_of(
        design, 2, lambda task, rater: {"nearest": "2", "dark": "3"}.get(task.left, "5")
    )
    for part in parts:
        write_document(store, part_of_rater_key(design.name, part.rater), part)
    count = sum(part.num_judgements for part in parts)
    end = Closed(closed_at="2026-11-30T12:00:00+00:00", num_raters=2, num_judgements=count)
    write_document(store, study_end_key(design.name), end)
    ensure_figures(store, design, lambda done, total: None)
    ratings = [each for each in judgements_of(parts) if each.method != "nearest"]  # type: ignore[union-attr]  # a study of ratings
    keep_study(store, MODEL, "study spring", ratings)  # type: ignore[arg-type]  # likewise


def write_bulk_runs(store: S3Store) -> None:
    """A bulk run of two photos that has ended, and one that was killed when it had planned."""
    # The switch that tests use too.
    mlflow_models.Registry = Models  # type: ignore[assignment,misc]  # a server otherwise
    for seed in (1, 2):
        store.put(f"photos/{seed}.png", dead_leaves(seed, 24, 32))
    done = bulk_run(store, "f-1")
    plan = make_plan(done)
    assert plan.num_batches == 1
    spec = UpscaleSpec(
        run=done.name,
        source=done.source.address,
        destination=done.destination.address,
        model=CHAMPION,
        config=done.config,
        batches=(0,),
        num_batches=1,
        release_version=release_version(),
    )
    print(UpscaleWorker(spec, 1, "cpu", 0).run(0))
    key = records_key(done.destination.address, done.name, 0)
    rows = from_parquet(store.get(key), key)
    write_summary(done, summarise(plan, {0: tally(rows)}, {}))
    store.put("photos/3.png", dead_leaves(3, 24, 32))
    make_plan(bulk_run(store, flow_run_name(done)))


def flow_run_name(run: BulkRun) -> str:
    """The name that the flow run ``root`` gives such a run (`flows.upscale.plan_run`)."""
    asked_for = run.source.address, run.destination.address, "m", run.config, None
    return f"root-{config_digest(*asked_for)[:8]}"


def save(store: S3Store, file: Path) -> None:
    """All objects as a zip: each with its metadata, as JSON, in the comment of its entry."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in sorted(store.list(""), key=lambda each: each.key):
            entry = zipfile.ZipInfo(info.key, (2026, 11, 30, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.comment = json.dumps(store.metadata(info.key)).encode()
            archive.writestr(entry, store.get(info.key))


def write(file: Path) -> None:
    """Start an object store, write the bucket with the code of this folder, save it."""
    logging.basicConfig(level=logging.WARNING)
    with (
        tempfile.TemporaryDirectory() as folder,
        run_object_server(Path(folder)) as settings,
    ):
        assert settings.s3_access_key is not None
        assert settings.s3_secret_key is not None
        os.environ |= {
            "AWS_ENDPOINT_URL": settings.require("s3_endpoint_url"),
            "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
            "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
            "SRGAN_BUCKET": settings.bucket,
            "SRGAN_HOME": folder,
        }
        store = open_store(settings)
        write_bucket(store, Path(folder))
        save(store, file)


def write_at(commit: str, file: Path) -> None:
    """Check the commit out beside this checkout, and have `write` done by its code."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(there), commit], check=True, timeout=120)
        try:
            if not (there / HERE).exists():
                shutil.copy(ROOT / HERE, there / HERE)
            program = [sys.executable, "-m", "tests.support.write_released", str(file.resolve())]
            environment = {**os.environ, "PYTHONPATH": str(there)}
            subprocess.run(program, cwd=there, env=environment, check=True, timeout=1200)
        finally:
            subprocess.run([*git, "remove", "--force", str(there)], check=True, timeout=120)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [commit, file]:
            write_at(commit, Path(file))
        case [file]:
            write(Path(file))
        case _:
            sys.exit(__doc__)
