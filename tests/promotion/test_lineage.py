"""Lineages: inputs of a training, tags and names of versions."""

from datetime import UTC, datetime

from srgan.config import GateConfig
from srgan.promotion.lineage import (
    ImportLineage,
    Lineage,
    training_inputs,
    what_changed,
)
from srgan.promotion.record import VersionRecord
from srgan.recipes import demo, tiny
from tests.support.reports import dataset
from tests.support.versions import lineage


def test_equal_inputs_have_not_changed() -> None:
    inputs = training_inputs(dataset(), tiny(), "c")
    assert what_changed(inputs, training_inputs(dataset(num_read=8), tiny(), "c")) == []


def test_what_changed_is_named_in_words() -> None:
    tags = training_inputs(dataset(), tiny(), "c")
    assert what_changed(tags, training_inputs(dataset("v2"), tiny(), "c")) == ["dataset"]
    assert what_changed(tags, training_inputs(dataset(), demo(), "c")) == ["recipe"]
    assert what_changed({**tags, "numerics_version": "older"}, tags) == ["code"]
    paired = training_inputs(dataset(), tiny(), "c", dataset("p1"))
    assert what_changed(tags, paired) == ["pairs"]
    assert what_changed(paired, training_inputs(dataset(), tiny(), "c", dataset("p2"))) == ["pairs"]


def test_a_version_needs_the_pairs_that_it_was_trained_on() -> None:
    pairs = dataset("p1").model_copy(update={"lr_source": "s3://photos/lr"})
    kept = lineage("r", b"weights").model_copy(update={"pairs": pairs})
    assert "p1" in kept.references.datasets
    record = VersionRecord("pets", 1, kept.tags, datetime.now(UTC))
    assert record.pairs == pairs
    assert "p1" in record.references.datasets


def test_a_version_of_an_earlier_release_was_made_by_other_code() -> None:
    tags = training_inputs(dataset(), tiny(), "c")
    del tags["numerics_version"]
    assert what_changed(
        {**tags, "code_version": "0.1.0+c"}, training_inputs(dataset(), tiny(), "c")
    ) == ["code"]


def test_a_registration_of_an_earlier_release_has_no_numerics_version() -> None:
    kept = lineage("r", b"weights")
    written = kept.model_dump(mode="json", exclude={"numerics_version", "release_version"})
    found = Lineage.model_validate(written | {"code_version": "0.1.0+abc"})
    assert found.tags["release_version"] == "0.1.0+abc"
    assert "numerics_version" not in found.tags


def test_a_version_without_a_recipe_differs_in_all_inputs() -> None:
    assert len(what_changed({}, training_inputs(dataset(), tiny(), "c"))) == 3


def test_another_gate_alone_is_not_a_new_input() -> None:
    strict = tiny().model_copy(update={"gate": GateConfig(max_psnr_loss_db=0.1)})
    assert training_inputs(dataset(), strict, "c") == training_inputs(dataset(), tiny(), "c")


def test_an_import_is_named_by_its_file_and_its_converted_weights() -> None:
    def imported(source: str, weights: str, file: str = "a.pth") -> ImportLineage:
        return ImportLineage(file, source, "SRResNet, torch.save", weights)

    assert imported("aa", "bb").run == imported("aa", "bb", file="renamed.pth").run
    names = {imported(*digests).run for digests in (("aa", "bb"), ("aa", "cc"), ("dd", "bb"))}
    assert len(names) == 3
    assert all(name.startswith("import-") and len(name) == 23 for name in names)
