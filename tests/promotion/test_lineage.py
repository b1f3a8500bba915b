"""What makes a retraining worth its cost, and how an evaluation is named."""

from srgan.config import GateConfig
from srgan.measure.evaluation import EvaluateSpec
from srgan.promotion.lineage import (
    ImportLineage,
    Lineage,
    training_inputs,
    what_changed,
)
from srgan.recipes import demo, tiny
from srgan.refs import CheckpointRef, ModelRef
from tests.support.reports import dataset
from tests.support.versions import lineage


def checkpoint(digest: str, run: str = "adversarial-1") -> CheckpointRef:
    return CheckpointRef(
        run=run, stage="adversarial", step=4, key="k", digest=digest, dataset_version="v1"
    )


def test_equal_inputs_have_changed_in_nothing() -> None:
    inputs = training_inputs(dataset(), tiny())
    assert what_changed(inputs, training_inputs(dataset(num_read=8), tiny())) == []


def test_what_changed_is_named_in_words() -> None:
    tags = training_inputs(dataset(), tiny(), "c")
    assert what_changed(tags, training_inputs(dataset("v2"), tiny(), "c")) == ["dataset"]
    assert what_changed(tags, training_inputs(dataset(), demo(), "c")) == ["recipe"]
    assert what_changed({**tags, "numerics_version": "older"}, tags) == ["code"]


def test_a_version_of_an_earlier_release_was_made_by_other_code() -> None:
    tags = training_inputs(dataset(), tiny(), "c")
    del tags["numerics_version"]
    assert what_changed(
        {**tags, "code_version": "0.1.0+c"}, training_inputs(dataset(), tiny(), "c")
    ) == ["code"]


def test_a_registration_of_an_earlier_release_is_finished_as_one_of_other_code() -> None:
    kept = lineage("r", b"weights")
    written = kept.model_dump(mode="json", exclude={"numerics_version", "release_version"})
    found = Lineage.model_validate(written | {"code_version": "0.1.0+abc"})
    assert found.tags["release_version"] == "0.1.0+abc"
    assert "numerics_version" not in found.tags


def test_another_release_that_computes_the_same_makes_no_other_evaluation() -> None:
    names = {
        EvaluateSpec(
            dataset=dataset(),
            contestants={"model": checkpoint("aa")},
            numerics_version=numerics,
            release_version=release,
        ).run
        for numerics, release in (("1", "a"), ("1", "b"), ("2", "b"))
    }
    assert len(names) == 2


def test_a_version_that_no_recipe_made_differs_in_all() -> None:
    assert len(what_changed({}, training_inputs(dataset(), tiny(), "c"))) == 3


def test_an_evaluation_is_named_by_weights_however_they_are_addressed() -> None:
    version = ModelRef(name="m", version=1, run="adversarial-1", weights_digest="aa")
    names = [
        EvaluateSpec(
            dataset=dataset(), contestants={"model": ref}, numerics_version="1", release_version="1"
        ).run
        for ref in (checkpoint("aa"), version)
    ]
    assert names[0] == names[1]
    assert names[0].startswith("adversarial-1/evaluations/")


def test_another_champion_makes_another_evaluation() -> None:
    specs = [
        EvaluateSpec(
            dataset=dataset(),
            contestants={"model": checkpoint("aa"), "champion": checkpoint(champion)},
            numerics_version="1",
            release_version="1",
        )
        for champion in ("bb", "cc")
    ]
    assert specs[0].result_key != specs[1].result_key


def test_a_spec_survives_its_way_to_the_cluster() -> None:
    version = ModelRef(name="m", version=1, run="adversarial-1", weights_digest="bb")
    spec = EvaluateSpec(
        dataset=dataset(),
        contestants={"model": checkpoint("aa"), "champion": version},
        numerics_version="1",
        release_version="1",
    )
    assert EvaluateSpec.model_validate_json(spec.model_dump_json()) == spec


def test_another_gate_alone_is_nothing_new_to_train() -> None:
    strict = tiny().model_copy(update={"gate": GateConfig(max_psnr_loss_db=0.1)})
    assert training_inputs(dataset(), strict, "c") == training_inputs(dataset(), tiny(), "c")


def test_an_import_is_named_by_its_file_and_by_what_was_made_of_it() -> None:
    def imported(source: str, weights: str, file: str = "a.pth") -> ImportLineage:
        return ImportLineage(file, source, "SRResNet, torch.save", weights)

    assert imported("aa", "bb").run == imported("aa", "bb", file="renamed.pth").run
    names = {imported(*digests).run for digests in (("aa", "bb"), ("aa", "cc"), ("dd", "bb"))}
    assert len(names) == 3
    assert all(name.startswith("import-") and len(name) == 23 for name in names)
