"""What each process of the tests with several ranks runs.

``python -m tests.train.rank_program <rank> <num_ranks> <directory> <scenario>`` leaves what it
found as ``<directory>/<scenario>-<rank>.pt``.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from srgan.adapters.s3 import open_store
from srgan.config import AdversarialConfig, LearningRate, PretrainConfig
from srgan.data.shards import ShardCache
from srgan.refs import DatasetRef
from srgan.settings import Settings
from srgan.train.run import StageInputs, run_stage
from srgan.train.step import Stage
from tests.train.stages import BATCH_NORM, CPU, adversarial, pretrain, start, windows

NUM_STEPS = 3
SGD_STEP = LearningRate(peak=0.05)


def gan_config() -> AdversarialConfig:
    """Patches that leave 2×2 positions: batch norm over one would amplify rounding."""
    return adversarial(patch_size=32, learning_rate=SGD_STEP, adversarial_weight=1.0)


def use_sgd(stage: Stage) -> None:
    """Plain SGD in place of Adam, which turns rounding noise into whole steps."""
    for name, update in stage.updates.items():
        parameters = stage.networks()[name].parameters()
        update.optimizer = torch.optim.SGD(parameters, lr=1.0, fused=True)


def train_with_sgd(
    config: PretrainConfig | AdversarialConfig, rank: int, num_ranks: int
) -> dict[str, torch.Tensor]:
    """Parameters by name after a few steps on this rank's slices of the batches."""
    stage = start(config)
    use_sgd(stage)
    for step in range(NUM_STEPS):
        stage.step(windows(stage, step).chunk(num_ranks)[rank], step)
    return {
        f"{part}.{name}": parameter.detach()
        for part, network in stage.networks().items()
        for name, parameter in network.named_parameters()
    }


def equivalence(rank: int, num_ranks: int) -> object:
    return {
        "pretrain": train_with_sgd(pretrain(learning_rate=SGD_STEP), rank, num_ranks),
        "adversarial": train_with_sgd(gan_config(), rank, num_ranks),
    }


def resuming(rank: int, directory: Path) -> object:
    """Digests of the final parts of a run, and of the same run gone on with from half of it."""
    dataset = DatasetRef.model_validate_json((directory / "dataset.json").read_bytes())
    store = open_store(Settings())
    inputs = StageInputs(
        run="two-ranks",
        config=adversarial(BATCH_NORM, ema_decay=0.9),
        dataset=dataset,
        init_from=None,
        code_version="c",
    )
    cache = ShardCache(store, directory / "cache", 2**30)
    whole = run_stage(store, inputs, cache, device=CPU, reporter=None)
    dist.barrier()
    if rank == 0:
        for step in (6, 8):
            store.delete(f"runs/two-ranks/checkpoints/{step:09d}.json")
    dist.barrier()
    resumed = run_stage(store, inputs, cache, device=CPU, reporter=None)
    return {"whole": whole.model_dump_json(), "resumed": resumed.model_dump_json()}


def main() -> None:
    rank, num_ranks = int(sys.argv[1]), int(sys.argv[2])
    directory, scenario = Path(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=(directory / f"{scenario}-meeting").as_uri(),
        rank=rank,
        world_size=num_ranks,
    )
    found = equivalence(rank, num_ranks) if scenario == "equivalence" else resuming(rank, directory)
    torch.save(found, directory / f"{scenario}-{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
