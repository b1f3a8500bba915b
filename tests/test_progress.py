"""How far jobs are, as they write it and as flows and displays read it."""

import json
import math

import pytest

from srgan.errors import DocumentError
from srgan.keys import progress_key
from srgan.progress import Progress, StageProgress, find_progress, write_progress
from srgan.services.s3 import S3Store

PROGRESS = StageProgress(
    stage="pretrain",
    step=50,
    steps=400,
    crops_per_s=26.44,
    eta_s=212.0,
    learning_rate=1e-4,
    losses={"loss": 0.01234},
    data_wait_share=0.0,
    data_wait_s=0.0,
    missed_share=None,
    memory_bytes=0,
)


def test_progress_reads_as_one_line() -> None:
    assert PROGRESS.line() == "pretrain 50/400  26.4 crops/s  3 min 32 s left  loss 0.01234"


def test_the_line_tells_when_training_waits_for_patches() -> None:
    waits = PROGRESS.model_copy(update={"data_wait_share": 0.4, "data_wait_s": 12.34})
    assert waits.line() == f"{PROGRESS.line()}  waited 12.3 s for patches"


def test_a_stage_is_read_with_its_figures_and_another_job_with_what_it_counts(
    object_store: S3Store,
) -> None:
    for told in (
        PROGRESS,
        PROGRESS.model_copy(update={"eta_s": math.inf}),
        Progress(step=1, steps=4),
        Progress(step=2, steps=6, eta_s=None, what="photos"),
    ):
        write_progress(object_store, "run", told)
        found = find_progress(object_store, "run")
        assert (type(found), found) == (type(told), told)
    assert find_progress(object_store, "another") is None


def test_only_what_a_job_has_said_is_written(object_store: S3Store) -> None:
    def written(progress: Progress) -> object:
        write_progress(object_store, "run", progress)
        return json.loads(object_store.get(progress_key("run")))

    assert written(Progress(step=1, steps=4)) == {"step": 1, "steps": 4}
    photos = {"step": 0, "steps": 6, "eta_s": None, "what": "photos"}
    assert written(Progress(step=0, steps=6, eta_s=None, what="photos")) == photos


def test_the_progress_of_another_release_is_read_as_far_as_it_is_known(
    object_store: S3Store,
) -> None:
    body = {"step": 3, "steps": 9, "stage": "pretrain", "eta_s": 1.0, "losses": {}, "new": 1}
    object_store.put(progress_key("run"), json.dumps(body).encode())
    assert find_progress(object_store, "run") == Progress(step=3, steps=9, eta_s=1.0)


def test_damaged_progress_is_refused_with_its_address(object_store: S3Store) -> None:
    object_store.put(progress_key("run"), b'{"step": "many"}')
    with pytest.raises(DocumentError, match=r"runs/run/progress\.json is damaged"):
        find_progress(object_store, "run")
