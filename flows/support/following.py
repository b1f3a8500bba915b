"""Follow a Ray job and show its state, log lines and progress in the flow run."""

import re
import time

from prefect import get_run_logger

from flows.support.artifacts import ProgressArtifact
from srgan.errors import StorageError
from srgan.logs import parse
from srgan.progress import find_progress
from srgan.readable import duration, size
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES, Job, RayJobs
from srgan.storage import ObjectStore

_FIRST_POLL_S = 1.0
_MAX_POLL_S = 4.0
_REPEAT_S = 30.0
_LINES_ON_ATTACHING = 3
_LINES_READ = 100
_LINES_REMEMBERED = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ACTOR = re.compile(r"^\((?P<actor>\w+) pid=\d+(, ip=[^)]+)?\) ")
# Ray's own messages, except for errors and warnings.
_NOISE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\s+(INFO|DEBUG) "
    r"|^Running entrypoint for job |^Setting up process group"
    r"|^Started distributed worker|^- \(node_id="
)


def follow(
    jobs: RayJobs,
    job_id: str,
    *,
    label: str,
    bar: "JobProgressBar | None",
    attached: bool,
) -> str | None:
    """Show a job in the log of the current flow or task run until it ends; return its last status.

    The status is None if the cluster does not know the job any more. Polls slow down from 1 to 4
    seconds. What a job waits for that has not started is said every 30 seconds.
    """
    logger = get_run_logger()
    relay = LogRelay(jobs, attached=attached)
    shown: str | None = None
    next_note = time.monotonic() + _REPEAT_S
    pause_s = _FIRST_POLL_S
    while True:
        job = jobs.find(job_id)
        if job is not None:
            for line in relay.new_lines(job):
                level, message = parse(line)
                logger.log(level, "%s: %s", label, message)
        if bar:
            bar.update()
        if job is None or not job.active:
            return job.status if job else None
        if job.status != shown:
            shown = job.status
            logger.info("%s: job %s is %s. %s", label, job_id, shown, job.message)
        elif shown == "PENDING" and time.monotonic() >= next_note:
            logger.info(
                "%s: job %s waits until Ray's head has %s of memory to spare for its driver; %s",
                label,
                job_id,
                size(DRIVER_MEMORY_BYTES),
                jobs.others(job_id),
            )
            next_note = time.monotonic() + _REPEAT_S
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, _MAX_POLL_S)


class LogRelay:
    """Lines that a driver has written since the last look, without Ray's own messages.

    Each look reads the end of the log, and more of it only if more has been added, because the log
    of a job of days is long. Where the last look ended is found by the lines before that place. So
    of a line that is written again and again in a row, some may be left out.
    """

    def __init__(self, jobs: RayJobs, *, attached: bool) -> None:
        self._jobs = jobs
        self._attached = attached
        self._seen: list[str] = []

    def new_lines(self, job: Job) -> list[str]:
        """Return the new whole lines; on attaching to a job, only the last few."""
        added = self._added(job)
        self._seen = (self._seen + added)[-_LINES_REMEMBERED:]
        lines = relevant("\n".join(added))
        if self._attached and added:
            self._attached = False
            return lines[-_LINES_ON_ATTACHING:]
        return lines

    def _added(self, job: Job) -> list[str]:
        num_lines = _LINES_READ
        while text := self._jobs.log(job, num_lines):
            *lines, rest = text.split("\n")
            is_all = len(lines) + bool(rest) < num_lines
            if (end := self._end_of_seen(lines, is_all)) is not None:
                return lines[end:]
            if is_all or self._attached:
                return lines
            num_lines *= 10
        return []

    def _end_of_seen(self, lines: list[str], is_all: bool) -> int | None:
        """Return the index of the first new line; None if `lines` do not reach back to it."""
        num = len(self._seen)
        if num < _LINES_REMEMBERED:  # then they are all that there were
            return num if is_all else None
        ends = range(len(lines), num - 1, -1)
        return next((end for end in ends if lines[end - num : end] == self._seen), None)


def relevant(text: str) -> list[str]:
    """Return the lines of a driver's log that matter, without colours and actor names."""
    kept = []
    for raw in text.splitlines():
        line = _COLOUR.sub("", raw)
        actor = _ACTOR.match(line)
        line = _ACTOR.sub("", line).rstrip()
        if actor and actor["actor"] == "TrainController" and not _is_trouble(line):
            continue
        if line and not _NOISE.match(line):
            kept.append(line)
    return kept


def _is_trouble(line: str) -> bool:
    return any(word in line for word in ("ERROR", "WARNING", "Error", "failed", "Failure"))


class JobProgressBar:
    """A Prefect progress artifact fed by the progress that a job writes to the bucket."""

    def __init__(self, store: ObjectStore, run: str, label: str) -> None:
        self._store = store
        self._run = run
        self._artifact = ProgressArtifact(label)
        self._step = -1

    def update(self) -> None:
        """Show the newest progress, once there is any."""
        try:
            found = find_progress(self._store, self._run)
        except StorageError:
            return  # only a display; the job reports its own errors
        if found is None or found.step == self._step:
            return
        self._step = found.step
        left = "" if found.eta_s is None else f", {duration(found.eta_s)} left"
        self._artifact.show(
            100 * found.step / max(found.steps, 1), f"step {found.step} of {found.steps}{left}"
        )
