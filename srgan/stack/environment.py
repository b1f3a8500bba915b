"""Environment variables of shells that use the services, and of the services themselves."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from srgan.errors import StackError
from srgan.keys import mlflow_folder
from srgan.settings import Settings, inherited_environment
from srgan.stack.state import StackState

BUCKET = "srgan"
POOL = "srgan"
LEASE_STORAGE = "prefect.server.concurrency.lease_storage.filesystem"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU time that a container gets in each period, and the period."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""Folder of the packages `srgan` and `flows`: a checkout, or where pip has put them."""


def deployments_file() -> Path:
    """Return ``prefect.yaml``, which lies in a checkout or where a wheel puts its data files."""
    user = sysconfig.get_preferred_scheme("user")  # `pip install --user`
    data = [sysconfig.get_path("data"), sysconfig.get_path("data", user)]
    places = [CHECKOUT, *(Path(each, "share", "srgan") for each in data)]
    found = [place / "prefect.yaml" for place in places if (place / "prefect.yaml").exists()]
    if not found:
        raise StackError(
            f"there is no prefect.yaml in {' or '.join(map(str, places))}: install srgan again"
        )
    return found[0]


def shell_environment(state: StackState) -> dict[str, str]:
    """Return variables with which flows, `prefect`, `mlflow` and `ray job` find the services."""
    # Otherwise a company's proxy would be asked for 127.0.0.1.
    direct = _without_proxy(inherited_environment())
    public = Settings().prefect_public_url
    return {
        "AWS_ENDPOINT_URL": state.url("s3"),
        "AWS_ACCESS_KEY_ID": state.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": state.s3_secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "SRGAN_BUCKET": BUCKET,
        # These services are one person's; a shell may set a team again, to try how it is.
        "SRGAN_TEAM": "",
        "SRGAN_HOME": str(state.home),
        "PREFECT_API_URL": f"{state.url('prefect')}/api",
        "PREFECT_HOME": str(state.home / "prefect"),
        # For links that Prefect makes itself: in its notifications and commands.
        **({"PREFECT_UI_URL": public} if public else {}),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # A server whose database is busy answers so; without it a flow ends at once.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
        "MLFLOW_TRACKING_URI": state.url("mlflow"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Commands say themselves what they have registered, and where.
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "RAY_ADDRESS": state.url("ray"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(state.ray_token_path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def search_path() -> str:
    """Return where the services' programs are looked for: first beside this Python."""
    programs = str(Path(sys.executable).parent)
    return os.pathsep.join([programs, inherited_environment().get("PATH", os.defpath)])


def service_environment(state: StackState) -> dict[str, str]:
    """Return the environment of supervisor, and so of every service and job on the Ray node."""
    inherited = inherited_environment()
    return {
        **inherited,
        **shell_environment(state),
        "PATH": search_path(),
        "PYTHONUNBUFFERED": "1",
        # By default leases are in memory, and a restarted server would never free taken slots.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASE_STORAGE,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_own_pages(state)),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(state.ports["worker"]),
        "MLFLOW_S3_ENDPOINT_URL": state.url("s3"),
        # Would start seven processes, 600 MB, for background jobs that nothing here uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # A stopping head would wait 30 s for its jobs to move to another node; there is none.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        # A driver that does not fit the head's memory waits. By default it fails after 15 minutes.
        "RAY_JOB_START_TIMEOUT_SECONDS": str(7 * 24 * 3600),
        "SRGAN_RUNTIME": str(state.runtime),
        "SRGAN_MLFLOW_DATABASE": f"sqlite:///{state.home}/mlflow/mlflow.db",
        "SRGAN_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/{mlflow_folder()}",
        # So that two training workers fit even on one core.
        "SRGAN_NUM_CPUS": str(max(2, _usable_cpus())),
        **{f"SRGAN_PORT_{name.upper()}": str(port) for name, port in state.ports.items()},
    }


def _usable_cpus() -> int:
    """Return how many CPUs this process may use, in a container or an allocation too."""
    # macOS has no affinity.
    has_affinity = hasattr(os, "sched_getaffinity")
    allowed = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    try:
        quota, period = map(int, _QUOTA.read_text().split())
    except (OSError, ValueError):  # without cgroups, or `max`
        return allowed
    return min(allowed, quota // period)


def _own_pages(state: StackState) -> list[str]:
    """Return the origins of Prefect's own pages, as people open them.

    By default pages of any origin may speak to Prefect's API, and so have the worker run code.
    """
    port = state.ports["prefect"]
    public = Settings().prefect_public_url
    address = urlsplit(public or state.url("prefect"))
    pages = [
        state.url("prefect"),
        f"http://localhost:{port}",
        f"{address.scheme}://{address.netloc}",
    ]
    return list(dict.fromkeys(pages))


def _without_proxy(inherited: Mapping[str, str]) -> str:
    """Hosts to reach without a proxy: those of both spellings, and this machine."""
    given = ",".join(inherited.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    hosts = [name for each in given if (name := each.strip())]
    if "*" in hosts:
        return "*"  # every host; Python does not read it so beside others
    return ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))
