"""One training stage as a Ray job: ``python -m srgan.jobs.train <spec_key> <job_id>``.

The driver refuses what cannot work, waits for the cluster and starts Ray Train; every worker
runs `train.run.run_stage`. Checkpoints are our own, not Ray's: a worker that dies costs the steps
since the newest one, and a new job under the same run name also goes on from there.

Torch, Ray and MLflow are imported where they are used: flows import this module for `TrainSpec`.
"""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from srgan.allocator import use_large_pages
from srgan.config import AdversarialConfig, Config, Gpu, Positive, PretrainConfig, StageConfig
from srgan.errors import CheckpointError, ConfigError, DataError, TrainingError
from srgan.jobs.failure import leaving_failure
from srgan.jobs.node import (
    Need,
    Timeline,
    connect,
    node_resources,
    room,
    start,
    uses_gpu,
    wait_for_cluster,
)
from srgan.keys import ray_folder, result_key
from srgan.logs import configure
from srgan.refs import CheckpointRef, DatasetRef
from srgan.report.costs import counting
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.storage import ObjectStore, write_document

logger = logging.getLogger(__name__)

_CPU_WORKERS = 2
_LEAST_PATCHES_PER_GPU = 16  # the paper's batch; fewer do not fill a GPU, and more GPUs only talk
_MAX_CPUS_PER_GPU = 4  # the GPU computes; its worker cuts patches and launches kernels
_WORKER_START_FAILURES = 10  # of 60 s each; Ray's own default tries for ever and says nothing

# Ray reads these when it is imported; Ray Train passes its own on to controller and workers.
_RAY_SWITCHES = {
    # Time within which a dead worker is noticed.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # With the patch, every printed line appears twice.
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # Lines that differ only in their numbers would be folded into "repeated 25x".
    "RAY_DEDUP_LOGS_ALLOW_REGEX": "crops/s|validation at step",
    # Watches for nodes that are drained, in a process that costs seconds to start. A stage that
    # loses a node goes on from its checkpoint, so nobody would listen.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # The log is shown in web pages and Prefect, where colours are noise.
    "RAY_COLOR_PREFIX": "0",
}


class TrainSpec(Config):
    """One training stage, as the flow orders it from the job."""

    run: str
    stage: Annotated[StageConfig, Field(discriminator="stage")]
    dataset: DatasetRef
    pairs: DatasetRef | None = None
    """Dataset of pairs; the stage has one if it has a `pair_share`."""
    init_from: CheckpointRef | None = None
    num_workers: Positive | None = None
    """None: one for each 16 patches of a batch and at most one per GPU of the cluster, or two on
    CPUs."""
    gpu: Gpu = "auto"
    mlflow_run_id: str | None = None
    numerics_version: str
    """Version of the code that is part of the name `run`."""
    release_version: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.stage, AdversarialConfig) and self.init_from is None:
            raise ValueError("an adversarial stage needs init_from, the pretrained checkpoint")
        if (self.pairs is not None) != (self.stage.num_pairs > 0):
            raise ValueError(
                f"{self.stage.stage}.pair_share is {self.stage.pair_share:g} and pairs is "
                f"{self.pairs.dataset if self.pairs else None}; a stage needs both or neither"
            )
        return self


def main(spec_key: str, job_id: str) -> None:
    """Run the driver of one stage; return when `result_key` is written."""
    timeline = Timeline()
    os.environ.update(_RAY_SWITCHES)
    settings, store, spec = start(spec_key, TrainSpec)
    check_workers(spec.stage, spec.num_workers)
    check_inputs(spec, store)
    timeline.end("checks")
    connect()
    timeline.end("connection")
    workers = _wait_for_workers(spec, settings, job_id)
    timeline.end("cluster")
    logger.info("training %s on %s", spec.run, workers)
    with counting(
        store,
        spec.run,
        job_id,
        stage=spec.stage.stage,
        cpus=workers.num_workers * workers.cpus_per_worker,
        gpus=workers.num_workers if workers.use_gpu else 0,
    ):
        outcome = _fit(spec, workers, job_id, store, timeline)
    if "error" in outcome:
        raise TrainingError(outcome["error"])
    result = CheckpointRef.model_validate_json(outcome["result"])
    write_document(store, result_key(spec.run), result)
    logger.info("finished %s at step %d: %s", spec.run, result.step, result.metrics)


