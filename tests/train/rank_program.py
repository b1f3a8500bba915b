"""Program of each process in the tests with several ranks."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

from srgan.config import AdversarialConfig, LearningRate, PretrainConfig
from srgan.data.dataset import Patches, share_of
from srgan.data.shards import ShardCache
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.storage import ObjectStore
from srgan.train import ranks
from srgan.train.adversarial import Adversarial
from srgan.train.run import StageInputs, build_stage, run_stage
from srgan.train.step import Stage
from srgan.train.validation import Validation
from tests.support.stages import (
    BATCH_NORM,
    CPU,
    adversarial,
    differing,
    everything,
    pretrain,
    start,
    unguarded,
    windows,
)
from tests.support.stores import Around

NUM_STEPS = 3
STALL_S = 4.0
SGD_STEP = LearningRate(peak=0.05)


def plain_config() -> PretrainConfig:
    """A generator without batch norm."""
    return pretrain(learning_rate=SGD_STEP)


def normalised_config() -> PretrainConfig:
    """A generator with batch norm."""
    return pretrain(BATCH_NORM, learning_rate=SGD_STEP)


def gan_config() -> AdversarialConfig:
    """Patches that leave 2×2 positions: batch norm over one would amplify rounding."""
    return adversarial(BATCH_NORM, patch_size=32, learning_rate=SGD_STEP, adversarial_weight=1.0)


def plain_gan_config() -> AdversarialConfig:
    """A GAN stage whose discriminator is in evaluation mode, where batch norm sees no batch."""
    return adversarial(
        patch_size=32, learning_rate=SGD_STEP, adversarial_weight=1.0, discriminator_shift=True
    )


def use_sgd(stage: Stage) -> None:
    """Plain SGD in place of Adam, which turns rounding noise into whole steps."""
    for name, update in stage.updates.items():
        parameters = stage.networks()[name].parameters()
        update.optimizer = torch.optim.SGD(parameters, lr=1.0, fused=True)


def learned(stage: Stage) -> dict[str, torch.Tensor]:
    """Weights and the gradients of the latest step by name."""
    found = {}
    for part in stage.updates:
        for name, parameter in stage.networks()[part].named_parameters():
            assert parameter.grad is not None
            found[f"{part}.{name}"] = parameter.detach().clone()
            found[f"{part}.{name}.gradient"] = parameter.grad.clone()
    return found


def train_with_sgd(
    config: PretrainConfig | AdversarialConfig,
    rank: int,
    num_ranks: int,
    *,
    device: torch.device = CPU,
) -> dict[str, torch.Tensor]:
    """Weights learned in a few steps on this rank's slices of the batches."""
    stage = build_stage(config, device=device, initial=None)
    use_sgd(stage)
    if config == plain_gan_config():
        assert isinstance(stage, Adversarial)
        stage.discriminator.eval()
    for step in range(NUM_STEPS):
        share = share_of(config.batch_size, rank, num_ranks)
        stage.step(windows(stage, step)[share.start : share.stop].to(device), step)
    return {name: tensor.cpu() for name, tensor in learned(stage).items()}


def steps(rank: int, num_ranks: int, _: Path) -> object:
    """Results of stages with and without batch norm, and of a poisoned rank in both."""
    configs = {
        "pretrain": plain_config(),
        "normalised pretrain": normalised_config(),
        "adversarial": plain_gan_config(),
        "normalised adversarial": gan_config(),
    }
    found = {name: train_with_sgd(config, rank, num_ranks) for name, config in configs.items()}
    return {**found, "poisoned": poisoned(rank, num_ranks)}


def poisoned(rank: int, num_ranks: int) -> list[str]:
    """Names of what changed in a step in which only the last rank's images are not finite."""
    stage = start(adversarial(BATCH_NORM, patch_size=32, ema_decay=0.9))
    stage.step(windows(stage, 0).chunk(num_ranks)[rank], 0)
    before = everything(stage)
    degrade = stage.degradation.forward
    if rank == num_ranks - 1:
        stage.degradation.forward = lambda batch: [x * torch.nan for x in degrade(batch)]
    skipped = stage.step(windows(stage, 1).chunk(num_ranks)[rank], 1)["skipped"]
    assert skipped == 1, f"rank {rank} went on"
    return differing(everything(stage), before)


def uneven(rank: int, num_ranks: int, _: Path) -> object:
    """Results of stages without batch norm whose shares differ in size."""
    configs = (plain_config(), plain_gan_config())
    return {config.stage: train_with_sgd(config, rank, num_ranks) for config in configs}


