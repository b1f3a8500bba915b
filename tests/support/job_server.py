"""A job server that speaks Ray's REST interface, with jobs that do as a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ray

_NODE = "0a1b2c"
"""Id of the node that all drivers run on."""


@dataclass
class ServedJob:
    """One job: its future statuses (the last one stays), its log, what it was submitted with."""

    statuses: list[str]
    log: str = ""
    entrypoint: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    reserved: dict[str, float] = field(default_factory=dict)
    stops: bool = True
    """False: it goes on when it is asked to stop."""
    start_time: int = 0

    def next_status(self) -> str:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


class JobServer:
    """Answers over HTTP on a free loopback port; `script` decides how a submitted job goes."""

    def __init__(self) -> None:
        self.jobs: dict[str, ServedJob] = {}
        self.script: Callable[[str], ServedJob] = lambda job_id: ServedJob(["RUNNING"])
        self.away = 0
        """How many of the next requests are answered with an error 503."""
        self.lost_answers = 0
        """How many of the next submissions are served, but answered with an error."""
        self.trouble: list[tuple[int, str]] = []
        """Status codes and texts that the next requests, but for the version, are answered with."""
        self.bodies: list[bytes] = []
        self.log_lines_asked: list[int] = []
        """How many lines each request for a log asked for."""
        self.nodes: dict[str, dict[str, float]] = {"10.0.0.7": {"CPU": 4.0}}
        """Resources of each node that is up, by its address."""
        self.address = ""

    def put(self, job_id: str, *statuses: str, log: str = "", **metadata: str) -> ServedJob:
        """A job that is there already."""
        job = ServedJob(list(statuses), log, metadata=metadata, start_time=len(self.jobs))
        self.jobs[job_id] = job
        return job

    def submit(self, body: dict[str, Any]) -> tuple[int, Any]:
        job_id = body["submission_id"]
        if job_id in self.jobs:
            return 500, f"Job with submission_id {job_id} already exists."
        job = self.script(job_id)
        job.entrypoint, job.metadata = body["entrypoint"], body["metadata"]
        job.reserved = {"memory": body["entrypoint_memory"], **body["entrypoint_resources"]}
        job.start_time = len(self.jobs)
        self.jobs[job_id] = job
        if self.lost_answers:
            self.lost_answers -= 1
            return 500, "the answer got lost"
        return 200, {"submission_id": job_id, "job_id": job_id}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        self.bodies.append(body)
        if self.away:
            self.away -= 1
            return 503, "the head restarts"
        if self.trouble and path != "/api/version":
            return self.trouble.pop(0)
        match method, urlsplit(path).path.strip("/").split("/")[1:]:
            case "GET", ["version"]:
                return 200, {"version": "4", "ray_version": ray.__version__, "ray_commit": ""}
            case "POST", ["jobs"]:
                return self.submit(json.loads(body))
            case "GET", ["jobs"]:
                return 200, [self._details(job_id, job) for job_id, job in self.jobs.items()]
            case "GET", ["v0", "logs", "file"]:
                return self._log(**parse_qs(urlsplit(path).query))
            case "GET", ["v0", "nodes"]:
                return 200, {"data": {"result": {"result": self._nodes()}}}
            case _, ["jobs", job_id, *what] if job_id in self.jobs:
                return 200, self._about(job_id, what)
        return 404, f"{path} does not exist"

    def _about(self, job_id: str, what: list[str]) -> Any:
        job = self.jobs[job_id]
        if what == ["stop"]:
            job.statuses = ["STOPPED"] if job.stops else job.statuses
            return {"stopped": True}
        job_now = self._details(job_id, job)
        return job_now | {"status": job.next_status()}

    def _nodes(self) -> list[dict[str, Any]]:
        gone = {"node_id": "gone", "node_ip": "10.0.0.1", "state": "DEAD", "resources_total": {}}
        return [
            {"node_id": ip, "node_ip": ip, "state": "ALIVE", "resources_total": resources}
            for ip, resources in self.nodes.items()
        ] + [gone]

    def _log(self, node_id: list[str], filename: list[str], lines: list[str]) -> tuple[int, str]:
        job_id = filename[0].removeprefix("job-driver-").removesuffix(".log")
        if node_id != [_NODE] or job_id not in self.jobs:
            return 500, f"A file is not found at: {filename[0]}"
        self.log_lines_asked.append(int(lines[0]))
        written = self.jobs[job_id].log.splitlines(keepends=True)
        return 200, "".join(written[-int(lines[0]) :])

    @staticmethod
    def _details(job_id: str, job: ServedJob) -> dict[str, Any]:
        return {
            "type": "SUBMISSION",
            "submission_id": job_id,
            "job_id": None,
            "status": job.statuses[0],
            "entrypoint": job.entrypoint,
            "metadata": job.metadata,
            "message": f"record of {job_id}",
            "start_time": job.start_time,
            "driver_node_id": None if job.statuses[0] == "PENDING" else _NODE,
        }


@contextmanager
def serve() -> Iterator[JobServer]:
    """A running `JobServer`."""
    server = JobServer()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, content = server.answer(self.command, self.path, body)
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _reply  # noqa: N815  # the names that http.server asks for

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.address = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
