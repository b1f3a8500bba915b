"""Compare two ranks of one thread with one rank of two; measure the cost of shared gradients.

As a program, one rank: ``python -m benchmarks.training.ranks RANK NUM_RANKS MEETING THREADS
[--tiny]`` prints its figures as a line of JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks.training.measure import TINY, Size
from benchmarks.training.steps import CPU, options, windows
from srgan.allocator import use_large_pages
from srgan.config import AdversarialConfig, PretrainConfig
from srgan.train import ranks
from srgan.train.run import build_stage
from srgan.train.step import Stage


def scaling(size: Size) -> None:
    """Measure crops per second of both ways, in turn, and the cost of the all-reduce."""
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(min(3, size.rounds)):
        for num_ranks in (2, 1):
            found[num_ranks].append(_run(num_ranks, 2 // num_ranks, size))

    def median(num_ranks: int, name: str) -> float:
        return statistics.median(each[name] for each in found[num_ranks])

    two, one = (size.batch / median(number, "step_s") for number in (2, 1))
    print(f"DDP: 2 ranks × 1 thread {two:.1f} crops/s, 1 rank × 2 threads {one:.1f} crops/s")
    print(f"DDP, ratio: {two / one:.2f}")
    alone, shared, reduce = (median(2, name) for name in ("alone_s", "shared_s", "reduce_s"))
    hidden = max(0.0, 1 - max(0.0, shared - alone) / reduce)
    print(
        f"DDP, pretrain: {median(2, 'generator_bytes') / 1e6:.1f} MB per all-reduce, alone "
        f"{reduce * 1e3:.1f} ms, {hidden:.0%} of it hidden behind backward"
    )
    print(
        f"DDP, GAN: {median(2, 'generator_bytes') / 1e6:.1f} MB for G and "
        f"{median(2, 'discriminator_bytes') / 1e6:.1f} MB for D per step"
    )


def _run(num_ranks: int, num_threads: int, size: Size) -> dict[str, float]:
    """Start the ranks; return the measurements of rank 0."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        processes = []
        for rank in range(num_ranks):
            arguments = [str(rank), str(num_ranks), f"{folder}/meeting", str(num_threads)]
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.training.ranks", *arguments]
                + (["--tiny"] if size is TINY else []),
                env={**os.environ, "OMP_NUM_THREADS": str(num_threads)},
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                text=True,
            )
            started.callback(process.kill)
            processes.append(process)
        outputs = [process.communicate()[0] for process in processes]
        assert all(process.returncode == 0 for process in processes), outputs
    figures: dict[str, float] = json.loads(outputs[0].splitlines()[-1])
    return figures


def main() -> None:
    """Run one rank."""
    rank, num_ranks, meeting, num_threads = sys.argv[1:5]
    size = TINY if "--tiny" in sys.argv else Size()
    use_large_pages()
    torch.set_num_threads(int(num_threads))
    if num_ranks != "1":
        dist.init_process_group(
            "gloo",
            init_method=Path(meeting).as_uri(),
            rank=int(rank),
            world_size=int(num_ranks),
        )
    stage = build_stage(PretrainConfig.model_validate(options(size)), device=CPU, initial=None)
    batch = windows(stage, size).chunk(ranks.num_ranks())[ranks.rank()]
    figures = {"step_s": _median(lambda step: stage.step(batch, step), size)}
    if num_ranks != "1":
        figures |= _sharing(stage, batch, size)
    print(json.dumps(figures))


def _sharing(stage: Stage, batch: torch.Tensor, size: Size) -> dict[str, float]:
    """Measure backward with and without sharing, the all-reduce alone, and its bytes."""
    generate = stage._generate
    assert isinstance(generate, DistributedDataParallel)
    lr, _ = stage._images(batch, 0)

    def shared(_: int) -> None:
        with stage._autocast():
            sr = generate(lr)
        sr.mean().backward()

    def alone(step: int) -> None:
        with generate.no_sync():
            shared(step)

    gradients = torch.zeros(_num_parameters(stage.generator))
    gan = build_stage_of_gan(size)
    return {
        "shared_s": _median(shared, size),
        "alone_s": _median(alone, size),
        "reduce_s": _median(lambda _: dist.all_reduce(gradients), size),
        "generator_bytes": 4.0 * _num_parameters(stage.generator),
        "discriminator_bytes": 4.0 * _num_parameters(gan.networks()["discriminator"]),
    }


def build_stage_of_gan(size: Size) -> Stage:
    return build_stage(AdversarialConfig.model_validate(options(size)), device=CPU, initial=None)


def _num_parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _median(run, size: Size) -> float:  # type: ignore[no-untyped-def]
    times = []
    for round_ in range(size.rounds + 1):
        if ranks.num_ranks() > 1:
            dist.barrier()
        begun = time.perf_counter()
        for step in range(size.steps):
            run(round_ * size.steps + step)
        times.append((time.perf_counter() - begun) / size.steps)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
