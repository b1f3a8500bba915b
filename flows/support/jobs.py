"""A piece of heavy work as a Ray job: submit, follow, attach again, try again, stop.

Job ids are ``<root flow run>-<stage>-<attempt>``. They belong to the root run because a rerun
parent gets new runs for its nested flows; and they count on, because Ray refuses a used id for
ever.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from prefect.runtime import flow_run as current_flow_run
from pydantic import BaseModel

from flows.support.following import follow, relevant
from srgan.errors import ClusterError
from srgan.jobs.failure import read_failure
from srgan.keys import job_key
from srgan.refs import to_json
from srgan.services.ray_jobs import Job, RayJobs
from srgan.services.s3 import S3Store, open_store
from srgan.settings import Settings
from srgan.version import release_version

_TAIL_LINES = 30


def run_job(
    *,
    stage: str,
    run: str,
    module: str,
    spec: BaseModel,
    spec_key: str,
    progress_key: str | None = None,
    max_attempts: int = 3,
    supersedes: tuple[str, ...] = (),
) -> None:
    """Have `run` made by ``python -m <module> <spec_key> <job_id>`` on the cluster.

    Attaches to a pending or running job that makes the same `run`, whoever started it; takes the
    success of an earlier attempt of this root flow run; otherwise submits. After a failure the
    next attempt follows, `max_attempts` times without a step more than before (by the object at
    `progress_key`), then `ClusterError` with the last lines of the log; at once where the job
    left a failure that is hopeless. A job of this flow run that was stopped is not started again
    within this life.

    `supersedes` are beginnings of stages whose runs are named by the code. Before it submits, it
    stops what an earlier life of this flow run has other code make of them: nobody asks for those
    runs again, and they hold the GPUs that this one needs. A run that keeps its name is followed.
    """
    settings = Settings()
    logger = get_run_logger()
    jobs = RayJobs(settings.require("ray_address"), warn=logger.warning)
    store = open_store(settings)
    work = _Work(
        stage=stage,
        run=run,
        module=module,
        spec=spec,
        spec_key=spec_key,
        root=root_flow_run_id(),
        supersedes=supersedes,
        jobs=jobs,
        store=store,
        say=logger.info,
    )
    reason, why, lines = "", "", list[str]()
    failures, best = 0, _step(store, progress_key)
    while failures < max_attempts:
        job_id, attached = work.attach_or_submit()
        status = follow(
            jobs, job_id, store=store, stage=stage, progress_key=progress_key, attached=attached
        )
        if status == "SUCCEEDED":
            logger.info("%s: job %s succeeded", stage, job_id)
            return
        if status == "STOPPED" and work.owns(job_id):
            raise ClusterError(f"{stage}: job {job_id} was stopped; start the flow again to go on")
        failure = read_failure(store, spec_key, job_id)
        lines = relevant("\n".join(jobs.tail(job_id, _TAIL_LINES)))
        why = str(failure) if failure else "".join(lines[-1:])
        reason = f"{stage}: job {job_id} ended as {status or 'unknown to the cluster'}"
        if failure and failure.hopeless:
            raise ClusterError(f"{reason}, and trying again would not help: {failure}")
        # A job that got further than those before it has earned all attempts: a week's training
        # may lose its driver more than three times.
        step = _step(store, progress_key)
        failures = 1 if step > best else failures + 1
        best = max(best, step)
        if failures < max_attempts:
            logger.warning("%s; starting the next attempt. %s", reason, why)
    raise ClusterError("\n".join([f"{reason}, as did {max_attempts} attempts: {why}", *lines]))


def _step(store: S3Store, progress_key: str | None) -> int:
    """How far a run has come in any attempt; -1 where nothing says so."""
    found = store.find(progress_key) if progress_key else None
    return int(json.loads(found)["step"]) if found else -1


def root_flow_run_id() -> str:
    """Id of the outermost flow run around the caller; works in nested flows and in tasks."""
    return str(current_flow_run.root_flow_run_id)


def is_root_run() -> bool:
    """Whether the caller's flow was started by itself, not by another flow."""
    return str(current_flow_run.id) == root_flow_run_id()


def stop_jobs(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """``on_cancellation`` hook of every flow that has a deployment: stop all its Ray jobs.

    Prefect runs it outside of the flow's process, for the root run alone, after that process has
    ended.
    """
    logger = flow_run_logger(flow_run, flow)
    jobs = RayJobs(Settings().require("ray_address"), patience_s=20.0, warn=logger.warning)
    stopped = jobs.stop_root(str(flow_run.id))
    logger.info("Stopped Ray jobs: %s", ", ".join(stopped) or "none was running")


@dataclass(frozen=True)
class _Work:
    """What is to be made, and for whom."""

    stage: str
    run: str
    module: str
    spec: BaseModel
    spec_key: str
    root: str
    supersedes: tuple[str, ...]
    jobs: RayJobs
    store: S3Store
    say: Callable[..., None]

    def owns(self, job_id: str) -> bool:
        """Whether a job was started for this root flow run."""
        return job_id.startswith(f"{self.root}-")

    def attach_or_submit(self) -> tuple[str, bool]:
        """Id of the job to follow, and whether it had been there before."""
        running = self.jobs.active(self.run)
        if running is not None:
            whose = "this flow run" if self.owns(running) else "another flow run"
            self.say("%s: attaching to job %s, started by %s", self.stage, running, whose)
            return running, True
        job_id, finished = self._next_id()
        if finished:
            self.say("%s: job %s has already finished", self.stage, job_id)
            return job_id, True
        self._stop_other_code()
        self._submit(job_id)
        # Two flow runs may have looked at the same moment: all of them keep the oldest job.
        oldest = self.jobs.active(self.run)
        if oldest is not None and oldest != job_id and not self.owns(oldest):
            self.jobs.stop(job_id)
            self.say("%s: attaching to job %s, which was a moment faster", self.stage, oldest)
            return oldest, True
        self.say("%s: submitted job %s, which makes runs/%s", self.stage, job_id, self.run)
        return job_id, False

    def _stop_other_code(self) -> None:
        def is_superseded(job: Job) -> bool:
            told = job.metadata
            return (
                told.get("root") == self.root
                and told.get("stage", "").startswith(self.supersedes)
                and told.get("release") != release_version()
            )

        for job_id in self.jobs.stop_all(is_superseded):
            self.say("%s: stopped job %s, which other code had begun", self.stage, job_id)

    def _submit(self, job_id: str) -> None:
        self.store.put(self.spec_key, to_json(self.spec), content_type="application/json")
        self.store.put(self._used_key(job_id), b"")
        arguments = shlex.join(["-m", self.module, self.spec_key, job_id])
        self.jobs.submit(
            job_id,
            f"python {arguments}",  # whichever the Ray node has
            {
                "run": self.run,
                "root": self.root,
                "stage": self.stage,
                "release": release_version(),
            },
        )

    def _next_id(self) -> tuple[str, bool]:
        """The first id that was never used, or one that has succeeded (and True).

        A cluster whose head was restarted has forgotten its ids, but Ray Train still finds what
        it stored under one and would not begin anew; so the bucket remembers them too.
        """
        attempt = 1
        while True:
            job_id = f"{self.root}-{self.stage}-{attempt}"
            status = self.jobs.status(job_id)
            if status == "SUCCEEDED":
                return job_id, True
            if status is None and self.store.head(self._used_key(job_id)) is None:
                return job_id, False
            attempt += 1

    def _used_key(self, job_id: str) -> str:
        return job_key(self.run, job_id)
