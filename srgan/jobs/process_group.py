"""The network interface on which the ranks of a training meet.

Gloo listens on the address that the host's own name leads to. Debian and Ubuntu write 127.0.1.1
there, and a name that leads nowhere also makes it loopback: ranks on two hosts would never meet.
NCCL finds an interface by itself.

This module imports Ray Train, which costs seconds: jobs import it when they need it.
"""

import os
from typing import Any

import psutil
import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend

_VARIABLE = "GLOO_SOCKET_IFNAME"


class NodeTorchConfig(TorchConfig):
    """Torch's process group, whose ranks listen on the addresses of their Ray nodes."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        return _NodeBackend


class _NodeBackend(_TorchBackend):
    """Ray's backend, with one step before it: each worker chooses its own interface."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(choose_interface)
        super().on_start(worker_group, backend_config)


def choose_interface() -> None:
    """Have gloo listen on this node's address in Ray."""
    listen_on(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray's, untyped


def listen_on(address: str) -> None:
    """Have gloo use the interface with an address of this host, unless the variable is set.

    Without such an interface nothing changes: a node may be known by the address of a router.
    """
    for name, addresses in psutil.net_if_addrs().items():
        if any(each.address == address for each in addresses):
            os.environ.setdefault(_VARIABLE, name)
