"""Model versions on a real MLflow server: lineage, aliases, weights and outside users."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import srgan
from srgan.errors import ConfigError, RegistryError
from srgan.inference.engine import Engine
from srgan.models.interchange import load_generator
from srgan.promotion.lineage import training_inputs
from srgan.recipes import tiny
from srgan.refs import ModelRef
from srgan.services.mlflow_models import CHAMPION, Registry, challenger_address
from srgan.services.mlflow_runs import mlflow_client
from srgan.settings import Settings
from srgan.versions.register import Registrar
from tests.support.versions import DATASET, IMPORTED, METRICS, import_lineage, lineage, weights

# Every registration packs and uploads a model, which makes MLflow warn.
pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::Warning:pydantic")


@pytest.fixture(scope="module")
def champion(mlflow_settings: Settings) -> ModelRef:
    """``leaves-x4`` with one version, which is champion."""
    registry = Registrar(mlflow_settings)
    ref = registry.register("leaves-x4", weights(1), lineage("adversarial-1", weights(1)))
    registry.set_alias("leaves-x4", CHAMPION, ref.version)
    return ref


def test_a_version_says_where_it_comes_from(mlflow_settings: Settings, champion: ModelRef) -> None:
    registry = Registry(mlflow_settings)
    record = registry.record(champion)
    assert record.ref == champion
    assert record.run == "adversarial-1"
    assert record.pretrained_run == "pretrain-1"
    assert record.metrics == METRICS
    assert record.gate == tiny().gate
    assert record.inputs == training_inputs(DATASET, tiny(), "c")
    assert record.dataset == registry.dataset_of(champion) == DATASET
    assert record.pretrained is not None
    assert record.pretrained.run == "pretrain-1"
    assert record.aliases is not None
    assert set(record.aliases) == {"challenger", "champion"}


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


def test_what_is_not_an_address_is_refused(mlflow_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="is not a model's address; expected"):
        Registry(mlflow_settings).resolve("s3://bucket/model")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("leaves-x4", "models:/leaves-x4@challenger"),
        ("models:/leaves-x4", "models:/leaves-x4@challenger"),
        ("leaves-x4@champion", "leaves-x4@champion"),
        ("models:/leaves-x4/2", "models:/leaves-x4/2"),
    ],
)
def test_only_a_bare_name_means_the_newest_challenger(address: str, meant: str) -> None:
    assert challenger_address(address) == meant


def test_srgan_load_gives_the_plain_network(mlflow_settings: Settings, champion: ModelRef) -> None:
    network = srgan.load("models:/leaves-x4@champion", mlflow_settings)
    expected = load_generator(weights(1)).state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert not network.training


def test_altered_weights_are_refused(mlflow_settings: Settings, champion: ModelRef) -> None:
    other = champion.model_copy(update={"weights_digest": "0" * 64})
    with pytest.raises(RegistryError, match="were altered"):
        Registry(mlflow_settings).load_generator_bytes(other)


STRANGER = """
import sys
# Without the finder of the editable installation, the only srgan is the one in the model.
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
        timeout=180,
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


@pytest.fixture(scope="module")
def imported(mlflow_settings: Settings) -> ModelRef:
    """``msrresnet`` with one version, which others trained."""
    return Registrar(mlflow_settings).register_import("msrresnet", IMPORTED, import_lineage())


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
        match=rf"{imported.uri} was imported from MSRResNet_x2\.pth .* parameter dataset",
    ):
        Registry(mlflow_settings).dataset_of(imported)


def test_a_fine_tuned_version_was_trained_on_what_its_ancestors_were(
    mlflow_settings: Settings, imported: ModelRef
) -> None:
    registry = Registrar(mlflow_settings)

    def tuned(run: str, seed: int, version: str, start: ModelRef | None) -> ModelRef:
        data = DATASET.model_copy(update={"version": version})
        made = lineage(run, weights(seed)).model_copy(update={"dataset": data, "start": start})
        return registry.register("tuned-x4", weights(seed), made)

    first = tuned("tuned-1", 21, "v1", None)
    second = tuned("tuned-2", 22, "v2", first)
    third = tuned("tuned-3", 23, "v3", second)
    found, gone = registry.datasets_of(third)
    assert ([ref.version for ref in found], gone) == (["v3", "v2", "v1"], None)
    assert registry.datasets_of(imported) == ([], None)
    mlflow_client(mlflow_settings).delete_model_version("tuned-x4", str(second.version))
    found, gone = registry.datasets_of(third)
    assert ([ref.version for ref in found], gone) == (["v3"], second.uri), "what it was is unknown"
