"""A Ray cluster on this machine that has no worker nodes until something waits for them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.util import get_node_ip_address

from srgan.settings import Settings
from srgan.stack.processes import end_processes, find_processes, is_alive
from tests.support.checkout import ROOT
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

IDLE_S = 6.0
"""After so long the autoscaler ends a node that does nothing."""

_HEAD = "f" * 51 + "00000"  # id that Ray's fake provider gives to the head
# A head whose agents have no ports yet waits for them for 15 s only.
_AGENTS = (
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
_REQUIRED_DICTS = ("auth", "docker", "file_mounts")
_REQUIRED_LISTS = (
    "cluster_synced_files",
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


class FakeNodes(FakeMultiNodeProvider):
    """Ray's fake nodes, whose types may name memory; each node has that of this machine."""

    def _create_node_with_resources_and_labels(
        self, node_config: Any, tags: Any, count: Any, resources: dict[str, float], labels: Any
    ) -> Any:
        rest = {name: amount for name, amount in resources.items() if name != "memory"}
        return super()._create_node_with_resources_and_labels(
            node_config, tags, count, rest, labels
        )


class GrowingCluster:
    """The head of a cluster; each driver is another process."""

    def __init__(self, runtime: Path, env: dict[str, str]) -> None:
        self._runtime = runtime
        self.env = env

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a driver on the head."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, *command],
                env=self.env,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def num_workers(self) -> int:
        """Count the worker nodes that are up."""
        return sum(map(_is_worker_node, find_processes(self._runtime)))


def _is_worker_node(process: psutil.Process) -> bool:
    try:
        raylet = is_alive(process) and process.name() == "raylet"
        return raylet and "--head" not in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended in between
        return False


@contextmanager
def growing_cluster(
    home: Path, settings: Settings, node_types: Mapping[str, tuple[int, Mapping[str, float]]]
) -> Iterator[GrowingCluster]:
    """A head without CPUs; `node_types` are the most nodes of each, and what one of them has."""
    # Socket paths end at 107 bytes; pytest's directories can be longer.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    port, *agents = free_ports(1 + len(_AGENTS))
    address = get_node_ip_address()  # Ray puts it in the place of 127.0.0.1
    types = {
        name: {
            "resources": {**resources, "object_store_memory": 100 * 2**20},
            "node_config": {},
            "min_workers": 0,
            "max_workers": most,
        }
        for name, (most, resources) in node_types.items()
    }
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    # Ray's own class for this, `AutoscalingCluster`, needs a file that the wheel lacks, as does the
    # provider by its name, `fake_multinode`; and it ends every Ray of the machine.
    config = {
        "cluster_name": "grows",
        "max_workers": sum(most for most, _ in node_types.values()),
        "idle_timeout_minutes": IDLE_S / 60,
        "head_node_type": "ray.head.default",
        "available_node_types": {"ray.head.default": head, **types},
        **{key: {} for key in _REQUIRED_DICTS},
        **{key: [] for key in _REQUIRED_LISTS},
        "provider": {
            "type": "external",
            "module": f"{FakeNodes.__module__}.{FakeNodes.__name__}",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": _HEAD,
            "gcs_address": f"{address}:{port}",
        },
    }
    file = folder / "autoscaling.json"
    file.write_text(json.dumps(config))
    token = folder / "token"
    token.write_text("0" * 64)
    assert settings.s3_access_key is not None
    assert settings.s3_secret_key is not None
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PYTHONPATH": str(ROOT),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "AWS_ENDPOINT_URL": str(settings.s3_endpoint_url),
        "AWS_ACCESS_KEY_ID": settings.s3_access_key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_key.get_secret_value(),
        "AWS_DEFAULT_REGION": "us-east-1",
        "SRGAN_BUCKET": settings.bucket,
        "SRGAN_HOME": str(home),
        "SRGAN_RUNTIME": str(folder),  # by which its processes are found
        "SRGAN_CLUSTER_WAIT_S": "0",  # what is to come is waited for although this is over
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    of_head = {
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": _HEAD,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": _HEAD,
    }
    with (home / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "ray",
                "start",
                "--head",
                "--block",
                "--disable-usage-stats",
                f"--port={port}",
                *(f"--{name}={agent}" for name, agent in zip(_AGENTS, agents, strict=True)),
                "--include-dashboard=false",
                "--num-cpus=0",
                f"--object-store-memory={100 * 2**20}",
                f"--temp-dir={folder}/ray",
                f"--autoscaling-config={file}",
            ],
            env=env | of_head,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        said = (home / "head.log").read_text
        wait_until(
            lambda: "Ray runtime started" in said() or process.poll() is not None, "a head", 300
        )
        assert process.poll() is None, said()[-3000:]
        yield GrowingCluster(folder, env | {"RAY_ADDRESS": f"{address}:{port}"})
    finally:
        while ours := find_processes(folder):  # the autoscaler may just have started one
            end_processes(ours)
        process.wait()
        shutil.rmtree(folder)