def check_workers(stage: PretrainConfig | AdversarialConfig, num_workers: int | None) -> None:
    """Refuse a batch that the workers cannot share evenly, and a minimum above their number.

    Without `num_workers` there is nothing to refuse: `plan_workers` chooses a number that fits.
    """
    if num_workers and stage.min_workers and stage.min_workers > num_workers:
        raise ConfigError(
            f"{stage.stage}.min_workers {stage.min_workers} is more than num_workers {num_workers}"
        )
    if num_workers and stage.batch_size % num_workers:
        raise ConfigError(
            f"{stage.stage}.batch_size {stage.batch_size} cannot be divided by num_workers "
            f"{num_workers}; choose a batch_size that is a multiple of it, or other num_workers"
        )


def check_inputs(spec: TrainSpec, store: ObjectStore) -> None:
    """Refuse data or a starting point that does not fit the stage, before anything starts.

    Also refuses missing perceptual weights, with the command that gets them.
    """
    from srgan.data.manifest import read_manifest as read_dataset
    from srgan.models.weights import find_weights
    from srgan.train.checkpoint import read_manifest as read_checkpoint
    from srgan.train.content import feature_content

    stage, dataset = spec.stage, spec.dataset
    name = f"dataset {dataset.dataset} (version {dataset.version[:12]})"
    scale = stage.generator.scale
    if dataset.lr_source is not None:
        raise ConfigError(
            f"{name} holds pairs, which nothing is measured on; train on a dataset of photos and "
            "name this one in the recipe's `pairs`"
        )
    if dataset.scale != scale:
        raise ConfigError(f"{name} has scale {dataset.scale}, {stage.stage}.generator has {scale}")
    if dataset.num_train_crops < stage.batch_size:
        raise DataError(
            f"{name} has {dataset.num_train_crops} training crops, "
            f"{stage.stage}.batch_size {stage.batch_size} needs at least as many; add photos"
        )
    if dataset.num_eval_crops < 1:
        raise DataError(f"{name} has no evaluation crops; add photos")
    crop_size = read_dataset(store, dataset.key).config.crop_size
    margin = stage.degradation.margin(scale)
    if stage.patch_size + 2 * margin > crop_size:
        raise ConfigError(
            f"{stage.stage}.patch_size {stage.patch_size} and the degradation's margin of "
            f"{margin} pixels on each side exceed data.crop_size {crop_size} of {name}"
        )
    if content := feature_content(stage):
        find_weights(store, content.network, content.weights)
    if spec.init_from is not None:
        generator = read_checkpoint(store, spec.init_from.key).generator
        if generator != stage.generator:
            raise CheckpointError(
                f"init_from {spec.init_from.run} holds a generator ({generator!r}), "
                f"{stage.stage}.generator is another ({stage.generator!r})"
            )


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that Ray Train is asked for."""

    num_workers: int
    cpus_per_worker: int
    use_gpu: bool

    def __str__(self) -> str:
        gpu = " and a GPU" if self.use_gpu else ""
        return f"{self.num_workers} workers with {self.cpus_per_worker} CPU{gpu} each"


def _wait_for_workers(spec: TrainSpec, settings: Settings, job_id: str) -> Workers:
    """Wait until enough is free, and return the workers for the nodes that are there by then.

    They are planned again during the wait, because nodes may come: those that the cluster starts
    for this demand, or, after a lost head, the ones with GPUs last.
    """
    from srgan.train.step import check_device

    plans: list[Workers] = []

    def need() -> Need:
        nodes = node_resources()
        workers = plan_workers(
            nodes,
            spec.num_workers,
            spec.stage.batch_size,
            spec.gpu,
            min_workers=spec.stage.min_workers,
        )
        plans.append(workers)
        return Need(
            what=f"{spec.run} with num_workers {workers.num_workers} ({workers})",
            cpus=workers.cpus_per_worker,
            gpus=1 if workers.use_gpu else 0,
            num=spec.stage.min_workers or workers.num_workers,
        )

    wait_for_cluster(need, settings.cluster_wait_s, job_id)
    check_device(spec.stage, "cuda" if plans[-1].use_gpu else "cpu")
    check_workers(spec.stage, plans[-1].num_workers)
    return plans[-1]


def plan_workers(
    nodes: Sequence[Mapping[str, float]],
    num_workers: int | None,
    batch_size: int,
    gpu: Gpu,
    *,
    min_workers: int | None = None,
) -> Workers:
    """Plan the workers for the nodes that are up, whose resources have Ray's names.

    Without `num_workers` there is one for each 16 patches of a batch (or `min_workers` if that is
    more), but not more than GPUs that are there; or two on CPUs. It is that number or the next
    smaller one that divides `batch_size`.

    Workers get as many CPUs as still leave every worker a node: Ray would wait without end for
    those that do not fit. A cluster too small for `num_workers` gets a plan with one CPU each,
    which may be what makes it grow.
    """
    use_gpu = uses_gpu(gpu, nodes)
    num_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    useful = max(min_workers or 1, batch_size // _LEAST_PATCHES_PER_GPU)
    most = max(1, min(num_gpus, useful)) if use_gpu else _CPU_WORKERS
    wanted = num_workers or _largest_divisor(batch_size, most)
    cpus_of_node = int(max((node.get("CPU", 0) for node in nodes), default=1))
    for cpus in range(_MAX_CPUS_PER_GPU if use_gpu else cpus_of_node, 1, -1):
        if room(nodes, {"CPU": cpus, **({"GPU": 1} if use_gpu else {})}) >= wanted:
            return Workers(wanted, cpus, use_gpu)
    return Workers(wanted, 1, use_gpu)


def _largest_divisor(number: int, limit: int) -> int:
    return next(each for each in range(limit, 0, -1) if number % each == 0)


def _fit(
    spec: TrainSpec, workers: Workers, job_id: str, store: S3Store, timeline: Timeline
) -> dict[str, str]:
    """Run Ray Train to the end and return what rank 0 returned."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from srgan.jobs.process_group import NodeTorchConfig

    per_worker = {"CPU": workers.cpus_per_worker, **({"GPU": 1} if workers.use_gpu else {})}
    trainer = TorchTrainer(
        train_worker,  # type: ignore[arg-type]  # mypy sees the types of Train V1
        train_loop_config={
            "spec": spec.model_dump_json(),
            "num_threads": workers.cpus_per_worker,
            "timeline": timeline.marks,
        },
        torch_config=NodeTorchConfig(),
        scaling_config=ScalingConfig(
            num_workers=(spec.stage.min_workers, workers.num_workers)  # type: ignore[arg-type]  # V1
            if spec.stage.min_workers
            else workers.num_workers,
            use_gpu=workers.use_gpu,
            resources_per_worker=per_worker,
        ),
        run_config=RunConfig(
            # Under a name that has finished before, Ray trains nothing and reports success; a job's
            # id is used once.
            name=job_id,
            storage_path=store.uri(ray_folder(spec.run)),
            # Ray only counts GPUs: a worker that has reserved none would see all of its node's.
            worker_runtime_env=None  # type: ignore[call-arg]  # V1
            if workers.use_gpu
            else {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}},
            failure_config=FailureConfig(
                max_failures=spec.stage.max_restarts,
                controller_failure_limit=_WORKER_START_FAILURES,  # type: ignore[call-arg]  # V1
            ),
        ),
    )
    outcome: dict[str, str] = trainer.fit().return_value  # type: ignore[attr-defined]  # V1
    return outcome


