"""New model versions on a real MLflow server: one per run, one per file."""

import hashlib
from dataclasses import replace

import pytest

from srgan.errors import ConfigError
from srgan.models.blending import blend
from srgan.models.interchange import dump_generator, load_generator
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHALLENGER, CHAMPION, Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.settings import Settings
from srgan.version import numerics_version, release_version
from srgan.versions.register import Registrar
from tests.support.versions import IMPORTED, import_lineage, lineage, weights

# Every registration packs and uploads a model, which makes MLflow warn.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


@pytest.fixture(scope="module")
def champion(mlflow_settings: Settings) -> ModelRef:
    """``maples-x4`` with one version, which is champion."""
    registry = Registrar(mlflow_settings)
    ref = registry.register("maples-x4", weights(1), lineage("adversarial-1", weights(1)))
    registry.set_alias("maples-x4", CHAMPION, ref.version)
    return ref


@pytest.fixture(scope="module")
def imported(mlflow_settings: Settings) -> ModelRef:
    """``theirs`` with one version, which others trained."""
    return Registrar(mlflow_settings).register_import("theirs", IMPORTED, import_lineage())


def test_a_run_is_registered_once(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registrar(mlflow_settings)
    again = registry.register("maples-x4", weights(1), lineage("adversarial-1", weights(1)))
    assert again == champion


def test_a_new_run_is_a_new_version_and_the_challenger(
    mlflow_settings: Settings, champion: ModelRef
) -> None:
    registry = Registrar(mlflow_settings)
    second = registry.register("maples-x4", weights(2), lineage("adversarial-2", weights(2)))
    assert second.version == champion.version + 1
    assert registry.alias("maples-x4", CHALLENGER) == second.version
    assert registry.alias("maples-x4", CHAMPION) == champion.version
    registry.register("maples-x4", weights(1), lineage("adversarial-1", weights(1)))
    assert registry.alias("maples-x4", CHALLENGER) == second.version, (
        "the newest stays the challenger"
    )


def test_of_a_run_registered_twice_at_the_same_moment_one_version_stays(
    mlflow_settings: Settings,
) -> None:
    class Raced(Registrar):
        """Looks for the run's version just before somebody else makes it."""

        raced = False

        def of_run(self, name: str, run: str) -> ModelRef | None:
            if not self.raced:
                self.raced = True
                Registrar(mlflow_settings).register(name, weights(3), lineage(run, weights(3)))
                return None
            return super().of_run(name, run)

    once = Raced(mlflow_settings).register("raced-x4", weights(3), lineage("raced-1", weights(3)))
    registry = Registry(mlflow_settings)
    assert [each.ref for each in registry.versions("raced-x4")] == [once]
    assert once.version == 1
    assert registry.alias("raced-x4", CHALLENGER) == once.version


def test_an_imported_version_says_what_it_came_in_and_claims_no_more(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    lineage = import_lineage()
    assert Registry(mlflow_settings).record(imported).tags == {
        "run": lineage.run,
        "weights": lineage.weights_digest,
        "source_file": "MSRResNet_x2.pth",
        "source_sha256": hashlib.sha256(b"theirs").hexdigest(),
        "source_format": "MSRResNet of BasicSR, torch.save",
        "numerics_version": numerics_version(),
        "release_version": release_version(),
    }
    assert imported.run == lineage.run
    assert imported.run.startswith("import-")
    assert imported.metrics == {}


def test_the_mlflow_run_of_an_import_is_finished_and_bears_its_name(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    client = mlflow_client(mlflow_settings)
    version = client.get_model_version(imported.name, str(imported.version))
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.info.status) == (imported.run, "FINISHED")
    assert run.data.params["source_file"] == "MSRResNet_x2.pth"


def test_the_same_file_is_imported_once_under_one_name(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    registry = Registrar(mlflow_settings)
    assert registry.register_import("theirs", IMPORTED, import_lineage()) == imported
    other = registry.register_import("theirs-2", IMPORTED, import_lineage())
    assert (other.name, other.version, other.run) == ("theirs-2", 1, imported.run)
    newer = registry.register_import("theirs", IMPORTED, import_lineage(b"another file"))
    assert (newer.version, newer.run != imported.run) == (2, True)


def test_an_import_moves_no_alias(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registrar(mlflow_settings)
    before = registry.alias("maples-x4", CHALLENGER)
    imported = registry.register_import("maples-x4", IMPORTED, import_lineage())
    assert imported.version > champion.version
    assert registry.alias("maples-x4", CHALLENGER) == before
    assert registry.alias("maples-x4", CHAMPION) == champion.version


def test_a_blend_knows_the_registered_generators_that_it_was_made_of(
    mlflow_settings: Settings,
) -> None:
    registry = Registrar(mlflow_settings)
    # Weights that no other version has: the registry finds a source by them.
    known = registry.register("parent-x4", weights(41), lineage("adversarial-1", weights(41)))
    start, foreign = load_generator(weights(41)), load_generator(weights(9))
    foreign.origin = "foreign.pth"
    blended = blend(start, foreign, 0.25)
    # A file may claim anything; the registry decides.
    claim = blended.blend and blended.blend.second.model_copy(update={"runs": ("pretrain-9",)})
    blended.blend = blended.blend and blended.blend.model_copy(update={"second": claim})
    data = dump_generator(blended)
    digest = hashlib.sha256(data).hexdigest()
    made = replace(import_lineage(data), weights_digest=digest, blend=blended.blend)
    version = registry.register_import("blended-x4", data, made)
    found = registry.record(version).blend
    assert str(found) == f"0.75 · {known.uri} + 0.25 · foreign.pth"
    assert version.training_runs[:2] == ("adversarial-1", "pretrain-1")
    assert version.training_runs[2].startswith("unknown-")
    assert [each.version for each in registry.datasets_of(version)[0]] == ["v1"]
    assert load_generator(registry.load_generator_bytes(version)).blend == made.blend
    again = blend(load_generator(data), foreign, 0.5)
    assert again.blend is not None
    assert again.blend.first.weights == digest, "a blend of a blend finds it, too"


@pytest.mark.parametrize("name", ["Upper", "a/b", "", "a'b"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    mlflow_settings: Settings, name: str
) -> None:
    with pytest.raises(ConfigError, match="cannot be a model's name"):
        Registrar(mlflow_settings).register_import(name, IMPORTED, import_lineage())
