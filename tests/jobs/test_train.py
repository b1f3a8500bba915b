"""Driver of a training job: input that it refuses, and the workers that it plans."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray.train.torch
from pydantic import ValidationError

from srgan.config import DataConfig, GeneratorConfig, StageConfig
from srgan.data.prepare import prepare_dataset
from srgan.errors import CheckpointError, ConfigError, DataError
from srgan.jobs import node as ray_node
from srgan.jobs import train as ray_train
from srgan.jobs.node import Timeline
from srgan.jobs.train import TrainSpec, Workers, check_inputs, check_workers, plan_workers
from srgan.refs import CheckpointRef, DatasetRef, to_json
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.train.checkpoint import CheckpointWriter, read_manifest
from srgan.version import release_version
from tests.support.checkpoints import manifest, parts
from tests.support.places import place
from tests.support.stages import BATCH_NORM, PLAIN, adversarial, pretrain


@pytest.fixture
def dataset(
    object_store: S3Store, draw_photo: Callable[..., object], encode_photo: Callable[..., bytes]
) -> DatasetRef:
    for seed in range(4):
        object_store.put(f"raw/{seed}.png", encode_photo(draw_photo(seed, 64, 64)))
    config = DataConfig(scale=2, crop_size=32, eval_share=0.3)
    return prepare_dataset(place(object_store, "raw"), object_store, "drawn", config)


def spec(
    stage: StageConfig, dataset: DatasetRef, init_from: CheckpointRef | None = None
) -> TrainSpec:
    return TrainSpec(
        run="run",
        stage=stage,
        dataset=dataset,
        init_from=init_from,
        numerics_version="c",
        release_version="c",
    )


def saved_generator(store: S3Store) -> CheckpointRef:
    """A reference to a checkpoint of a PLAIN generator."""
    with CheckpointWriter(store) as writer:
        writer.save(manifest(8, final=True), parts(8))
    return read_manifest(store, manifest(8).key).ref(None)


def test_a_fitting_stage_passes(object_store: S3Store, dataset: DatasetRef) -> None:
    check_inputs(spec(pretrain(PLAIN), dataset), object_store)
    check_inputs(spec(adversarial(PLAIN), dataset, saved_generator(object_store)), object_store)
    check_workers(pretrain(batch_size=4), 2)


def test_pairs_in_the_place_of_photos_and_a_share_without_pairs_are_refused(
    object_store: S3Store, dataset: DatasetRef
) -> None:
    pairs = dataset.model_copy(update={"lr_source": "s3://srgan/lr"})
    with pytest.raises(ConfigError, match=r"dataset drawn .* holds pairs.*recipe's `pairs`"):
        check_inputs(spec(pretrain(PLAIN), pairs), object_store)
    with pytest.raises(ValidationError, match=r"pretrain.pair_share is 0.5 and pairs is None"):
        spec(pretrain(PLAIN, pair_share=0.5), dataset)


def test_fewer_workers_than_the_stage_needs_at_least_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"pretrain\.min_workers 4 is more than num_workers 2"):
        check_workers(pretrain(batch_size=4, min_workers=4), 2)


def test_unasked_the_workers_always_share_the_batch() -> None:
    check_workers(pretrain(batch_size=5), None)


def test_a_patch_that_the_scale_does_not_divide_is_refused() -> None:
    with pytest.raises(ValidationError, match="patch_size 18 is not divisible by scale 4"):
        pretrain(PLAIN.model_copy(update={"scale": 4}), patch_size=18)


def test_a_network_that_can_only_be_imported_is_refused() -> None:
    with pytest.raises(ValidationError, match="spandrel are imported, not trained"):
        pretrain(GeneratorConfig(kind="spandrel"))


def test_an_adversarial_stage_without_a_starting_point_is_refused(dataset: DatasetRef) -> None:
    with pytest.raises(ValidationError, match="init_from"):
        spec(adversarial(), dataset)


def test_a_spec_survives_its_json(object_store: S3Store, dataset: DatasetRef) -> None:
    for stage in (pretrain(), adversarial()):
        written = spec(stage, dataset, saved_generator(object_store))
        assert TrainSpec.model_validate_json(to_json(written)) == written


REFUSED = {
    "fewer patches than a batch": (
        {"stage": pretrain(batch_size=64)},
        DataError,
        r"\d+ training crops, pretrain\.batch_size 64",
    ),
    "another scale": (
        {"stage": pretrain(PLAIN.model_copy(update={"scale": 4}))},
        ConfigError,
        r"scale 2, pretrain\.generator has 4",
    ),
    "a patch as large as the crops": (
        {"stage": pretrain(patch_size=32)},
        ConfigError,
        r"patch_size 32 .* margin of 4 .*crop_size 32",
    ),
    "another architecture": (
        {"stage": adversarial(BATCH_NORM)},
        CheckpointError,
        r"bicubic_resnet.*adversarial\.generator.*srresnet",
    ),
    "a batch that the ranks do not divide": (
        {"stage": pretrain(batch_size=4), "num_workers": 3},
        ConfigError,
        r"pretrain\.batch_size 4 .*num_workers 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_driver_refuses_bad_input_before_it_looks_at_the_cluster(
    object_store: S3Store,
    dataset: DatasetRef,
    s3_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    fields, error, message = REFUSED[case]
    asked = TrainSpec(
        run="run",
        dataset=dataset,
        init_from=saved_generator(object_store),
        numerics_version="c",
        release_version=release_version(),
        **fields,
    )
    object_store.put("runs/some-run/spec.json", to_json(asked))
    # Settings of this test; there is no cluster.
    monkeypatch.setattr(ray_node, "Settings", lambda: s3_settings)
    monkeypatch.setattr(ray_train, "connect", lambda: pytest.fail("it went on to the cluster"))
    monkeypatch.setattr(ray_train.os, "environ", {})
    with pytest.raises(error, match=message):
        ray_train.main("runs/some-run/spec.json", "job")


def node(cpus: float, gpus: float = 0) -> dict[str, float]:
    return {"CPU": cpus, **({"GPU": gpus} if gpus else {})}


@pytest.mark.parametrize(
    ("nodes", "asked", "expected"),
    [
        ([node(2)], None, Workers(2, 1, False)),
        ([node(8)], None, Workers(2, 4, False)),
        ([node(8)], 1, Workers(1, 8, False)),
        ([node(2), node(4)], 2, Workers(2, 2, False)),
        ([node(3), node(3)], 2, Workers(2, 3, False)),
        ([node(64, 4), node(64, 4)], 8, Workers(8, 4, True)),
        ([node(64, 4)], 2, Workers(2, 4, True)),
        ([node(4, 4), node(32)], 4, Workers(4, 1, True)),
    ],
)
def test_all_cpus_are_used_as_far_as_every_worker_finds_a_node(
    nodes: list[dict[str, float]], asked: int | None, expected: Workers
) -> None:
    assert plan_workers(nodes, asked, 16, "auto") == expected


def test_more_workers_than_places_are_planned_with_one_cpu_and_make_a_cluster_grow() -> None:
    assert plan_workers([node(2)], 5, 16, "auto") == Workers(5, 1, False)
    assert plan_workers([node(8, 1)], 3, 16, "auto") == Workers(3, 1, True)
    assert plan_workers([node(0)], None, 16, "auto") == Workers(2, 1, False)


def test_the_device_is_the_one_that_the_run_asks_for() -> None:
    large, plain = node(64, 4), node(64)
    assert plan_workers([plain, large], None, 16, "never") == Workers(2, 64, False)
    assert plan_workers([plain, large], None, 64, "required") == Workers(4, 4, True)
    assert plan_workers([plain], None, 16, "required") == Workers(1, 1, True)
    assert plan_workers([], 2, 16, "required") == Workers(2, 1, True)


@pytest.mark.parametrize(
    ("use_gpu", "hidden"), [(False, {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}), (True, None)]
)
def test_workers_without_a_gpu_see_none(
    monkeypatch: pytest.MonkeyPatch,
    dataset: DatasetRef,
    object_store: S3Store,
    use_gpu: bool,
    hidden: dict[str, object] | None,
) -> None:
    asked: dict[str, Any] = {}

    class Trainer:
        def __init__(self, *_: object, **options: object) -> None:
            asked.update(options)

        def fit(self) -> SimpleNamespace:
            return SimpleNamespace(return_value={"error": "not trained"})

    monkeypatch.setattr(ray.train, "RunConfig", lambda **options: options)
    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Trainer)
    workers = Workers(1, 1, use_gpu)
    ray_train._fit(spec(pretrain(), dataset), workers, "job", object_store, Timeline())
    assert asked["run_config"]["worker_runtime_env"] == hidden


def test_a_plan_reads_as_words() -> None:
    assert str(Workers(2, 1, False)) == "2 workers with 1 CPU each"
    assert str(Workers(8, 4, True)) == "8 workers with 4 CPU and a GPU each"


def test_unasked_the_workers_are_as_many_as_can_share_the_batch() -> None:
    assert plan_workers([node(32, 6)], None, 128, "auto").num_workers == 4
    assert plan_workers([node(64, 24)], None, 256, "auto").num_workers == 16


@pytest.mark.parametrize(
    ("batch_size", "min_workers", "expected"),
    [(1, None, 1), (16, None, 1), (48, None, 3), (96, None, 6), (1024, None, 8), (16, 4, 4)],
)
def test_unasked_each_gpu_gets_at_least_16_patches(
    batch_size: int, min_workers: int | None, expected: int
) -> None:
    found = plan_workers([node(64, 8)], None, batch_size, "auto", min_workers=min_workers)
    assert found.num_workers == expected


def test_a_minimum_of_workers_above_the_gpus_plans_those_that_are_there() -> None:
    assert plan_workers([node(64, 2)], None, 64, "auto", min_workers=4) == Workers(2, 4, True)
    assert plan_workers([node(64)], None, 64, "auto", min_workers=4) == Workers(2, 32, False)
