"""Have a Ray job do heavy work: submit, follow, attach again, try again, stop.

Job ids are ``<root flow run>-<label>-<number>``. They name the root run, because a flow that is put
back gets new runs for its nested flows. The number goes up, because Ray never takes an id twice.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run as current_flow_run
from pydantic import BaseModel

from flows.support.following import JobProgressBar, follow, relevant
from srgan.errors import ClusterError
from srgan.jobs.failure import read_failure
from srgan.keys import job_key, spec_key
from srgan.logs import parse
from srgan.progress import find_progress
from srgan.readable import Say
from srgan.refs import to_json
from srgan.services.ray_jobs import Job, RayJobs
from srgan.services.s3 import S3Store
from srgan.version import release_version
from srgan.versions.services import Services, open_services

_TAIL_LINES = 30
_MAX_ATTEMPTS = 3
_PATIENCE_S = 20.0  # with Ray, when a person waits for a cancellation


def run_job(
    *,
    services: Services,
    label: str,
    run: str,
    module: str,
    spec: BaseModel,
    shows_progress: bool = False,
    supersedes: tuple[str, ...] = (),
    takes_success: bool = True,
    before_submit: Callable[[], None] = lambda: None,
) -> None:
    """Have ``python -m <module> <key of the spec> <job_id>`` make `run` on the cluster.

    Attaches to a pending or running job that makes the same `run`, whichever flow run started it;
    takes the success of an earlier job of this root flow run; otherwise submits one. If a job
    fails, another one follows. After three jobs that come no further than those before
    (by the progress of the run, which is an artifact too if `shows_progress`) it raises
    `ClusterError` with the last lines of the log; at once if the job left a hopeless failure. If a
    job of this flow run was stopped, this attempt of the flow run does not start it again.

    `label` names the job for people, in lines of the log and in its id.

    `supersedes` are the beginnings of labels whose runs are named by the code. Jobs with such
    labels that an earlier attempt of this flow run started with other code are stopped before one
    is submitted: their runs are not asked for again, and they hold the GPUs that this one needs. A
    run that keeps its name is followed.

    `takes_success` is False where a job may succeed and leave something to do: what the caller asks
    for is what earlier jobs left, so their success says nothing about it. `before_submit` is called
    before each job is submitted, and not where one is attached to.
    """
    logger, store = get_run_logger(), services.store
    settings = services.settings
    jobs = RayJobs(settings.require("ray_address"), team=settings.team, warn=logger.warning)
    work = _Work(
        label=label,
        run=run,
        module=module,
        spec=spec,
        root=root_flow_run_id(),
        supersedes=supersedes,
        takes_success=takes_success,
        before_submit=before_submit,
        jobs=jobs,
        store=store,
        say=logger.info,
    )
    reason, why, lines = "", "", list[str]()
    failures, best = 0, _step(store, run)
    while failures < _MAX_ATTEMPTS:
        job_id, attached = work.attach_or_submit()
        status = follow(
            jobs,
            job_id,
            label=label,
            bar=JobProgressBar(store, run, label) if shows_progress else None,
            attached=attached,
        )
        if status == "SUCCEEDED":
            logger.info("%s: job %s succeeded", label, job_id)
            return
        if status == "STOPPED" and work.owns(job_id):
            raise ClusterError(f"{label}: job {job_id} was stopped; start the flow again to go on")
        failure = read_failure(store, spec_key(run), job_id)
        tail = relevant("\n".join(jobs.tail(job_id, _TAIL_LINES)))
        lines = [parse(line)[1] for line in tail]
        why = str(failure) if failure else "".join(lines[-1:])
        reason = f"{label}: job {job_id} ended as {status or 'unknown to the cluster'}"
        if failure and failure.hopeless:
            raise ClusterError(f"{reason}, and trying again would not help: {failure}")
        # A job that got further than those before it gets all attempts: a week's training may lose
        # its driver more than three times.
        step = _step(store, run)
        failures = 1 if step > best else failures + 1
        best = max(best, step)
        if failures < _MAX_ATTEMPTS:
            logger.warning("%s; starting the next attempt. %s", reason, why)
    raise ClusterError("\n".join([f"{reason}, as did {_MAX_ATTEMPTS} attempts: {why}", *lines]))


def _step(store: S3Store, run: str) -> int:
    """Return how far any job has come with a run; -1 if that is not known."""
    found = find_progress(store, run)
    return found.step if found else -1


def root_flow_run_id() -> str:
    """Return the id of the outermost flow run around the caller, a nested flow or a task."""
    return str(current_flow_run.root_flow_run_id)


def is_root_run() -> bool:
    """Return whether the caller's flow was started by itself, not by another flow."""
    return str(current_flow_run.id) == root_flow_run_id()


