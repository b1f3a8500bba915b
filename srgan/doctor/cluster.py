"""Checks of the Ray cluster: its token, its nodes and GPUs, and the code on each node."""

import json
import time
from functools import partial
from uuid import uuid4

from srgan.doctor.addresses import reach
from srgan.doctor.checks import Check, Seen, failed, ok, warning
from srgan.services.ray_jobs import RayJobs
from srgan.settings import Settings
from srgan.version import release_version

_REMEDY = "Set RAY_ADDRESS to Ray's job server (http://HOST:8265), and look whether the head runs"
_REFUSED = (
    "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token that the cluster was started with "
    "(without it, RAY_AUTH_TOKEN_PATH names the token's file); clear all three if it has none"
)
_SAME_CODE = "Install the same srgan here and on all Ray nodes (one image for all)"
_CUDA = (
    "Give nodes with GPUs a CUDA build of torch that their driver supports (the image built with "
    "another TORCH_INDEX), or start them with --num-gpus=0"
)
_UNWELL = "Look at these nodes: how busy they are, and what `python -c 'import torch'` says there"
_IMPORT_LIMIT_S = 45.0
_JOB_LIMIT_S = 90.0
_POLL_S = 0.5
_LINES = 20


def cluster_checks(settings: Settings) -> list[Check]:
    """Return the checks of the cluster that `settings` name."""
    jobs = RayJobs(settings.ray_address or "", patience_s=0.0)
    check = partial(Check, remedy=_REMEDY)
    return [
        check("address", lambda: reach(settings.require("ray_address"), "RAY_ADDRESS")),
        check(
            "token",
            lambda: _token(jobs),
            remedy=_REFUSED,
            needs=("address",),
            limit_s=_IMPORT_LIMIT_S,
        ),
        check("nodes", lambda: _nodes(jobs), needs=("token",)),
        # The job ends before the check does.
        check(
            "code",
            lambda: _code(jobs),
            remedy=_SAME_CODE,
            needs=("nodes",),
            limit_s=_JOB_LIMIT_S + 30,
        ),
    ]


def _token(jobs: RayJobs) -> Seen:
    found = jobs.jobs()
    running = sum(job.active for job in found)
    return ok(f"accepted; {running} of {len(found)} known jobs wait or run")


def _nodes(jobs: RayJobs) -> Seen:
    nodes = jobs.nodes()
    if not nodes:
        return failed("the cluster has no node", "Start Ray's head and nodes (`ray start`)")
    cpus, gpus = (sum(node.resources.get(name, 0) for node in nodes) for name in ("CPU", "GPU"))
    return ok(f"{len(nodes)} nodes with {cpus:g} CPUs and {gpus:g} GPUs")


def _code(jobs: RayJobs) -> Seen:
    """Ask every node for its release and its GPUs, by a job that reserves nothing there."""
    job_id = f"doctor-{uuid4().hex[:12]}"
    about = {"stage": "doctor", "run": job_id, "root": job_id}
    jobs.submit(job_id, "python -m srgan.jobs.releases", about)
    job = None
    deadline = time.monotonic() + _JOB_LIMIT_S
    try:
        while (job := jobs.find(job_id)) is not None and job.active and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        if job is None or job.active:
            jobs.stop(job_id)
    if job is None or job.active:
        return warning(
            f"job {job_id} did not end within {_JOB_LIMIT_S:.0f} s; {jobs.others(job_id)}",
            "Ask again when the head has memory to spare for the job's driver",
        )
    lines = jobs.tail(job_id, _LINES)
    if job.status != "SUCCEEDED":
        return failed(f"job {job_id}: {' '.join(lines[-2:])}", _SAME_CODE)
    told = [json.loads(line) for line in lines if line.startswith('{"releases"')]
    if not told:
        return warning(f"the log of job {job_id} cannot be read now", "Ask again")
    ours, releases = release_version(), told[0]["releases"]
    # A head with older code does not ask for everything.
    blind, unwell = told[0].get("blind", {}), told[0].get("unwell", {})
    other = [f"{node} has {release}" for node, release in releases.items() if release != ours]
    if other:
        return failed(f"here is {ours}, but {'; '.join(other)}", _SAME_CODE)
    if unwell:
        found = [f"{node}: {problem}" for node, problem in unwell.items()]
        return failed("; ".join(found), _UNWELL)
    if blind:
        found = [
            f"{node} has GPUs, which its torch {torch} does not see"
            for node, torch in blind.items()
        ]
        return failed("; ".join(found), _CUDA)
    return ok(f"{ours} here and on {len(releases)} nodes")
