"""Communication among the ranks of one run. A process by itself is rank 0 of 1."""

import warnings
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def _together() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    return dist.get_rank() if _together() else 0


def num_ranks() -> int:
    return dist.get_world_size() if _together() else 1


def share_gradients(module: nn.Module) -> nn.Module:
    """The module with its gradients averaged over all ranks; starts from rank 0's values.

    Each rank keeps its own buffers: batch norm normalises per rank, and a broadcast before every
    forward would change buffers in place between two forwards of one GAN step. Every step must
    use the same parameters, as often as the first one did (the graph is static).
    """
    if not _together():
        return module
    with warnings.catch_warnings():
        # torch 2.13 renames the option; the old name works in all versions from 2.6 on.
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        return DistributedDataParallel(
            module, broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=True
        )


def sums_depend_on_buckets() -> bool:
    """True if a gradient's place in its bucket decides the order in which ranks are summed.

    A sum of two is the same either way.
    """
    return num_ranks() > 2


def share_buffers(module: nn.Module) -> None:
    """Give every rank the buffers (running statistics) of rank 0, which the checkpoint holds."""
    if _together():
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sum of a small tensor over all ranks; a synchronisation point."""
    if _together():
        dist.all_reduce(values)
    return values


def from_rank_zero(value: T) -> T:
    """Rank 0's `value` on every rank; a small picklable object."""
    if not _together():
        return value
    box = [value]
    device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
    dist.broadcast_object_list(box, src=0, device=device)
    return box[0]
