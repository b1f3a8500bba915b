"""Submit, find and stop jobs on Ray's job server, and retry while it is away.

Ray's client reads the token itself: ``RAY_AUTH_MODE``, and ``RAY_AUTH_TOKEN`` or, without that,
``RAY_AUTH_TOKEN_PATH``. Never put secrets into a job: entrypoint, metadata and runtime_env stay
readable in its record.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from srgan.errors import ClusterError
from srgan.logs import without_password
from srgan.readable import Say

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

T = TypeVar("T")

DRIVER_MEMORY_BYTES = 2**30
"""Memory of the head that a job reserves, so that drivers cannot overrun it.

A training has the most there, 925 MiB resident: its driver 406, Ray Train's controller 379, Ray's
supervisor of the job 140. The driver of an evaluation has 344 MiB, that of a bulk run 174 MiB
(2026-11-29, Ray 2.60, torch 2.13 for CPUs).
"""

HEAD = "node:__internal_head__"
"""Resource that only the head has, 1 of it."""

DRIVER_SHARE = 0.001
"""Part of it that a driver reserves.

Ray starts a driver that reserves something on any node, unless it needs this. A head stays while
nodes with GPUs come and go, and a lost driver is a lost job.
"""

_REQUEST_TIMEOUT_S = 30.0
_STOP_LIMIT_S = 25.0
_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 15.0
_MOST_NODES = 10_000  # by default Ray's server lists 100, the dead ones among them
_OK = 200
_NOT_FOUND = 404
_SERVER_TROUBLE = 500  # and above; below, the request itself is refused
_ACTIVE = ("PENDING", "RUNNING")


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of the job server's list."""

    job_id: str
    status: str
    """``PENDING``, ``RUNNING``, ``STOPPED``, ``SUCCEEDED`` or ``FAILED``."""
    metadata: Mapping[str, str]
    message: str
    start_time_ms: int
    node_id: str | None
    """Node that the driver runs or ran on, which has its log; None until the driver starts."""

    @property
    def active(self) -> bool:
        """True while the job waits or runs."""
        return self.status in _ACTIVE


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster that is up."""

    node_id: str
    address: str
    resources: Mapping[str, float]
    """All that it has, by Ray's names (``CPU``, ``GPU``)."""


class RayJobs:
    """Jobs of one cluster; their metadata has ``run`` (what one makes) and ``root`` (its flow run).

    Those of a team run with its name in ``SRGAN_TEAM``, because a node that teams share has none.

    While the job server does not answer, requests are retried with growing pauses for `patience_s`
    seconds, because a head that restarts must not end a flow. After that, every method raises
    `ClusterError` with the address. `warn` is called at the first failure.
    """

    def __init__(
        self,
        address: str,
        *,
        team: str = "",
        patience_s: float = 300.0,
        warn: Say = lambda _: None,
    ) -> None:
        self.address = address
        self._shown = without_password(address)
        self._team = team
        self._patience_s = patience_s
        self._warn = warn
        self._client: JobSubmissionClient | None = None

    def submit(self, job_id: str, entrypoint: str, metadata: Mapping[str, str]) -> None:
        """Start a job under an id that was never used; repeating the request starts it once.

        It is PENDING until the head has `DRIVER_MEMORY_BYTES` to spare.
        """

        def request(client: "JobSubmissionClient") -> None:
            try:
                client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=job_id,
                    metadata={**metadata, **({"team": self._team} if self._team else {})},
                    runtime_env={"env_vars": {"SRGAN_TEAM": self._team}} if self._team else None,
                    entrypoint_memory=DRIVER_MEMORY_BYTES,
                    entrypoint_resources={HEAD: DRIVER_SHARE},
                )
            except _AnswerError:
                # If the answer to the first request got lost, the repeated one is refused with the
                # same code 500 as any other trouble of the server.
                if _find(client, job_id) is None:
                    raise

        self._ask(request)

    def find(self, job_id: str) -> Job | None:
        """Return a job by id; None if this cluster has never heard of it."""
        return self._ask(lambda client: _find(client, job_id))

    def status(self, job_id: str) -> str | None:
        """Return the status of a job; None if this cluster has never heard of it."""
        job = self.find(job_id)
        return job.status if job else None

    def jobs(self) -> list[Job]:
        """Return every job that the cluster remembers, oldest first."""
        listed = self._ask(lambda client: client.list_jobs())
        jobs = [_as_job(entry) for entry in listed if entry.submission_id]
        return sorted(jobs, key=lambda job: (job.start_time_ms, job.job_id))

    def nodes(self) -> list[Node]:
        """Return the nodes that are up."""
        return self._ask(_read_nodes)

    def active(self, run: str) -> str | None:
        """Return the id of the team's oldest active job that makes `run`, for any flow run."""
        for job in self.jobs():
            found = job.metadata.get("run"), job.metadata.get("team", "")
            if job.active and found == (run, self._team):
                return job.job_id
        return None

    def others(self, job_id: str) -> str:
        """Name the running jobs beside one, because it may be waiting for one of them."""
        running = [
            f"{job.metadata.get('stage', job.job_id)} of flow run {job.metadata.get('root', '?')}"
            for job in self.jobs()
            if job.status == "RUNNING" and job.job_id != job_id
        ]
        return f"the cluster runs {', '.join(running) or 'nothing else'}"

    def log(self, job: Job, num_lines: int) -> str | None:
        """Return the last lines of the log of the job's driver; the last may be written in part.

        None if the log cannot be read now (no retries).
        """
        if job.node_id is None:
            return None
        try:
            with _explained(self.address):
                return _read_log(self._connected(), job.job_id, job.node_id, num_lines)
        except (_AwayError, ClusterError):
            return None

    def tail(self, job_id: str, num_lines: int) -> list[str]:
        """Return the last lines of the job's log, or of its record if the log is lost."""
        job = self.find(job_id)
        if job is None:
            return []
        text = self.log(job, num_lines) or job.message
        return text.splitlines()[-num_lines:]

    def stop(self, job_id: str) -> None:
        """Ask Ray to end a job (SIGTERM, then SIGKILL); return before it has ended."""
        self._ask(lambda client: client.stop_job(job_id))

    def stop_root(self, root: str) -> list[str]:
        """Stop every job of a root flow run, wait for their end and return their ids."""
        return self.stop_all(lambda job: job.metadata.get("root") == root)

    def stop_all(self, chosen: Callable[[Job], bool]) -> list[str]:
        """Stop every active job that is `chosen`, wait for their end and return their ids.

        Ray ends a job that waits for memory of the head when its turn comes, so after 25
        seconds those are left to it. `ClusterError` with those that still run by then.
        """
        stopped: list[str] = []
        deadline = time.monotonic() + _STOP_LIMIT_S
        # Look once more after the last has ended: a new job may have been on its way to the server.
        while left := [job for job in self.jobs() if job.active and chosen(job)]:
            for job in left:
                if job.job_id not in stopped:
                    stopped.append(job.job_id)
                self.stop(job.job_id)
            if time.monotonic() > deadline:
                running = [job.job_id for job in left if job.status == "RUNNING"]
                if running:
                    raise ClusterError(
                        f"did not stop within {_STOP_LIMIT_S:.0f} s: {', '.join(running)}"
                    )
                break
            time.sleep(1.0)
        return stopped

    def _connected(self) -> "JobSubmissionClient":
        if self._client is None:
            self._client = _connect(self.address)
        return self._client

    def _ask(self, request: Callable[["JobSubmissionClient"], T]) -> T:
        began = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        warned = False
        while True:
            try:
                with _explained(self.address):
                    return request(self._connected())
            except _AwayError as error:
                away_s = time.monotonic() - began
                if away_s > self._patience_s:
                    raise ClusterError(
                        f"Ray's job server at {self._shown} has not answered for "
                        f"{away_s:.0f} s. Is RAY_ADDRESS right and the cluster up? {error}"
                    ) from error
                if not warned:
                    warned = True
                    self._warn(f"Ray's job server at {self._shown} does not answer; asking again")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)


