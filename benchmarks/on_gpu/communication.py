"""NCCL with one rank: its calls work, and what sharing gradients costs where nobody shares.

On a CPU gloo takes its place.
"""

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.on_gpu.steps import Size, wait
from srgan.models.build import build_discriminator, build_generator

_PATCH = 96


def measure_communication(device: torch.device, size: Size) -> None:
    """Time the calls of `srgan.train.ranks` on tensors as large as the networks' gradients."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    generator = build_generator(size.generator).to(device)
    discriminator = build_discriminator(size.discriminator, _PATCH)
    with tempfile.TemporaryDirectory(prefix="srgan-meeting-") as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        dist.init_process_group(backend, init_method=meeting, rank=0, world_size=1)
        try:
            box = ["a key"]
            dist.broadcast_object_list(box, src=0, device=device)
            assert box == ["a key"]
            for title, network in (("SRResNet", generator), ("discriminator", discriminator)):
                _all_reduce(f"{backend}, one rank, {title}", network, device, size)
            _step(backend, generator, device, size)
        finally:
            dist.destroy_process_group()


def _all_reduce(title: str, network: nn.Module, device: torch.device, size: Size) -> None:
    values = torch.ones(sum(each.numel() for each in network.parameters()), device=device)
    call_s = _seconds(lambda: dist.all_reduce(values), device, size)
    assert bool((values == 1).all())  # the sum over one rank
    print(f"{title}: {values.nbytes / 1e6:.1f} MB all-reduced in {1e3 * call_s:.2f} ms", flush=True)


def _step(backend: str, generator: nn.Module, device: torch.device, size: Size) -> None:
    """Time forward and backward as they are, and with DDP as training wraps a network."""
    lr = torch.rand(size.large_batch, 3, _PATCH // 4, _PATCH // 4, device=device)
    alone_s = _seconds(lambda: generator(lr).mean().backward(), device, size)
    generator.zero_grad(set_to_none=True)
    with warnings.catch_warnings():
        # The options of `srgan.train.ranks.share_gradients`, which leaves a single rank unwrapped.
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        shared = DistributedDataParallel(
            generator, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=True
        )
    shared_s = _seconds(lambda: shared(lr).mean().backward(), device, size)
    print(
        f"{backend}, one rank, forward and backward of SRResNet: {1e3 * shared_s:.2f} ms with DDP, "
        f"{1e3 * alone_s:.2f} ms without",
        flush=True,
    )


def _seconds(run: Callable[[], object], device: torch.device, size: Size) -> float:
    """Mean seconds of a call, after a few that warm up."""
    for _ in range(3):
        run()
    wait(device)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < size.timed_s / 4:
        run()
        done += 1
    wait(device)
    return (time.perf_counter() - begun) / done