def stop_jobs(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """Stop all Ray jobs of a cancelled flow run; the ``on_cancellation`` hook of flows with jobs.

    Prefect runs it outside the flow's process, for the root run only, after that process has ended.
    """
    logger = flow_run_logger(flow_run, flow)
    stopped = stop_jobs_of(flow_run.id, logger.warning)
    logger.info("Stopped Ray jobs: %s", ", ".join(stopped) or "none")


def stop_jobs_of(flow_run_id: UUID, warn: Say) -> list[str]:
    """Stop all Ray jobs of a root flow run and return their ids."""
    address = open_services().settings.require("ray_address")
    return RayJobs(address, patience_s=_PATIENCE_S, warn=warn).stop_root(str(flow_run_id))


@dataclass(frozen=True)
class _Work:
    """One run to make, and the flow run that asks for it."""

    label: str
    run: str
    module: str
    spec: BaseModel
    root: str
    supersedes: tuple[str, ...]
    takes_success: bool
    before_submit: Callable[[], None]
    jobs: RayJobs
    store: S3Store
    say: Callable[..., None]

    def owns(self, job_id: str) -> bool:
        """Return whether a job was started for this root flow run."""
        return job_id.startswith(f"{self.root}-")

    def attach_or_submit(self) -> tuple[str, bool]:
        """Return the id of the job to follow, and whether it was there before."""
        running = self.jobs.active(self.run)
        if running is not None:
            whose = "this flow run" if self.owns(running) else "another flow run"
            self.say("%s: attaching to job %s, started by %s", self.label, running, whose)
            return running, True
        job_id, finished = self._next_id()
        if finished:
            self.say("%s: job %s has already finished", self.label, job_id)
            return job_id, True
        self._stop_other_code()
        self.before_submit()
        self._submit(job_id)
        # Two flow runs may have looked at the same moment: both keep the oldest job.
        oldest = self.jobs.active(self.run)
        if oldest is not None and oldest != job_id and not self.owns(oldest):
            self.jobs.stop(job_id)
            self.say("%s: attaching to job %s, which was a moment faster", self.label, oldest)
            return oldest, True
        self.say("%s: submitted job %s, which makes runs/%s", self.label, job_id, self.run)
        return job_id, False

    def _stop_other_code(self) -> None:
        def is_superseded(job: Job) -> bool:
            started = job.metadata
            return (
                started.get("root") == self.root
                and started.get("stage", "").startswith(self.supersedes)
                and started.get("release") != release_version()
            )

        for job_id in self.jobs.stop_all(is_superseded):
            self.say("%s: stopped job %s, which other code had begun", self.label, job_id)

    def _submit(self, job_id: str) -> None:
        key = spec_key(self.run)
        self.store.put(key, to_json(self.spec), content_type="application/json")
        self.store.put(job_key(self.run, job_id), b"")
        arguments = shlex.join(["-m", self.module, key, job_id])
        self.jobs.submit(
            job_id,
            f"python {arguments}",  # the Ray node's own Python
            {
                "run": self.run,
                "root": self.root,
                "stage": self.label,  # so earlier releases called it, whose jobs are found by it
                "release": release_version(),
            },
        )

    def _next_id(self) -> tuple[str, bool]:
        """Return the first id that was never used, or one whose success is taken (and True).

        A cluster whose head was restarted has forgotten its ids, but Ray Train still finds what it
        stored under one and would not start afresh, so the bucket remembers them too.
        """
        number = 1
        while True:
            job_id = f"{self.root}-{self.label}-{number}"
            status = self.jobs.status(job_id)
            if status == "SUCCEEDED" and self.takes_success:
                return job_id, True
            if status is None and self.store.head(job_key(self.run, job_id)) is None:
                return job_id, False
            number += 1
