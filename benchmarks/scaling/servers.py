"""Requests, time and memory of a flow, of a Ray driver and of a training's MLflow run."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from benchmarks.scaling.storage import MODEL, PER_BATCH, bulk_run, counted_requests, row, show
from benchmarks.upscale_plan import peak_mb, reset_peak_mb
from srgan.bulk.plan import BulkPlan
from srgan.bulk.records import Tally, to_parquet
from srgan.bulk.run import BulkRun
from srgan.config import UpscaleConfig
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.keys import records_key
from srgan.refs import DatasetRef
from srgan.services.s3 import open_store
from srgan.settings import Settings
from srgan.stack import Stack

_FOLLOWED = (50, 350)
_DRIVEN = (100, 500, 1500)
_STEPS = 300
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")


def following() -> None:
    """Print what a flow that follows batches asks of Prefect and S3, its time and memory."""
    store = open_store(Settings())
    rows = to_parquet(row(number) for number in range(PER_BATCH))
    for count in _FOLLOWED:
        run = bulk_run(store, f"run-{count}", UpscaleConfig())
        for number in range(count):
            store.put(records_key(run.destination.address, run.name, number), rows)
        before, begun = reset_peak_mb(), time.process_time()
        with _counted_by_prefect() as (calls, events), counted_requests(store) as requests:
            assert _follow(run, _plan_of(run, count)) == count
        print(
            f"{count} batches with records: {time.process_time() - begun:.1f} CPU s, memory "
            f"{before:.0f} MB before, {peak_mb():.0f} MB at most"
        )
        show("to Prefect", calls)
        show("events", events)
        show("to S3", requests)


@contextmanager
def _counted_by_prefect() -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Count this process's requests to Prefect's server, and its events."""
    import httpx
    from prefect.events.worker import EventsWorker

    calls, events = Counter[str](), Counter[str]()
    send, async_send, emit = httpx.Client.send, httpx.AsyncClient.send, EventsWorker.send

    def counting(client: Any, request: Any, **options: Any) -> Any:
        calls[f"{request.method} {_ID.sub('<id>', request.url.path)}"] += 1
        return send(client, request, **options)

    async def async_counting(client: Any, request: Any, **options: Any) -> Any:
        calls[f"{request.method} {_ID.sub('<id>', request.url.path)}"] += 1
        return await async_send(client, request, **options)

    def emitting(worker: Any, event: Any) -> None:
        events[event.event] += 1
        emit(worker, event)

    with (
        patch.object(httpx.Client, "send", counting),
        patch.object(httpx.AsyncClient, "send", async_counting),
        patch.object(EventsWorker, "send", emitting),
    ):
        yield calls, events


def _follow(run: BulkRun, plan: BulkPlan) -> int:
    """Follow batches in a flow run, and return how many are finished."""
    from prefect import flow

    from flows.upscale import run_batches

    @flow(name="follow")
    def follow() -> int:
        return len(run_batches(run, plan)[0])

    return follow()


def driver() -> None:
    """Print time and memory of a driver whose workers do nothing."""
    import ray

    from srgan.bulk.attempt import BatchAttempt
    from srgan.jobs.upscale_pool import Pool

    class Idle:
        """A worker that does nothing."""

        def __init__(self, spec: UpscaleSpec, num_cpus: int, device: str, memory: int) -> None:
            del spec, num_cpus, device, memory

        def where(self) -> str:
            return "here"

        def ready(self) -> None:
            """Answer."""

        def run(self, batch: int, attempt: BatchAttempt) -> str:
            del attempt
            return f"batch {batch}: {PER_BATCH} done, 0 skipped, 0 failed, 0 not photos"

    settings = Settings()
    store = open_store(settings)
    # The environment names the job server. Other heads of this machine must not be found.
    del os.environ["RAY_ADDRESS"]
    ray.init(f"127.0.0.1:{Stack(settings.home).state.ports['ray_gcs']}")
    for count in _DRIVEN:
        spec = UpscaleSpec(
            run="driven",
            source=store.uri("photos"),
            destination=store.uri("up"),
            model=MODEL,
            config=UpscaleConfig(),
            batches=tuple(range(count)),
            num_batches=count,
            release_version="1",
        )
        before, begun = reset_peak_mb(), time.monotonic()
        Pool(spec, Idle, store, "job", 300.0).run()
        print(
            f"{count} batches: {time.monotonic() - begun:.1f} s, memory {before:.0f} MB before, "
            f"{peak_mb():.0f} MB at most",
            flush=True,
        )


def figures() -> None:
    """Print the bytes that MLflow's database takes for a figure; without a server."""
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        make: Any = SqlAlchemyStore  # MLflow does not publish types
        store = make(f"sqlite:///{path}", folder)
        run_id = store.create_run("0", "user", 0, [], "counted").info.run_id
        size = path.stat().st_size
        for step in range(_STEPS):
            values = [Metric(f"metric {number}", step / 7, step, step) for number in range(10)]
            store.log_batch(run_id, values, [], [])
        print(f"{(path.stat().st_size - size) / _STEPS / 10:.0f} bytes a figure")


def tracking() -> None:
    """Print the requests of a training's run to MLflow."""
    import requests

    from srgan.services.metric_log import MetricLog
    from srgan.services.mlflow_runs import tracked_run

    calls: Counter[str] = Counter()
    send = requests.Session.send

    def counting(
        session: requests.Session, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        path = urlsplit(str(request.url)).path.removeprefix("/api/2.0/")
        calls[f"{request.method} {_ID.sub('<id>', path)}"] += 1
        return send(session, request, **options)

    settings = Settings()
    dataset = DatasetRef(
        dataset="counted",
        version="v1",
        key="crops/counted/versions/v1.json",
        source="s3://photos",
        scale=4,
        num_train_crops=4,
        num_eval_crops=2,
        num_train_photos=2,
        num_eval_photos=1,
        num_rejected=0,
        num_read=0,
    )

    def tracked(key: str) -> AbstractContextManager[str]:
        return tracked_run(
            settings,
            name="counted",
            key=key,
            parent=None,
            params={"steps": "1"},
            config=dataset,
            dataset=dataset,
        )

    with patch.object(requests.Session, "send", counting):
        with tracked("first"):
            pass  # makes the experiment
        calls.clear()
        with tracked("second") as run_id:
            show("a run, begun", calls)
            calls.clear()
            log = MetricLog(settings, run_id)
            log.log(1, {f"metric {number}": 0.5 for number in range(10)})
            log.close()
            show("a flush of figures", calls)
            calls.clear()
            log = MetricLog(settings, run_id)
            log.picture("one", b"png")
            log.close()
            show("a picture", calls)
            calls.clear()
        show("a run, ended", calls)


def _plan_of(run: BulkRun, num_batches: int) -> BulkPlan:
    return BulkPlan(
        run=run.name,
        source=run.source.address,
        destination=run.destination.address,
        model=run.model,
        config=run.config,
        created_at=time.time(),
        num_batches=num_batches,
        num_todo=num_batches * PER_BATCH,
        todo_bytes=num_batches * PER_BATCH * 250_000,
        num_covered=0,
        refused=Tally(),
    )
