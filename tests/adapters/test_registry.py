"""Model versions on a real MLflow server: lineage, aliases, weights and strangers."""

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import srgan
from srgan.adapters.registry import CHALLENGER, CHAMPION, Registry, load
from srgan.adapters.tracking import mlflow_client
from srgan.config import GeneratorConfig
from srgan.errors import RegistryError
from srgan.evaluate.lineage import ImportLineage, Lineage, recorded_gate, training_inputs
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator, load_generator
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef
from srgan.settings import Settings
from srgan.upscale.engine import Engine
from srgan.version import code_version
from tests.models.networks import random_generator

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

# Every registration packs and uploads a model, so MLflow's own warnings come along.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")

DATASET = DatasetRef(
    dataset="leaves",
    version="v1",
    key="crops/leaves/versions/v1.json",
    source="s3://bucket/raw",
    scale=4,
    num_train_crops=4,
    num_eval_crops=2,
    num_train_photos=2,
    num_eval_photos=1,
    num_rejected=0,
    num_read=3,
)
METRICS = {"bicubic": {"psnr": 28.0, "ssim": 0.8}, "model": {"psnr": 29.0, "ssim": 0.82}}


def weights(seed: int) -> bytes:
    torch.manual_seed(seed)
    return dump_generator(build_generator(tiny().pretrain.generator))


def lineage(run: str, data: bytes) -> Lineage:
    def checkpoint(name: str, stage: str) -> CheckpointRef:
        return CheckpointRef(
            run=name,
            stage=stage,
            step=4,
            key=f"runs/{name}/checkpoints/000000004.json",
            digest=hashlib.sha256(data).hexdigest(),
            dataset_version="v1",
        )

    evaluation = EvaluationRef(
        run=run,
        key=f"runs/{run}/evaluations/1/report.json",
        picture_key=f"runs/{run}/evaluations/1/comparison.png",
        num_images=2,
        metrics=METRICS,
        dataset_version="v1",
        mlflow_run_id="e" * 32,
    )
    return Lineage(
        checkpoint=checkpoint(run, "adversarial"),
        pretrained=checkpoint("pretrain-1", "pretrain"),
        dataset=DATASET,
        evaluation=evaluation,
        recipe=tiny(),
    )


@pytest.fixture(scope="module")
def champion(mlflow_settings: Settings) -> ModelRef:
    """``leaves-x4`` with one version, which is champion."""
    registry = Registry(mlflow_settings)
    ref = registry.register("leaves-x4", weights(1), lineage("adversarial-1", weights(1)))
    registry.set_alias("leaves-x4", CHAMPION, ref.version)
    return ref


