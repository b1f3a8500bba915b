"""A worker of a bulk run in this process: what it opens before its first batch."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srgan.bulk import batch
from srgan.bulk.attempt import BatchAttempt
from srgan.bulk.budgets import Budget
from srgan.bulk.decoders import Decoders
from srgan.bulk.plan import make_plan
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.errors import ClusterError, ConfigError
from srgan.jobs import upscale
from srgan.jobs.upscale import UpscaleWorker
from srgan.jobs.upscale_batches import is_hopeless
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.models import interchange
from srgan.refs import ModelRef
from srgan.services import mlflow_models
from srgan.services.folder import open_place
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from tests.support.bench import Models
from tests.support.networks import InWindows
from tests.support.photos import DrawPhoto

MODEL = ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32)


@pytest.fixture
def spec(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    draw_photo: DrawPhoto,
    encode_photo: Callable[..., bytes],
    shared_decoders: None,
) -> UpscaleSpec:
    """A run of one photo from one folder to another, and a trial of another version."""
    settings, models = Settings(home=tmp_path / "home"), Models()
    monkeypatch.setattr(upscale, "Settings", lambda: settings)
    monkeypatch.setattr(mlflow_models, "Registry", lambda _: models)
    for name in ("photos", "large"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos/a.png").write_bytes(encode_photo(draw_photo(1, 16, 24)))
    source, destination = str(tmp_path / "photos"), str(tmp_path / "large")
    places = open_place(settings, source), open_place(settings, destination)
    make_plan(BulkRun("b", *places, MODEL, UpscaleConfig()))
    return UpscaleSpec(
        run="b",
        source=source,
        destination=destination,
        model=MODEL,
        config=UpscaleConfig(),
        trial=MODEL.model_copy(update={"version": 2}),
        batches=(0,),
        num_batches=1,
        release_version="1",
    )


def test_a_worker_for_which_no_gpu_is_reserved_computes_on_the_cpu_beside_a_pretended_gpu(
    spec: UpscaleSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the pretended GPU, of which torch has none, there would be an error."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    worker = UpscaleWorker(spec, 1, "cpu", 0)
    worker.ready()
    assert worker.run(0).startswith("batch 0: 1 done")
    assert (tmp_path / "large/a.png").exists()


def test_a_worker_notes_which_photo_it_does_alone(
    spec: UpscaleSpec, monkeypatch: pytest.MonkeyPatch, object_store: S3Store
) -> None:
    monkeypatch.setattr(upscale, "open_store", lambda _: object_store)
    worker = UpscaleWorker(spec, 1, "cpu", 0)
    assert worker.run(0, BatchAttempt(2, is_alone=True, job="root-1")).startswith("batch 0: 1 done")
    note = json.loads(object_store.get("runs/upscale-b/000000/in-work.json"))
    assert note == {"key": f"{spec.source}/a.png", "job": "root-1", "attempt": 2}


@pytest.mark.parametrize(("reserved", "waiting"), [(1, 0), (2, 0), (2.5, 0.5), (12, 10)])
def test_as_much_waits_in_a_worker_as_is_reserved_beside_its_process(
    spec: UpscaleSpec, monkeypatch: pytest.MonkeyPatch, reserved: float, waiting: float
) -> None:
    budgets: list[int] = []

    class Known(Budget):
        def __init__(self, budget_bytes: int) -> None:
            budgets.append(budget_bytes)
            super().__init__(budget_bytes)

    monkeypatch.setattr(batch, "Budget", Known)
    worker = UpscaleWorker(spec, 1, "cpu", int(reserved * 2**30))
    assert worker.run(0).startswith("batch 0: 1 done"), "also if nothing may wait"
    assert budgets == [batch.SPOOLED_BYTES_PER_CPU, waiting * 2**30]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_worker_does_not_start_on_the_cpu_if_a_gpu_is_reserved_for_it(spec: UpscaleSpec) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|NVIDIA"):
        UpscaleWorker(spec, 1, "cuda", 0).ready()


def test_a_worker_that_does_not_see_a_folder_of_its_run_says_so_before_its_first_batch(
    spec: UpscaleSpec, tmp_path: Path
) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match=f"does not see the folder {tmp_path}/photos"):
        UpscaleWorker(spec, 1, "cpu", 0).ready()


def test_a_worker_that_cannot_start_a_decoder_says_so_before_its_first_batch(
    spec: UpscaleSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_one(_: Decoders) -> None:
        raise ClusterError("the decoder ended while it started")

    monkeypatch.setattr(Decoders, "start_one", start_one)
    with pytest.raises(ClusterError, match="ended while it started"):
        UpscaleWorker(spec, 1, "cpu", 0).ready()


def test_a_worker_whose_network_gets_no_self_ensemble_ends_the_run_before_its_first_batch(
    spec: UpscaleSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interchange, "load_generator", lambda _: InWindows())
    UpscaleWorker(spec, 1, "cpu", 0).ready()
    averaged = spec.model_copy(update={"config": UpscaleConfig(self_ensemble=True)})
    with pytest.raises(ConfigError, match="self_ensemble: this network cuts") as refused:
        UpscaleWorker(averaged, 1, "cpu", 0).ready()
    assert is_hopeless(refused.value), "no other worker is tried"
