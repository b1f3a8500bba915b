"""A flow run that waits for people, on a real Prefect server: suspended, resumed, never lost.

Attempts run in this process as a worker would start them; tests/integration/test_study.py has a
worker, the cluster and the server of the study.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from pydantic import BaseModel

from flows import study as module
from flows.study import show_result, study
from srgan.config import DataConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import ConfigError
from srgan.jobs.study import render_study
from srgan.jobs.study_report import report_study
from srgan.keys import part_of_rater_key, spec_key, study_report_key
from srgan.promotion.log import PromotionLog
from srgan.promotion.opinions import read_studies
from srgan.refs import ModelRef, to_json
from srgan.services.mlflow_models import Registry
from srgan.services.prefect_runs import resume_flow_run
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import write_document
from srgan.studies.database import Database
from srgan.studies.design import Closed, StudyDesign, read_design
from srgan.studies.parts import Screen
from srgan.studies.waiting import try_end
from srgan.versions.services import Services
from tests.support.photos import dead_leaves
from tests.support.places import place
from tests.support.shelf import MODEL, crown
from tests.support.studies import SCREEN, design_by_hand, parts_of, photo_set
from tests.support.versions import DATASET

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]


@pytest.fixture(scope="module")
def deployment(prefect_api: None) -> UUID:
    with get_client(sync_client=True) as client:
        return client.create_deployment(client.create_flow(study), name="study")


@pytest.fixture
def rendered(
    flow_store: S3Store, versions: list[ModelRef], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A champion, a challenger and an evaluation set; the runs of jobs, which render here."""
    crown(PromotionLog(flow_store, MODEL), versions[0])
    for seed in range(8):
        flow_store.put(f"raw/leaves/{seed}.png", dead_leaves(seed, 64, 64))
    data = DataConfig(scale=4, crop_size=32, eval_share=0.3)
    trained_on = prepare_dataset(place(flow_store, "raw/leaves"), flow_store, "leaves", data)
    flow_store.put(DATASET.key, flow_store.get(trained_on.key))
    photo_set(flow_store, seeds=(11, 12, 13, 14, 15, 16), size=(64, 80))
    runs: list[str] = []

    def run_job(*, services: Services, run: str, module: str, spec: BaseModel, **_: Any) -> None:
        runs.append(run)
        services.store.put(spec_key(run), to_json(spec))
        make = {"srgan.jobs.study": render_study, "srgan.jobs.study_report": report_study}[module]
        make(spec_key(run))

    monkeypatch.setattr(module, "run_job", run_job)
    return runs


class Waiting:
    """A flow run of the deployment."""

    def __init__(self, deployment: UUID, **parameters: object) -> None:
        given = {"name": "spring", "model": MODEL, "eval_set": "own", "raters": 3, **parameters}
        with get_client(sync_client=True) as client:
            made = client.create_flow_run_from_deployment(deployment, parameters=given)
        self.id = made.id

    def attempt(self) -> str:
        """Run it until it waits or ends, as a worker's process does; return the state then."""
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(self.id)
        with suppress(Pause):
            run_flow(study, flow_run=run)
        return self.state

    @property
    def state(self) -> str:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(self.id).state
        assert state is not None
        return str(state.name)


def rate_all(design: StudyDesign, folder: Path) -> Database:
    """Three raters, who find the challenger better than the champion."""
    database = Database(folder / "ratings.sqlite", design)
    database.ensure_raters(3)
    worth = dict(zip(design.method_names, "3415", strict=True))
    pictures = {
        sha256: worth[method]
        for image in design.images
        for method, sha256 in image.pictures.items()
    }
    for each in database.progress():
        database.begin(each.token, "en", Screen.model_validate(SCREEN))
        state = database.end_training(each.token)
        while state.task:
            sha256 = database.picture(each.token, state.task.pictures[0])
            assert sha256 is not None
            state = database.judge(each.token, state.task.id, pictures[sha256], 1.5, 1.0)
    return database


@flow
def show(design: StudyDesign) -> None:
    show_result(design, "fine")


