"""The interface on which a training's ranks meet."""

import os
import sys
from pathlib import Path

import psutil
import pytest
import ray

from srgan.jobs.process_group import NodeTorchConfig, choose_interface, listen_on
from tests.support.hosts import Host, Network, why_no_hosts
from tests.support.waiting import wait_until

VARIABLE = "GLOO_SOCKET_IFNAME"
RANK = """
import sys
from datetime import timedelta
import torch
import torch.distributed as dist
from srgan.jobs.process_group import listen_on

rank, own, first = sys.argv[1:]
listen_on(own)
dist.init_process_group(
    "gloo", f"tcp://{first}:29500", timedelta(seconds=60), world_size=2, rank=int(rank)
)
number = torch.ones(1) * 3 ** int(rank)
dist.all_reduce(number)
print("sum", number.item(), flush=True)
"""


@pytest.fixture
def _variable_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is not set, and what a test sets is gone after it."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.delenv(VARIABLE)


@pytest.mark.usefixtures("_variable_unset")
def test_gloo_listens_on_the_address_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    choose_interface()
    addresses = psutil.net_if_addrs()[os.environ[VARIABLE]]
    assert "127.0.0.1" in {each.address for each in addresses}


@pytest.mark.usefixtures("_variable_unset")
def test_an_address_that_no_interface_has_decides_nothing() -> None:
    listen_on("203.0.113.7")
    assert VARIABLE not in os.environ


def test_an_interface_that_the_operator_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "ib0")
    listen_on("127.0.0.1")
    assert os.environ[VARIABLE] == "ib0"


def test_every_worker_chooses_before_the_group_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[object] = []
    backend = NodeTorchConfig().backend_cls
    monkeypatch.setattr(backend.__base__, "on_start", lambda *_: steps.append("group"))
    group = type("Group", (), {"execute": lambda _, function: steps.append(function)})
    backend().on_start(group(), NodeTorchConfig())
    assert steps == [choose_interface, "group"]


@pytest.mark.slow(group="hosts")
def test_ranks_on_two_hosts_whose_names_lead_to_loopback_meet(tmp_path: Path) -> None:
    if reason := why_no_hosts():
        pytest.skip(reason)
    program = tmp_path / "rank.py"
    program.write_text(RANK)
    with Network() as network:
        hosts = [Host(network, 2 + n, f"rank-{n}", tmp_path / f"rank-{n}") for n in range(2)]
        try:
            for rank, host in enumerate(hosts):
                command = f"{sys.executable} {program} {rank} {host.address} {hosts[0].address}"
                host.start(f"{command}; sleep 1000", dict(os.environ))
            for host in hosts:
                wait_until(lambda host=host: "sum 4.0" in host.log.read_text(), "a sum", 300)
        finally:
            for host in hosts:
                host.stop()