def test_a_run_is_registered_once(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registry(mlflow_settings)
    again = registry.register("leaves-x4", weights(1), lineage("adversarial-1", weights(1)))
    assert again == champion


def test_a_new_run_is_a_new_version_and_the_challenger(
    mlflow_settings: Settings, champion: ModelRef
) -> None:
    registry = Registry(mlflow_settings)
    second = registry.register("leaves-x4", weights(2), lineage("adversarial-2", weights(2)))
    assert second.version == champion.version + 1
    assert registry.find("leaves-x4", CHALLENGER) == second
    assert registry.find("leaves-x4", CHAMPION) == champion
    registry.register("leaves-x4", weights(1), lineage("adversarial-1", weights(1)))
    assert registry.find("leaves-x4", CHALLENGER) == second, "the newest stays the challenger"


def test_of_a_run_registered_twice_at_the_same_moment_one_version_stays(
    mlflow_settings: Settings,
) -> None:
    class Raced(Registry):
        """Looks for the run's version just before somebody else makes it."""

        raced = False

        def _find_run(self, name: str, run: str) -> "ModelVersion | None":
            if not self.raced:
                self.raced = True
                Registry(mlflow_settings).register(name, weights(3), lineage(run, weights(3)))
                return None
            return super()._find_run(name, run)

    once = Raced(mlflow_settings).register("raced-x4", weights(3), lineage("raced-1", weights(3)))
    registry = Registry(mlflow_settings)
    assert [each.ref for each in registry.versions("raced-x4")] == [once]
    assert once.version == 1
    assert registry.find("raced-x4", CHALLENGER) == once


def test_a_version_says_where_it_comes_from(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registry(mlflow_settings)
    tags = registry.tags(champion)
    assert tags["run"] == "adversarial-1"
    assert tags["pretrained_run"] == "pretrain-1"
    assert tags["weights"] == champion.weights_digest
    assert json.loads(tags["metrics"]) == METRICS
    assert recorded_gate(tags) == tiny().gate
    assert tags.items() >= training_inputs(DATASET, tiny()).items()
    dataset, pretrained = registry.origin(champion)
    assert dataset == DATASET
    assert pretrained is not None
    assert pretrained.run == "pretrain-1"


@pytest.mark.parametrize(
    "address", ["leaves-x4", "models:/leaves-x4@champion", "models:/leaves-x4/1"]
)
def test_a_model_is_found_by_name_alias_and_version(
    mlflow_settings: Settings, champion: ModelRef, address: str
) -> None:
    assert Registry(mlflow_settings).resolve(address) == champion


@pytest.mark.parametrize("address", ["nobody", "models:/leaves-x4@nobody", "models:/leaves-x4/99"])
@pytest.mark.usefixtures("champion")
def test_what_is_not_there_is_named(mlflow_settings: Settings, address: str) -> None:
    with pytest.raises(RegistryError, match="has no model"):
        Registry(mlflow_settings).resolve(address)


def test_what_is_no_address_is_refused(mlflow_settings: Settings) -> None:
    with pytest.raises(RegistryError, match="names no model; expected"):
        Registry(mlflow_settings).resolve("s3://bucket/model")


def test_srgan_load_gives_the_plain_network(mlflow_settings: Settings, champion: ModelRef) -> None:
    assert srgan.load is load
    network = srgan.load("models:/leaves-x4@champion", mlflow_settings)
    expected = load_generator(weights(1)).state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert not network.training


def test_altered_weights_are_refused(mlflow_settings: Settings, champion: ModelRef) -> None:
    other = champion.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(RegistryError, match="were altered"):
        Registry(mlflow_settings).load_generator_bytes(other)


def test_importing_srgan_brings_neither_torch_nor_mlflow() -> None:
    code = "import srgan, sys; print([n for n in ('torch', 'mlflow', 'ray') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


STRANGER = """
import sys
# Without the finder of the editable installation there is no srgan but the one in the model.
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [entry for entry in sys.path if entry]
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/leaves-x4@champion")
photos = [open(path, "rb").read() for path in sys.argv[1:]]
for index, png in enumerate(model.predict(pandas.DataFrame({"image": photos}))["image"]):
    open(f"result-{index}.png", "wb").write(png)
import srgan
print(srgan.__file__)
print(sorted({"ray", "prefect", "boto3"} & set(sys.modules)))
"""


@pytest.mark.usefixtures("champion")
def test_a_stranger_needs_nothing_but_the_address_of_the_registry(
    mlflow_settings: Settings,
    tmp_path: Path,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
) -> None:
    photo = draw_photo(1, 20, 24)
    (tmp_path / "a.png").write_bytes(encode_photo(photo))
    (tmp_path / "b.jpg").write_bytes(encode_photo(draw_photo(2, 12, 9), "JPEG"))
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, "a.png", "b.jpg"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "MLFLOW_TRACKING_URI": mlflow_settings.require("mlflow_tracking_uri"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    where, services = done.stdout.strip().splitlines()[-2:]
    assert not Path(where).is_relative_to(Path(srgan.__file__).parent), "not the model's own srgan"
    assert services == "[]"
    expected = Engine(load_generator(weights(1)), tile=192, device="cpu").upscale(photo)
    found = np.asarray(Image.open(io.BytesIO((tmp_path / "result-0.png").read_bytes())))
    np.testing.assert_array_equal(found, expected)
    second = Image.open(io.BytesIO((tmp_path / "result-1.png").read_bytes()))
    assert second.size == (36, 48)


IMPORTED = dump_generator(
    random_generator(GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4))
)


def import_lineage(source: bytes = b"theirs") -> ImportLineage:
    return ImportLineage(
        source_file="MSRResNet_x2.pth",
        source_sha256=hashlib.sha256(source).hexdigest(),
        source_format="MSRResNet of BasicSR, torch.save",
        weights_digest=hashlib.sha256(IMPORTED).hexdigest(),
    )


@pytest.fixture(scope="module")
def imported(mlflow_settings: Settings) -> ModelRef:
    """``msrresnet`` with one version, which others trained."""
    return Registry(mlflow_settings).register_import("msrresnet", IMPORTED, import_lineage())


def test_an_imported_version_says_what_it_came_in_and_claims_no_more(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    lineage = import_lineage()
    assert Registry(mlflow_settings).tags(imported) == {
        "run": lineage.run,
        "weights": lineage.weights_digest,
        "source_file": "MSRResNet_x2.pth",
        "source_sha256": hashlib.sha256(b"theirs").hexdigest(),
        "source_format": "MSRResNet of BasicSR, torch.save",
        "code_version": code_version(),
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
    registry = Registry(mlflow_settings)
    assert registry.register_import("msrresnet", IMPORTED, import_lineage()) == imported
    other = registry.register_import("msrresnet-2", IMPORTED, import_lineage())
    assert (other.name, other.version, other.run) == ("msrresnet-2", 1, imported.run)
    newer = registry.register_import("msrresnet", IMPORTED, import_lineage(b"another file"))
    assert (newer.version, newer.run != imported.run) == (2, True)


def test_an_import_moves_no_alias(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registry(mlflow_settings)
    before = registry.find("leaves-x4", CHALLENGER)
    imported = registry.register_import("leaves-x4", IMPORTED, import_lineage())
    assert imported.version > champion.version
    assert registry.find("leaves-x4", CHALLENGER) == before
    assert registry.find("leaves-x4", CHAMPION) == champion


def test_an_imported_version_is_usable_by_its_number(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    registry = Registry(mlflow_settings)
    assert registry.resolve(imported.uri) == imported
    assert registry.load_generator_bytes(imported) == IMPORTED
    assert srgan.load(imported.uri, mlflow_settings).config == load_generator(IMPORTED).config
    with pytest.raises(RegistryError, match="no model 'msrresnet' with alias 'champion'"):
        registry.resolve("msrresnet")


def test_an_imported_version_is_served_as_any_other(
    mlflow_settings: Settings,
    imported: ModelRef,
    draw_photo: Callable[..., NDArray[np.uint8]],
    encode_photo: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow
    import pandas as pd

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_settings.require("mlflow_tracking_uri"))
    photo = draw_photo(1, 12, 16)
    model = mlflow.pyfunc.load_model(imported.uri)
    (png,) = model.predict(pd.DataFrame({"image": [encode_photo(photo)]}))["image"]
    expected = Engine(load_generator(IMPORTED), tile=192, device="cpu").upscale(photo)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), expected)


def test_where_an_imported_version_has_no_dataset_the_error_says_so(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    with pytest.raises(
        RegistryError,
        match=rf"{imported.uri} was imported from MSRResNet_x2\.pth .* cannot be promoted",
    ):
        Registry(mlflow_settings).origin(imported)


@pytest.mark.parametrize("name", ["Upper", "a/b", "", "a'b"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    mlflow_settings: Settings, name: str
) -> None:
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        Registry(mlflow_settings).register_import(name, IMPORTED, import_lineage())


def test_a_fine_tuned_version_was_trained_on_what_its_ancestors_were(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    registry = Registry(mlflow_settings)

    def tuned(run: str, seed: int, version: str, start: ModelRef | None) -> ModelRef:
        data = DATASET.model_copy(update={"version": version})
        made = lineage(run, weights(seed)).model_copy(update={"dataset": data, "start": start})
        return registry.register("tuned-x4", weights(seed), made)

    first = tuned("tuned-1", 21, "v1", None)
    second = tuned("tuned-2", 22, "v2", first)
    third = tuned("tuned-3", 23, "v3", second)
    assert [ref.version for ref in registry.datasets_of(third)] == ["v3", "v2", "v1"]
    assert registry.datasets_of(imported) == []
