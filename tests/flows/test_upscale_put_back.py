"""A bulk flow that is put back after jobs that ended, or still run; the job server is scripted."""

import logging
from collections.abc import Iterator

import pytest

from flows import upscale as module
from flows.support import following, jobs
from flows.upscale import run_workers
from srgan.errors import ClusterError
from srgan.jobs import upscale as worker
from srgan.jobs.failure import failure_of
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import batch_run, bulk_job_run, failure_key, spec_key
from srgan.storage import write_document
from srgan.versions import services
from tests.support.bench import Bench
from tests.support.job_server import JobServer, ServedJob, serve


@pytest.fixture
def server(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    """A job server on which the jobs of the flow run ``root`` do all batches of their spec."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    for each in (jobs, following):
        monkeypatch.setattr(each, "get_run_logger", lambda: logging.getLogger("flow-run"))
    for name in ("_FIRST_POLL_S", "_MAX_POLL_S"):
        monkeypatch.setattr(following, name, 0.01)
    monkeypatch.setattr(jobs, "root_flow_run_id", lambda: "root")
    monkeypatch.setattr(module, "run_job", jobs.run_job)
    with serve() as running:
        settings = bench.settings.model_copy(update={"ray_address": running.address})
        monkeypatch.setattr(services, "Settings", lambda: settings)
        yield running


def does_all(bench: Bench, server: JobServer, run: str) -> None:
    """Have the jobs that are submitted do their batches."""

    def script(_: str) -> ServedJob:
        found = bench.store.get(spec_key(bulk_job_run(run)))
        spec = UpscaleSpec.model_validate_json(found)
        alone = worker.UpscaleWorker(spec, 1, "cpu", 0)
        for number in spec.batches:
            alone.run(number)
        return ServedJob(["SUCCEEDED"])

    server.script = script


def test_batches_that_a_job_had_lost_that_succeeded_are_done_when_the_flow_is_put_back(
    bench: Bench, photos: list[str], server: JobServer
) -> None:
    run, plan = bench.plan(batch_bytes=1)
    bench.batch(0, run)
    job_run, label = bulk_job_run(run.name), f"upscale-{run.name[-8:]}"
    lost = failure_key(batch_run(run.name, 1))
    write_document(bench.store, lost, failure_of(MemoryError(), f"root-{label}-1"))
    server.put(f"root-{label}-1", "SUCCEEDED", run=job_run, root="root")
    does_all(bench, server, run.name)
    run_workers.fn(run, plan.num_batches)
    assert list(server.jobs) == [f"root-{label}-1", f"root-{label}-2"]
    assert [bench.follow(number, run).num_done for number in range(3)] == [1, 1, 1]
    assert bench.store.find(lost) is None
    run_workers.fn(run, plan.num_batches)
    assert len(server.jobs) == 2, "nothing is left to do"


def test_why_a_job_that_still_runs_has_lost_a_batch_stays_when_it_is_attached_to(
    bench: Bench, photos: list[str], server: JobServer
) -> None:
    run, plan = bench.plan(batch_bytes=1)
    bench.batch(0, run)
    bench.batch(2, run)
    job_run, job = bulk_job_run(run.name), f"root-upscale-{run.name[-8:]}-1"
    write_document(
        bench.store, failure_key(batch_run(run.name, 1)), failure_of(MemoryError("too little"), job)
    )
    server.put(job, "RUNNING", "RUNNING", "SUCCEEDED", run=job_run, root="root")
    run_workers.fn(run, plan.num_batches)
    assert list(server.jobs) == [job]
    with pytest.raises(ClusterError, match="batch 1 is lost: MemoryError: too little"):
        bench.follow(1, run)
