"""Ask Prefect's server what it has: work pools, workers, deployments, automations."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from srgan.errors import OrchestratorError, RefusedError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SIGN_IN = "Set PREFECT_API_AUTH_STRING to the user:password of Prefect's server"
"""Advice where the server refuses what this process sends as its password."""
_UNAUTHORIZED = 401
_PAGE = 200
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Worker:
    """A worker that has polled a pool."""

    name: str
    online: bool
    seen_at: datetime | None


@dataclass(frozen=True)
class WorkPool:
    """A work pool and its workers."""

    name: str
    kind: str
    paused: bool
    workers: tuple[Worker, ...]


@dataclass(frozen=True)
class Deployment:
    """A deployment as the server has it."""

    name: str
    entrypoint: str
    pool: str
    pull: list[dict[str, Any]]
    """Steps by which a worker gets the flows."""
    parameters: frozenset[str]


def server_version() -> str:
    """Return the version of the server; `OrchestratorError` if the address is not its API's."""
    with asking() as client:
        return client.api_version()


def read_pool(name: str) -> WorkPool | None:
    """Return a pool with its workers; None if there is none of that name."""
    from prefect.client.schemas.objects import WorkerStatus
    from prefect.exceptions import ObjectNotFound

    with asking() as client:
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            return None
        workers = client.read_workers_for_work_pool(name)
    found = (
        Worker(each.name, each.status == WorkerStatus.ONLINE, each.last_heartbeat_time)
        for each in workers
    )
    return WorkPool(name, pool.type, pool.is_paused, tuple(found))


def read_deployments() -> list[Deployment]:
    """Return every deployment of the server."""
    found: list[Any] = []
    with asking() as client:
        while len(page := client.read_deployments(limit=_PAGE, offset=len(found))) == _PAGE:
            found += page
    return [_as_deployment(each) for each in [*found, *page]]


def read_automations() -> dict[str, bool]:
    """Return whether each automation is enabled, by its name."""
    found: list[Any] = []
    with asking() as client:
        while len(page := client.read_automations(limit=_PAGE, offset=len(found))) == _PAGE:
            found += page
    return {each.name: each.enabled for each in [*found, *page]}


@contextmanager
def asking(*, timeout_s: float | None = _TIMEOUT_S) -> "Iterator[SyncPrefectClient]":
    """Yield a client; what goes wrong at the server is an `OrchestratorError`.

    It is a `RefusedError` if the server wants a password. With None, Prefect's own timeout counts.
    """
    from httpx import HTTPError, HTTPStatusError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        options = None if timeout_s is None else {"timeout": timeout_s}
        with get_client(options, sync_client=True) as client:
            yield client
    except (HTTPError, PrefectException, OSError, RuntimeError, ValueError) as error:
        status = error.response.status_code if isinstance(error, HTTPStatusError) else None
        if status == _UNAUTHORIZED:
            raise RefusedError(f"Prefect's server refuses the password. {SIGN_IN}") from error
        # ValueError: an answer that is not JSON, from a server that is not Prefect's.
        raise OrchestratorError(f"{type(error).__name__}: {error}") from error


def _as_deployment(found: Any) -> Deployment:
    schema = found.parameter_openapi_schema or {}
    return Deployment(
        name=found.name,
        entrypoint=found.entrypoint or "",
        pool=found.work_pool_name or "",
        pull=found.pull_steps or [],
        parameters=frozenset(schema.get("properties", {})),
    )