def synchronised(rank: int, num_ranks: int, _: Path) -> object:
    """The same with batch norm over all ranks; both share the first GPU."""
    config = gan_config().model_copy(update={"sync_batch_norm": True})
    return train_with_sgd(config, rank, num_ranks, device=torch.device("cuda:0"))


def stage_run(
    rank: int,
    num_ranks: int,
    directory: Path,
    *,
    stall_s: float = 600,
    kill_at: str | None = None,
) -> object:
    """The final manifest of a GAN stage, trained from its newest checkpoint if there is one."""
    Validation.measure = unguarded()
    store: ObjectStore = open_store(Settings())
    if kill_at:
        store = die_at(kill_at, store, last=rank == num_ranks - 1)
    inputs = StageInputs(
        run=(directory / "run").read_text(),
        config=adversarial(
            BATCH_NORM, batch_size=4 * num_ranks, ema_decay=0.9, discriminator_shift=True
        ),
        dataset=DatasetRef.model_validate_json((directory / "dataset.json").read_bytes()),
        init_from=None,
        numerics_version="c",
        release_version="c",
    )
    cache = ShardCache(store, directory / "cache", 2**30)
    return run_stage(
        store, inputs, cache, device=CPU, reporter=None, stall_s=stall_s
    ).model_dump_json()


def stalling(rank: int, num_ranks: int, directory: Path) -> object:
    """A stage whose last rank never gets the batch of step 3."""
    cut = Patches.batch

    def batch(patches: Patches, step: int, **share: int) -> object:
        if step == 3 and rank == num_ranks - 1:
            threading.Event().wait()
        return cut(patches, step, **share)

    Patches.batch = batch
    return stage_run(rank, num_ranks, directory, stall_s=STALL_S)


def freezing(rank: int, num_ranks: int, directory: Path) -> object:
    """A stage whose first rank's process is frozen as a whole before step 3."""
    cut = Patches.batch

    def batch(patches: Patches, step: int, **share: int) -> object:
        if step == 3 and rank == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        return cut(patches, step, **share)

    Patches.batch = batch
    return stage_run(rank, num_ranks, directory, stall_s=STALL_S)


def die_at(point: str, store: S3Store, *, last: bool) -> ObjectStore:
    """Kill this process at a point: in a step on the last rank, otherwise at a write."""
    if point != "within step 5":
        return _FatalStore(store, point)
    update = Adversarial._update_generator

    def die(stage: Adversarial, *images: torch.Tensor, step: int) -> object:
        die.calls += 1
        if last and die.calls == 6:  # the discriminator has learned, the generator has not
            os.kill(os.getpid(), signal.SIGKILL)
        return update(stage, *images, step)

    die.calls = 0
    Adversarial._update_generator = lambda stage, hr, sr, step: die(stage, hr, sr, step=step)
    return store


class _FatalStore(Around):
    """A real store whose user is killed at its first access of a kind."""

    def __init__(self, store: S3Store, point: str) -> None:
        super().__init__(store)
        self._point = point

    def put(self, key: str, body: bytes, **options: str) -> str:
        if self._point == "before manifest 4" and key.endswith("4.json"):
            os.kill(os.getpid(), signal.SIGKILL)
        token = self.store.put(key, body, **options)
        if self._point == "after the first part" and "/parts/" in key:
            os.kill(os.getpid(), signal.SIGKILL)
        return token

    def delete(self, key: str) -> None:
        if self._point == "before old ones are deleted":
            os.kill(os.getpid(), signal.SIGKILL)
        self.store.delete(key)


SCENARIOS: dict[str, Callable[..., object]] = {
    "steps": steps,
    "synchronised": synchronised,
    "uneven": uneven,
    "stage_run": stage_run,
    "stalling": stalling,
    "freezing": freezing,
}


def run(
    rank: int,
    num_ranks: int,
    directory: Path,
    scenario: str,
    environment: dict[str, str],
    options: dict[str, str],
) -> None:
    """Leave what a scenario finds as ``<directory>/<scenario>-<rank>.pt``, and what it prints."""
    with (directory / f"{scenario}-{rank}.log").open("wb") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    os.environ.update(environment)
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    if num_ranks > 1:
        dist.init_process_group(
            "gloo",
            init_method=(directory / f"{scenario}-meeting").as_uri(),
            rank=rank,
            world_size=num_ranks,
        )
    assert ranks.num_ranks() == num_ranks
    found = SCENARIOS[scenario](rank, num_ranks, directory, **options)
    torch.save(found, directory / f"{scenario}-{rank}.pt")
    if num_ranks > 1:
        dist.destroy_process_group()
