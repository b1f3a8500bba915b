"""Check each service by a real request."""

import json
import urllib.error
import urllib.request
from typing import Any

from srgan.stack.environment import POOL
from srgan.stack.state import StackState

_TIMEOUT_S = 3.0
# No proxy: all of these are on loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(service: str, state: StackState) -> bool:
    """Return True if `service` works now; False if its answer is refused or late."""
    probe = {
        "s3": _s3_answers,
        "prefect": _prefect_answers,
        "mlflow": _mlflow_answers,
        "ray": _ray_answers,
        "worker": _worker_answers,
    }[service]
    try:
        return probe(state)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _s3_answers(state: StackState) -> bool:
    """True if it asks for credentials, and the volumes behind it are known.

    After a restart it answers before its objects can be read.
    """
    topology = json.loads(_get(state.url("master") + "/dir/status"))["Topology"]
    if not any(rack["DataNodes"] for each in topology["DataCenters"] for rack in each["Racks"]):
        return False
    try:
        _get(state.url("s3") + "/")
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 403  # it wants credentials, so its identities are loaded
    return False


def _prefect_answers(state: StackState) -> bool:
    return json.loads(_get(state.url("prefect") + "/api/health")) is True


def _mlflow_answers(state: StackState) -> bool:
    return _get(state.url("mlflow") + "/health") == b"OK"


def _ray_answers(state: StackState) -> bool:
    """True if the job server takes our token, and there is a node to give jobs to.

    On a busy machine the server is up long before the node.
    """
    token = {"Authorization": f"Bearer {state.ray_token_path.read_text().strip()}"}
    jobs = json.loads(_get(state.url("ray") + "/api/jobs/", token))
    nodes = json.loads(_get(state.url("ray") + "/api/v0/nodes", token))
    alive = [node for node in nodes["data"]["result"]["result"] if node["state"] == "ALIVE"]
    return isinstance(jobs, list) and bool(alive)


def _worker_answers(state: StackState) -> bool:
    """True if it says that it polls, and the server knows it."""
    _get(state.url("worker") + "/health")
    workers = _post(f"{state.url('prefect')}/api/work_pools/{POOL}/workers/filter", {})
    return any(worker["status"] == "ONLINE" for worker in json.loads(workers))


def _get(url: str, headers: dict[str, str] | None = None) -> bytes:
    return _send(urllib.request.Request(url, headers=headers or {}))  # noqa: S310 - our own URL


def _post(url: str, body: dict[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    data = json.dumps(body).encode()
    return _send(urllib.request.Request(url, data, headers))  # noqa: S310 - our own URL


def _send(request: urllib.request.Request) -> bytes:
    with _opener.open(request, timeout=_TIMEOUT_S) as answer:
        body = answer.read()
    assert isinstance(body, bytes)
    return body
