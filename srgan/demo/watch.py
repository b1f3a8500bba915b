"""Start a deployment and follow its run: activity, progress, end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    TaskRunFilter,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import TaskRunSort
from prefect.states import Cancelling

from srgan.errors import StorageError
from srgan.progress import Progress, StageProgress, find_progress
from srgan.readable import duration
from srgan.services.ray_jobs import Job, RayJobs
from srgan.storage import ObjectStore

_POLL_S = 1.0
_CANCEL_LIMIT_S = 60.0
_TITLES = {
    "prepare": "cutting the photos into crops",
    "find_changes": "looking for new photos",
    "pretrain": "training: generator on pixels",
    "adversarial": "training: generator against discriminator",
    "evaluate": "measuring on the held-out crops",
    "publish_version": "registering the model",
    "promote": "deciding on the promotion",
    "upscale": "upscaling",
}
"""Activities that take time, in words, by the names of flows, tasks and stages."""


@dataclass(frozen=True)
class Moment:
    """Current activity of a run."""

    doing: str
    step: int = 0
    steps: int = 0
    """0 if there is nothing to count."""
    detail: str = ""


class StoppedByUserError(Exception):
    """The user pressed Ctrl-C; the run has been cancelled."""


class RunWatch:
    """One flow run of a deployment on the local stack."""

    def __init__(self, client: SyncPrefectClient, jobs: RayJobs, store: ObjectStore) -> None:
        self._client = client
        self._jobs = jobs
        self._store = store

    def run(
        self, deployment: str, parameters: dict[str, Any], show: Callable[[Moment], None]
    ) -> FlowRun:
        """Start `deployment`, call `show` until it ends, and return the run, failed or not.

        Ctrl-C cancels the run, waits for its end and raises `StoppedByUserError`.
        """
        target = self._client.read_deployment_by_name(deployment)
        run = self._client.create_flow_run_from_deployment(
            target.id,
            parameters=parameters,
            # Prefect's client repeats a request whose answer was lost or a 500.
            idempotency_key=uuid4().hex,
        )
        try:
            while run.state is None or not run.state.is_final():
                if moment := self._look(run):
                    show(moment)
                time.sleep(_POLL_S)
                run = self._client.read_flow_run(run.id)
        except KeyboardInterrupt:
            self._cancel(run.id)
            raise StoppedByUserError from None
        return run

    def _look(self, run: FlowRun) -> Moment | None:
        """Return what the run does; None between two steps."""
        if run.state is None or run.state.type in (StateType.SCHEDULED, StateType.PENDING):
            return Moment("waiting for the worker to start the flow")
        root = str(run.id)
        active = [j for j in self._jobs.jobs() if j.active and j.metadata.get("root") == root]
        if active:
            return self._look_at_job(active[-1])
        doing = self._running_task(run.id)
        return Moment(doing) if doing else None

    def _look_at_job(self, job: Job) -> Moment:
        stage = job.metadata.get("stage", "")
        doing = title(stage) or stage
        try:
            found = find_progress(self._store, job.metadata["run"])
        except StorageError:
            found = None
        if found is None:
            return Moment(doing, detail="starting")
        return moment_of(doing, found)

    def _running_task(self, run_id: UUID) -> str | None:
        running = self._client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
            task_run_filter=TaskRunFilter(
                state={"type": TaskRunFilterStateType(any_=[StateType.RUNNING])}
            ),
            sort=TaskRunSort.EXPECTED_START_TIME_DESC,
            limit=1,
        )
        return title(running[0].name) if running else None

    def _cancel(self, run_id: UUID) -> None:
        self._client.set_flow_run_state(run_id, Cancelling())
        deadline = time.monotonic() + _CANCEL_LIMIT_S
        while time.monotonic() < deadline:
            state = self._client.read_flow_run(run_id).state
            # A cancelled process is reported as crashed first.
            if state is not None and state.is_cancelled():
                return
            time.sleep(_POLL_S)


def moment_of(doing: str, progress: Progress) -> Moment:
    """Describe what a stage has written of its steps, or another job of its batches or photos."""
    step, steps = progress.step, progress.steps
    if not isinstance(progress, StageProgress):
        return Moment(doing, step, steps, progress.what)
    # Norms and shares of skipped steps are for MLflow's curves.
    shown = {k: v for k, v in sorted(progress.losses.items()) if k.endswith("loss")}
    losses = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    left = duration(progress.eta_s)
    return Moment(doing, step, steps, f"{left} left  {progress.crops_per_s:.0f} crops/s  {losses}")


@contextmanager
def watching(ray_address: str, store: ObjectStore) -> Iterator[RunWatch]:
    """Open a `RunWatch` on the Prefect server that the environment names."""
    with get_client(sync_client=True) as client:
        yield RunWatch(client, RayJobs(ray_address), store)


def title(name: str) -> str | None:
    """Put ``pretrain-0123456789abcdef`` or ``upscale-0`` in words; None if it takes no time."""
    known = (name.rpartition("-")[0], name.partition("-")[0])
    return next((_TITLES[word] for word in known if word in _TITLES), None)
