"""The bulk flow in one process: its calls, on a real object store and engine, without a cluster."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import torch
from pydantic import BaseModel

from flows.support.upscale_report import (
    publish_summary,
    show_samples,
)
from flows.upscale import follow_batch, open_places, plan_run, run_workers
from srgan.bulk.plan import BulkPlan
from srgan.bulk.records import Tally
from srgan.bulk.run import BulkRun
from srgan.bulk.summary import check
from srgan.config import GeneratorConfig, UpscaleConfig
from srgan.jobs import upscale as worker
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.record import VersionRecord
from srgan.refs import ModelRef, UpscaleReport
from srgan.services.s3 import S3Store
from srgan.settings import Settings


class Models:
    """A registry of a model without a promotion log, whose champion a test can change."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        config = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=8)
        self.weights = dump_generator(build_generator(config))
        self.champion = 1
        self.challenger = self.weights
        self.loaded: list[int] = []
        self.tags = {"run": "r", "source_file": "m.pth"}

    def alias(self, name: str, alias: str) -> int:
        return self.champion

    def resolve(self, address: str) -> ModelRef:
        if address.endswith("@challenger"):
            return ModelRef(name="m", version=9, run="c", weights_digest="cd" * 32)
        return ModelRef(name=address, version=self.champion, run="r", weights_digest="ab" * 32)

    def record(self, ref: ModelRef) -> VersionRecord:
        return VersionRecord(ref.name, ref.version, self.tags, datetime.now(UTC))

    def load_generator_bytes(self, ref: ModelRef) -> bytes:
        self.loaded.append(ref.version)
        return self.challenger if ref.run == "c" else self.weights


class Bench:
    """A flow run with the id ``root`` whose jobs run here, one after another."""

    def __init__(self, store: S3Store, settings: Settings, models: Models) -> None:
        self.store = store
        self.settings = settings
        self.models = models
        self.root = "root"
        self.job_runs: list[str] = []
        self.artifacts: dict[str, list[dict[str, object]]] = {}
        self.texts: dict[str, str] = {}

    def uri(self, prefix: str) -> str:
        return self.store.uri(prefix)

    def run_job(
        self,
        *,
        run: str,
        module: str,
        spec: BaseModel,
        before_submit: Callable[[], None],
        **_: object,
    ) -> None:
        assert module == "srgan.jobs.upscale"
        assert isinstance(spec, UpscaleSpec)
        before_submit()
        self.job_runs.append(run)
        sent = UpscaleSpec.model_validate_json(spec.model_dump_json())
        alone = worker.UpscaleWorker(sent, 1, "cpu", 0)
        for number in sent.batches:
            alone.run(number)

    def show(self, *, key: str, table: list[dict[str, object]], description: str) -> None:
        self.artifacts[key] = table

    def show_text(self, text: str, *, key: str, description: str) -> None:
        self.texts[key] = text

    def upscale(
        self,
        *,
        source: str | None = None,
        destination: str | None = None,
        manifest: str | None = None,
        **config: object,
    ) -> UpscaleReport:
        """Make the calls of the flow's body."""
        chosen = UpscaleConfig.model_validate(config)
        places = open_places(source or self.uri("photos"), destination or self.uri("up"))
        run, plan = plan_run.fn(*places, "m", chosen, manifest)
        run_workers.fn(run, plan.num_batches)
        finished = {number: self.follow(number, run) for number in range(plan.num_batches)}
        report, summary = publish_summary.fn(run, plan, finished, {})
        show_samples.fn(run)
        check(summary, chosen.failure_tolerance)
        return report

    def plan(self, destination: str | None = None, **config: object) -> tuple[BulkRun, BulkPlan]:
        """Make the first half of them."""
        places = open_places(self.uri("photos"), destination or self.uri("up"))
        return plan_run.fn(*places, "m", UpscaleConfig.model_validate(config))

    def batch(self, number: int, run: BulkRun) -> None:
        """Do one batch as a worker that does only this one."""
        spec = UpscaleSpec(
            run=run.name,
            source=run.source.address,
            destination=run.destination.address,
            model=run.model,
            config=run.config,
            batches=(number,),
            num_batches=1,
            release_version="1",
        )
        worker.UpscaleWorker(spec, 1, "cpu", 0).run(number)

    def follow(self, number: int, run: BulkRun) -> Tally:
        """Return what is known of a batch when the workers have ended."""
        have_ended = threading.Event()
        have_ended.set()
        return follow_batch.fn(number, run, 9, have_ended)


def outputs(store: S3Store) -> dict[str, str]:
    return {info.key: info.token for info in store.list("up/") if "/_srgan/" not in info.key}
