"""A Ray cluster on several hosts, set up as docs/cluster.md says."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from srgan.settings import Settings, inherited_environment
from tests.support.hosts import Host, Network
from tests.support.mlflow_server import run_mlflow_server
from tests.support.object_server import run_object_server
from tests.support.ports import free_ports
from tests.support.running_stack import Shell
from tests.support.waiting import wait_until

NUM_NODES = 2
_START_LIMIT_S = 180
_RAY = "ray start --block --disable-usage-stats --object-store-memory=100000000 --temp-dir={folder}"


class RayHosts(Shell):
    """A head without CPUs, two nodes with one each, and a shell on this machine.

    This machine has S3, MLflow and Prefect.
    """

    def __init__(
        self, network: Network, folder: Path, settings: Settings, prefect_api_url: str
    ) -> None:
        self.network = network
        self._token = secrets.token_hex(32)
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(self._token)
        self._env = _services(settings, folder / "token")
        self.head = Host(network, 2, "head", folder / "head")
        self.nodes = [
            Host(network, 3 + number, f"node-{1 + number}", folder / f"node-{1 + number}")
            for number in range(NUM_NODES)
        ]
        self.address = f"http://{self.head.address}:8265"
        user = {
            "RAY_ADDRESS": self.address,
            "PREFECT_API_URL": prefect_api_url,
            "SRGAN_HOME": str(folder / "flows"),
        }
        super().__init__({**self._env, **user}, settings)

    def start(self) -> None:
        """Boot all hosts and wait for the cluster."""
        self.start_head()
        wait_until(lambda: bool(self.alive()), "the head answers", _START_LIMIT_S, every_s=1)
        for node in self.nodes:
            join = f"{_RAY} --address={self.head.address}:6379 --num-cpus=1"
            node.start(join.format(folder=node.folder), self._env_of(node))
        self.wait_for_nodes()

    def start_head(self) -> None:
        # Without a way to the internet a head takes itself for 127.0.0.1.
        serve = (
            f"{_RAY} --head --port=6379 --dashboard-host=0.0.0.0 --num-cpus=0"
            f" --node-ip-address={self.head.address}"
        )
        self.head.start(serve.format(folder=self.head.folder), self._env_of(self.head))

    def stop(self) -> None:
        """End all hosts."""
        for host in [*self.nodes, self.head]:
            host.stop()

    def wait_for_nodes(self, timeout_s: float = _START_LIMIT_S) -> None:
        """Wait until every node is part of the cluster."""
        wanted = {host.address for host in [self.head, *self.nodes]}
        try:
            wait_until(lambda: self.alive().keys() == wanted, "all nodes", timeout_s, every_s=1)
        except AssertionError as error:
            consoles = [f"{host.name}:\n{host.log.read_text()[-2000:]}" for host in self.nodes]
            raise AssertionError("\n".join([str(error), *consoles])) from error

    def alive(self) -> dict[str, str]:
        """Ids of the nodes that the head takes for alive, by address; empty without a head."""
        return {each["node_ip"]: each["node_id"] for each in self._ask() if _is_alive(each)}

    def holds_dead(self, node_id: str) -> bool:
        """Whether the head has declared a node dead."""
        return any(each["node_id"] == node_id and not _is_alive(each) for each in self._ask())

    def where(self, words: str) -> list[str]:
        """Names of the nodes that have a process with some words in its command line."""
        return [node.name for node in self.nodes if node.pids(words)]

    def _ask(self) -> list[dict[str, Any]]:
        try:
            answer = httpx.get(
                f"{self.address}/api/v0/nodes",
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=10,
                trust_env=False,
            ).raise_for_status()
        except httpx.HTTPError:
            return []
        found: list[dict[str, Any]] = answer.json()["data"]["result"]["result"]
        return found

    def _env_of(self, host: Host) -> dict[str, str]:
        return {**self._env, "SRGAN_HOME": str(host.folder / "srgan")}


@contextmanager
def run_ray_hosts(prefect_api_url: str) -> Iterator[RayHosts]:
    """A running cluster; at the end, nothing of it is left."""
    with ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="srgan-", dir="/tmp"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("s3", "mlflow"):
            (folder / name).mkdir()
        network = ends.enter_context(Network())
        mlflow = run_mlflow_server(folder / "mlflow", free_ports(1)[0], network.address)
        settings = ends.enter_context(run_object_server(folder / "s3", network.address)).model_copy(
            update={"mlflow_tracking_uri": ends.enter_context(mlflow)}
        )
        cluster = RayHosts(network, folder, settings, prefect_api_url)
        ends.callback(cluster.stop)
        cluster.start()
        yield cluster


def _services(settings: Settings, token: Path) -> dict[str, str]:
    """The variables of docs/cluster.md for nodes."""
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    inherited = inherited_environment()
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]]),
        "PYTHONWARNINGS": "ignore",
        "AWS_ENDPOINT_URL": settings.require("s3_endpoint_url"),
        "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": settings.s3_region,
        "SRGAN_BUCKET": settings.bucket,
        "MLFLOW_TRACKING_URI": settings.require("mlflow_tracking_uri"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_JOB_START_TIMEOUT_SECONDS": str(7 * 24 * 3600),
        # All hosts are reached without a proxy.
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def _is_alive(node: dict[str, Any]) -> bool:
    return bool(node["state"] == "ALIVE")
