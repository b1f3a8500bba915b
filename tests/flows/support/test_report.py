"""The report of a retraining, on real Prefect, MLflow and S3; the Ray jobs are replaced."""

import json
import urllib.request
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from flows.promote import promote
from flows.support import report as report_module
from flows.support.artifacts import artifact_key
from srgan.promotion.decide import roll_back, rollback_line
from srgan.promotion.log import PromotionLog
from srgan.refs import ModelRef
from srgan.report.content import Content
from srgan.report.page import render
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import artifact_url, find_run, mlflow_client
from srgan.settings import Settings
from srgan.storage import split_uri
from srgan.versions.retraining_report import collect
from srgan.versions.services import open_services
from tests.support.pipeline import Pipeline

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic"),
]


def page_of(pipeline: Pipeline, version: ModelRef) -> str:
    uri = Registry(Settings()).record(version).report
    return pipeline.store.get(split_uri(uri)[1]).decode()


def test_a_page_and_a_card_tell_of_the_decision_its_figures_the_stages_and_the_data(
    pipeline: Pipeline,
) -> None:
    pipeline.mirror()
    pipeline.crown()
    pipeline.dataset_version = "v2"
    pipeline.distance["model"] = 1.2
    version = pipeline.retrain().result()
    page = page_of(pipeline, version)
    assert "replaces champion version 1" in page
    assert "−0.1000" in page, "the difference in distance"
    assert version.run in page
    assert version.pretrained_run in page
    assert 'aria-label="Where it comes from"' in page
    client = mlflow_client(Settings())
    card = client.get_model_version(version.name, str(version.version)).description
    assert "`leaves` version `v2` of `s3://srgan-test/raw`" in card
    assert "Licence of the photos: not stated" in card
    assert f"run `{version.run}`" in card
    assert "| SqueezeNet distance | −0.1000 | −0.1000 to −0.1000 |" in card
    assert "## Limits" in card
    assert "comparison.png" in card
    assert_linked(pipeline, version, page)


def assert_linked(pipeline: Pipeline, version: ModelRef, page: str) -> None:
    """The page is linked from the run in MLflow and from Prefect."""
    settings = Settings()
    root = Registry(settings).record(version).report.rpartition("/")[2].removesuffix(".html")
    run_id = find_run(settings, root)
    assert run_id is not None
    run = mlflow_client(settings).get_run(run_id)
    assert run.data.tags["srgan.report"] == Registry(settings).record(version).report
    with urllib.request.urlopen(artifact_url(settings, run_id, "report.html")) as answer:
        assert answer.read().decode() == page
    with urllib.request.urlopen(artifact_url(settings, run_id, "lineage.svg")) as answer:
        assert version.uri in answer.read().decode()
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[artifact_key(pipeline.model, "report")])
            ),
            sort=ArtifactSort.CREATED_DESC,
        )
    assert f"/runs/{run_id}/artifacts/report.html" in str(found[0].data)


@pytest.mark.slow(group="parts")
def test_links_in_pages_cards_and_artifacts_have_the_public_addresses(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRGAN_MLFLOW_PUBLIC_URL", "https://mlflow.example")
    monkeypatch.setenv("SRGAN_PREFECT_PUBLIC_URL", "https://prefect.example/")
    version = pipeline.retrain().result()
    page = page_of(pipeline, version)
    assert f'"https://mlflow.example/#/models/{version.name}/versions/{version.version}"' in page
    assert '"https://prefect.example/runs/flow-run/' in page
    client = mlflow_client(Settings())
    card = client.get_model_version(version.name, str(version.version)).description
    assert "](https://mlflow.example/get-artifact?" in card
    with get_client(sync_client=True) as prefect:
        keys = [artifact_key(pipeline.model, what) for what in ("report", "version")]
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=keys))
        links = [str(each.data) for each in prefect.read_artifacts(artifact_filter=wanted)]
    assert len(links) == len(keys)
    assert all("(https://mlflow.example/#/" in link for link in links), links
    for text in (page, card, *links):
        assert Settings().require("mlflow_tracking_uri") not in text


@pytest.mark.slow(group="parts")
def test_a_refused_version_has_its_page_too(pipeline: Pipeline) -> None:
    pipeline.psnr["model"] = 20.0
    page = page_of(pipeline, pipeline.retrain().result())
    assert "was refused" in page
    assert "20.000 dB PSNR is more than 1.50 dB below bicubic&#39;s" in page


def test_a_retraining_whose_champion_is_gone_has_its_page_too(pipeline: Pipeline) -> None:
    pipeline.mirror()
    pipeline.crown()
    pipeline.dataset_version = "v2"
    mlflow_client(Settings()).delete_model_version(pipeline.model, "1")
    pipeline.distance["model"] = 1.2
    page = page_of(pipeline, pipeline.retrain().result())
    assert "Champion version 1 is gone from the registry" in page
    assert "The champion or its dataset version is gone" in page


def test_a_version_that_was_rolled_back_is_not_called_champion(pipeline: Pipeline) -> None:
    pipeline.mirror()
    first = pipeline.crown()
    pipeline.dataset_version = "v2"
    pipeline.distance["model"] = 1.2
    second = pipeline.retrain().result()
    log = PromotionLog(pipeline.store, pipeline.model)
    entry = roll_back(log, first, rollback_line(log, None), "v1", "halos")
    decision = promote(pipeline.model, second.version)
    assert (decision.challenger, decision.promoted) == (second.version, False)
    assert decision.reason == entry.decision.reason
    content = collect(open_services(), second, decision, flow_run="f", elapsed_s=0, links={})
    assert content.evidence.run == second.run
    assert content.evidence.against == "champion"
    page = render(content)
    assert "was refused" in page
    assert "is the champion" not in page


@pytest.mark.slow(group="parts")
def test_a_report_that_cannot_be_made_does_not_undo_the_decision(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise json.JSONDecodeError("no report", "", 0)

    monkeypatch.setattr(report_module, "collect", fail)
    for task in (report_module.publish_page, report_module.publish_card):
        monkeypatch.setattr(task, "retries", 0)
    state = pipeline.retrain()
    assert state.is_completed()
    assert pipeline.champion() == 1


def test_a_page_that_cannot_be_drawn_does_not_cost_the_card(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Content) -> str:
        raise KeyError("niqe")

    monkeypatch.setattr(report_module, "render", fail)
    monkeypatch.setattr(report_module.publish_page, "retries", 0)
    version = pipeline.retrain().result()
    card = mlflow_client(Settings()).get_model_version(version.name, str(version.version))
    assert "## Limits" in card.description
    assert Registry(Settings()).record(version).report is None
    (said,) = [each for each in caplog.messages if "could not be published" in each]
    assert said.startswith("The report's page could not be published: ")
    assert said.endswith("KeyError: 'niqe'. Published: model card")
