"""The record of a version: values written as tags are read back."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from srgan.config import GateConfig
from srgan.errors import RegistryError
from srgan.promotion.record import References, VersionRecord, as_tags
from srgan.refs import Blend, BlendSource, ModelRef, SetResult
from tests.support.versions import DATASET, METRICS, import_lineage, lineage

# Tags as registries have held them since the first release; the JSON is MLflow's, not ours.
WRITTEN = {
    "run": "adversarial-1",
    "weights": "aa",
    "metrics": '{"bicubic": {"psnr": Infinity}, "model": {"psnr": NaN}}',
    "sets": '{"set5": {"key": "runs/adversarial-0/evaluations/1/sets/set5.json", "metrics": {}, '
    '"num_images": 5, "version": "s1"}}',
    "gate": '{"max_psnr_loss_db":1.0}',
}


def record(**tags: str) -> VersionRecord:
    return VersionRecord("pets", 3, {"run": "r", "weights": "w"} | tags, datetime.now(UTC))


def test_tags_of_a_registration_are_read_back() -> None:
    made = lineage("adversarial-1", b"weights").model_copy(
        update={
            "reason": "Forced",
            "start": ModelRef(name="pets", version=2, run="r", weights_digest="w"),
        }
    )
    read = record(**made.tags)
    assert read.ref == ModelRef(
        name="pets",
        version=3,
        run="adversarial-1",
        weights_digest=made.checkpoint.digest,
        pretrained_run="pretrain-1",
        metrics=METRICS,
    )
    assert (read.dataset, read.pretrained) == (DATASET, made.pretrained)
    assert (read.dataset_name, read.dataset_version) == ("leaves", "v1")
    assert made.recipe is not None
    assert (read.gate, read.recipe_name) == (made.recipe.gate, "tiny")
    assert (read.reason, read.start) == ("Forced", "models:/pets/2")
    assert (read.evaluation, read.evaluation_run) == (made.evaluation.key, "e" * 32)
    assert not read.is_imported


def test_tags_of_an_import_are_read_back() -> None:
    read = record(**import_lineage().tags)
    assert read.is_imported
    assert (read.source_file, read.metrics, read.dataset) == ("MSRResNet_x2.pth", {}, None)
    assert read.references == References(frozenset({read.run}))


def test_a_blend_has_the_runs_of_its_sources_and_keeps_them_from_clean_up() -> None:
    known = BlendSource(model="models:/srgan/3", weights="a" * 64, runs=("gan-1", "pretrain-1"))
    unknown = BlendSource(model="start.pth", weights="b" * 64)
    blend = Blend(alpha=0.8, first=unknown, second=known)
    found = record(**replace(import_lineage(), blend=blend).tags)
    assert found.blend == blend
    assert found.ref.training_runs == (f"unknown-{'b' * 16}", "gan-1", "pretrain-1")
    assert {"gan-1", "pretrain-1"} <= found.references.runs
    assert found.made_from == ("models:/srgan/3",)


def test_tags_of_older_releases_are_read() -> None:
    read = record(**WRITTEN)
    assert read.metrics["bicubic"]["psnr"] == float("inf")
    assert read.metrics["model"]["psnr"] != read.metrics["model"]["psnr"], "not a number"
    assert read.sets["set5"].num_images == 5
    assert read.gate == GateConfig(max_psnr_loss_db=1.0)


def test_tags_that_an_older_release_did_not_write_are_missing() -> None:
    read = record()
    assert (read.dataset, read.pretrained, read.decision, read.report) == (None,) * 4
    assert (read.metrics, read.sets, read.trained_on_judge) == ({}, {}, {})
    assert read.gate == GateConfig(), "the defaults"


def test_a_tag_that_cannot_be_read_is_named_with_its_version_and_breaks_no_other() -> None:
    read = record(gate='{"max_psnr": 1}', metrics='{"model": {"psnr": 29.0}}')
    assert read.metrics == {"model": {"psnr": 29.0}}
    with pytest.raises(RegistryError, match=r"tag srgan\.gate of models:/pets/3 [^$]*max_psnr"):
        _ = read.gate


def test_a_version_that_another_project_registered_is_refused() -> None:
    theirs = VersionRecord("pets", 4, {}, datetime.now(UTC))
    with pytest.raises(RegistryError, match=r"models:/pets/4 was not registered .* tag srgan\.run"):
        _ = theirs.ref


def test_references_come_from_fields_and_never_from_sentences() -> None:
    made = lineage("adversarial-1", b"weights")
    read = record(**WRITTEN, **as_tags(pretrained_ref=made.pretrained, dataset_ref=DATASET))
    read = record(**read.tags, decision="better than runs/other", reason="as wanted-1 was")
    assert read.references == References(
        frozenset({"adversarial-1", "pretrain-1", "adversarial-0"}), frozenset({"v1"})
    )


def test_missing_values_have_no_tag() -> None:
    found = SetResult(version="v", key="k", num_images=1, metrics={})
    tags = as_tags(run="r", reason=None, rule="", metrics={}, sets={"b": found})
    assert tags == {
        "run": "r",
        "metrics": "{}",
        "sets": '{"b": {"key": "k", "lr_source": null, "metrics": {}, "num_images": 1, '
        '"version": "v"}}',
    }