def train_worker(config: dict[str, Any]) -> dict[str, str]:
    """Run one worker; return ``{"result": CheckpointRef JSON}`` or ``{"error": message}``."""
    timeline = Timeline(config["timeline"])
    timeline.end("workers")
    use_large_pages()
    import torch
    from ray.train.torch import get_device

    from srgan.data.shards import ShardCache
    from srgan.jobs.train_reporter import JobReporter
    from srgan.train import ranks
    from srgan.train.run import StageInputs, run_stage

    torch.set_num_threads(config["num_threads"])
    spec = TrainSpec.model_validate_json(config["spec"])
    settings = Settings()
    # Ray Train's handlers, which write bare messages.
    logging.getLogger().handlers.clear()
    configure(settings, sys.stdout, run=spec.run, stage=spec.stage.stage, rank=str(ranks.rank()))
    store = open_store(settings)
    timeline.end("imports")
    device = get_device()
    reporter = (
        JobReporter(settings, store, spec.run, spec.mlflow_run_id, timeline, device.type)
        if ranks.rank() == 0
        else None
    )
    inputs = StageInputs(
        run=spec.run,
        config=spec.stage,
        dataset=spec.dataset,
        pairs=spec.pairs,
        init_from=spec.init_from,
        numerics_version=spec.numerics_version,
        release_version=spec.release_version,
    )
    cache = ShardCache(store, settings.home / "cache" / "shards", settings.cache_bytes)
    try:
        manifest = run_stage(
            store,
            inputs,
            cache,
            device=device,
            reporter=reporter,
            stall_s=settings.stall_s,
        )
    except TrainingError as error:
        # All ranks come here together. The error is returned, because Ray would try again after a
        # raised one, from the last checkpoint, with the same data and the same end.
        return {"error": str(error)}
    finally:
        if reporter:
            reporter.close()
    return {"result": manifest.ref(spec.mlflow_run_id).model_dump_json()}


if __name__ == "__main__":
    # Through the module's own name: functions of `__main__` would reach the workers as copies.
    from srgan.jobs import train  # noqa: PLW0406  # this file is `__main__` here

    with leaving_failure(*sys.argv[1:]):
        train.main(*sys.argv[1:])