def shown() -> str:
    """The newest text of the study's artifact."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["spring-study"])),
        )
    return str(max(found, key=lambda each: str(each.created)).data)


def test_a_run_waits_suspended_and_its_study_ends_it(
    rendered: list[str],
    versions: list[ModelRef],
    deployment: UUID,
    flow_store: S3Store,
    tmp_path: Path,
) -> None:
    run = Waiting(deployment)
    assert run.attempt() == "Suspended"
    design = read_design(flow_store, "spring")
    assert (design.flow_run, design.enough, design.num_raters) == (str(run.id), 3, 3)
    assert design.method_names == [f"{MODEL}/1", f"{MODEL}/3", "nearest", "original"]
    assert "`srgan mos serve spring` prints a link for each of 3 raters" in shown()

    assert resume_flow_run(str(run.id)), "somebody presses Resume too early"
    assert run.attempt() == "Suspended"

    database = rate_all(design, tmp_path)
    settings = Settings(PREFECT_API_URL=PREFECT_API_URL.value())
    assert try_end(flow_store, design, database, settings)
    database.close_connection()
    assert run.state == "Resuming"
    assert run.attempt() == "Completed"
    assert len(rendered) == 2, "it was rendered once and reported once"
    (kept,) = read_studies(flow_store, MODEL).values()
    assert (kept.source, kept.versions) == ("study spring", {1, 3})
    assert "mean opinion score 4.00 is not more than" in shown()
    assert f"| {MODEL}/3 | 4.00 | 3.71 to 4.29 | 6 | 3 |" in shown()
    assert flow_store.uri("studies/spring/report.html") in shown()
    assert b"spring" in flow_store.get("studies/spring/report.html")
    record = Registry(settings).record(versions[2])
    assert record.opinion == "mos 4.00 (3.71 to 4.29) by 3 raters in study spring"


def test_a_study_that_ends_while_the_run_suspends_itself_is_not_waited_for_in_vain(
    rendered: list[str],
    deployment: UUID,
    flow_store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(design: StudyDesign) -> None:
        closed = Closed(closed_at="now", num_raters=0, num_judgements=0)
        write_document(flow_store, f"studies/{design.name}/closed.json", closed)

    monkeypatch.setattr(module, "show_waiting", end)
    run = Waiting(deployment)
    assert run.attempt() == "Resuming"
    assert run.attempt() == "Completed"
    assert "0 ratings by 0 raters; nobody has rated both versions" in shown()
    assert "srgan mos results" not in shown(), "that would find nothing"
    assert "eport" not in shown()
    assert len(rendered) == 1, "there is nothing to report"


def test_the_result_of_a_study_counts_who_has_not_withdrawn(flow_store: S3Store) -> None:
    design = design_by_hand()
    parts = parts_of(design, 4, lambda task, rater: str(1 + len(task.image + task.left) % 5))
    for part in parts:
        write_document(flow_store, part_of_rater_key("spring", part.rater), part)
    flow_store.put(study_report_key("spring"), b"<p>")
    show(design)
    assert "Study spring: 72 ratings by 4 raters; fine" in shown()
    assert "`srgan mos results spring`" in shown()
    assert f"Report: {flow_store.uri(study_report_key('spring'))}" in shown()
    for part in parts:
        flow_store.delete(part_of_rater_key("spring", part.rater))
    flow_store.delete(study_report_key("spring"))
    show(design)
    assert shown() == "Study spring: 0 ratings by 0 raters; fine"


def test_what_cannot_be_waited_for_or_compared_is_refused_before_anything_is_rendered(
    rendered: list[str], deployment: UUID, flow_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=r"only a run of a deployment can wait"):
        study("spring", MODEL, eval_set="own")
    for parameters, message in (
        ({"version": 1}, f"version 1 of {MODEL} would be compared with nothing, because it is"),
        ({"eval_set": "nothing"}, "there is no evaluation set 'nothing'"),
        ({"name": "Spring"}, "'Spring' cannot name a study"),
        ({"per_rater": 2}, "a rater sees all 4 methods of an image"),
        ({"enough": 4}, "enough: 4 cannot finish, because raters is 3"),
    ):
        caplog.clear()
        with pytest.raises(Exception, match=message):
            Waiting(deployment, **parameters).attempt()
    assert rendered == []
    assert list(flow_store.list("studies/")) == []


def test_a_study_of_another_flow_run_is_left_alone(
    rendered: list[str], deployment: UUID, flow_store: S3Store
) -> None:
    first = Waiting(deployment)
    assert first.attempt() == "Suspended"
    with pytest.raises(ConfigError, match="there is a study 'spring' already"):
        Waiting(deployment).attempt()
    assert read_design(flow_store, "spring").flow_run == str(first.id)
    assert first.state == "Suspended"