class _AnswerError(Exception):
    """The job server answered a request with an HTTP error."""

    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(f"status code {status_code}: {text}")
        self.status_code = status_code


class _AwayError(Exception):
    """The job server cannot answer at present; it may later."""


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Map errors of Ray's client: `ClusterError` if a retry would not help, else `_AwayError`."""
    from ray.exceptions import AuthenticationError, RpcError

    shown = without_password(address)
    try:
        yield
    except AuthenticationError as error:
        raise ClusterError(
            f"{shown} refuses the token: RAY_AUTH_MODE, and RAY_AUTH_TOKEN or else "
            "RAY_AUTH_TOKEN_PATH, must be those that the cluster was started with"
        ) from error
    except _AnswerError as error:
        if error.status_code < _SERVER_TROUBLE:
            raise ClusterError(f"{shown} refused a request: {error}") from error
        raise _AwayError(str(error)) from error
    except (RuntimeError, OSError, RpcError) as error:
        # OSError: no answer. RuntimeError: an answer that did not come from a job server.
        # RpcError: the cluster whose job server was to be found is gone.
        raise _AwayError(str(error).replace(address, shown)) from error


def _connect(address: str) -> "JobSubmissionClient":
    # The import costs a second, which processes without jobs need not pay.
    from ray.dashboard.modules.job.sdk import JobSubmissionClient as Base

    class Client(Base):
        """Ray's client with a time limit for requests, and errors with their status codes."""

        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            return super()._do_request(method, endpoint, timeout=_REQUEST_TIMEOUT_S, **options)

        def _raise_error(self, r: Any) -> NoReturn:
            raise _AnswerError(r.status_code, r.text)

    return Client(address)


def _find(client: "JobSubmissionClient", job_id: str) -> Job | None:
    try:
        return _as_job(client.get_job_info(job_id))
    except _AnswerError as error:
        if error.status_code == _NOT_FOUND:
            return None
        raise


def _read_log(client: "JobSubmissionClient", job_id: str, node_id: str, num_lines: int) -> str:
    """Return the last lines of a driver's log, from the agent of its node.

    The job server's own request for logs returns the whole log, and its websocket begins at the
    first line.
    """
    from ray.dashboard.modules.job.common import JOB_LOGS_PATH_TEMPLATE

    name = JOB_LOGS_PATH_TEMPLATE.format(submission_id=job_id)
    asked: dict[str, Any] = {"node_id": node_id, "filename": name, "lines": num_lines}
    answer = client._do_request("GET", "/api/v0/logs/file", params=asked)
    if answer.status_code != _OK:
        raise _AnswerError(answer.status_code, answer.text)
    return answer.content.decode(errors="replace")


def _read_nodes(client: "JobSubmissionClient") -> list[Node]:
    asked: dict[str, Any] = {"limit": _MOST_NODES}
    answer = client._do_request("GET", "/api/v0/nodes", params=asked)
    if answer.status_code != _OK:
        raise _AnswerError(answer.status_code, answer.text)
    return [
        Node(each["node_id"], each["node_ip"], each["resources_total"])
        for each in answer.json()["data"]["result"]["result"]
        if each["state"] == "ALIVE"
    ]


def _as_job(details: Any) -> Job:
    return Job(
        job_id=details.submission_id,
        status=str(details.status),
        metadata=details.metadata or {},
        message=details.message or "",
        start_time_ms=details.start_time or 0,
        node_id=details.driver_node_id,
    )
