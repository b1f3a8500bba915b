"""Replaced stages before the registry: their answers, and what they were asked."""

import hashlib
from typing import Any

import torch
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import ArtifactSort

from flows.retrain import retrain
from srgan.config import AdversarialConfig, DataConfig, Gpu, PretrainConfig, Recipe
from srgan.config.networks import DISTANCES
from srgan.measure.evaluation import EvaluateSpec, Figures, ImageFigures, Report, means
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.models.weights import find_judges, publish_weights
from srgan.promotion.decide import settle
from srgan.promotion.lineage import Lineage
from srgan.promotion.log import PromotionLog
from srgan.promotion.teachers import trainings
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef, ModelRef, to_json
from srgan.services.mlflow_models import Registry
from srgan.services.mlflow_runs import mlflow_client
from srgan.services.s3 import S3Store
from srgan.settings import Settings
from srgan.storage import read_document
from srgan.train.checkpoint import CheckpointManifest, CheckpointWriter
from srgan.version import numerics_version, release_version
from srgan.versions.champion import publish
from srgan.versions.register import register_version

RAW = ("s3://srgan-test/raw", "leaves", tiny().data)
FINE_TUNED = {"start": "champion"}


class Pipeline:
    """The stages before the registry: their answers, and what they were asked."""

    def __init__(self, store: S3Store, model: str) -> None:
        self.store = store
        self.model = model
        self.dataset_version = "v1"
        self.psnr = {"bicubic": 28.0, "pretrained": 28.4, "model": 28.5, "champion": 28.5}
        self.distance = {"bicubic": 2.7, "pretrained": 1.4, "model": 1.3, "champion": 1.3}
        self.trained: list[str] = []
        self.results: list[CheckpointRef] = []
        self.started_from: list[CheckpointRef | None] = []
        self.seeds: list[int] = []
        self.numerics_versions: list[str] = []
        self.pairs: list[DatasetRef | None] = []
        self.devices: list[str] = []
        self.evaluated: list[EvaluateSpec] = []

    def prepare(self, source: str, dataset: str, data: DataConfig) -> DatasetRef:
        return DatasetRef(
            dataset=dataset,
            version=self.dataset_version,
            key=f"crops/{dataset}/versions/{self.dataset_version}.json",
            source=source,
            scale=4,
            num_train_crops=4,
            num_eval_crops=2,
            num_train_photos=2,
            num_eval_photos=1,
            num_rejected=0,
            num_read=0,
        )

    def train(
        self,
        dataset: DatasetRef,
        stage: PretrainConfig | AdversarialConfig,
        init_from: CheckpointRef | None = None,
        num_workers: int | None = None,
        numerics_version: str = "c",
        pairs: DatasetRef | None = None,
        gpu: Gpu = "auto",
    ) -> CheckpointRef:
        self.devices.append(gpu)
        assert init_from or stage.stage == "pretrain"
        self.pairs.append(pairs)
        self.numerics_versions.append(numerics_version)
        run = f"{stage.stage}-{self.model}-{len(self.trained)}"
        self.trained.append(run)
        self.started_from.append(init_from)
        self.seeds.append(stage.seed)
        torch.manual_seed(len(self.trained))
        manifest = CheckpointManifest(
            run=run,
            stage=stage.stage,
            step=stage.steps,
            final=True,
            generator=stage.generator,
            config={},
            dataset_version=dataset.version,
            init_from=init_from.digest if init_from else None,
            init_run=init_from.run if init_from else None,
            release_version="1",
            num_ranks=1,
            metrics={},
            parts={},
        )
        data = dump_generator(build_generator(stage.generator))
        with CheckpointWriter(self.store) as writer:
            writer.save(manifest, {"generator": data})
        result = CheckpointRef(
            run=run,
            stage=stage.stage,
            step=stage.steps,
            key=manifest.key,
            digest=hashlib.sha256(data).hexdigest(),
            dataset_version=dataset.version,
        )
        self.results.append(result)
        return result

    def trained_before(
        self, dataset: DatasetRef, stage: PretrainConfig | AdversarialConfig, *_: Any, **__: Any
    ) -> CheckpointRef:
        """Answer as `train` does if an earlier attempt of the flow run has finished the stage."""
        found = [each for each in self.results if each.stage == stage.stage]
        assert found[-1].dataset_version == dataset.version
        return found[-1]

    def run_job(self, *, spec: EvaluateSpec, **_: Any) -> None:
        """Leave in the bucket what the evaluation job leaves there."""
        self.evaluated.append(spec)
        figures = {
            name: Figures(
                psnr=self.psnr[name],
                ssim=0.8,
                distances={DISTANCES[judge]: self.distance[name] for judge in spec.judges},
            )
            for name in ["bicubic", *spec.contestants]
        }
        images = [
            ImageFigures(source=f"{photo}.png", crop=photo, figures=figures) for photo in range(8)
        ]
        trained = trainings(self.store, spec.contestants)
        report = Report(
            dataset=spec.dataset,
            scale=spec.dataset.scale,
            numerics_version=spec.numerics_version,
            weights={},
            judges=spec.judges,
            beyond_pixels=[name for name, one in trained.items() if one.beyond_pixels],
            means=means(images),
            images=images,
        )
        self.store.put(spec.report_key, to_json(report))
        result = EvaluationRef(
            run=spec.contestants["model"].run,
            key=spec.report_key,
            picture_key=spec.picture_key,
            num_images=8,
            metrics=report.metrics,
            dataset_version=spec.dataset.version,
            mlflow_run_id=spec.mlflow_run_id,
        )
        self.store.put(spec.result_key, to_json(result))

    def mirror(self) -> None:
        """Leave what `srgan weights mirror squeezenet1_1` leaves; nothing reads it here."""
        publish_weights(self.store, "squeezenet1_1", b"weights", "here")

    def crown(self, recipe: Recipe | None = None) -> ModelRef:
        """Make a first champion as `retrain` does, without flows: each of them costs seconds."""
        recipe = recipe or tiny()
        data = self.prepare("s3://srgan-test/raw", "leaves", recipe.data)
        result, pretrained = self.train(data, recipe.pretrain), None
        if recipe.adversarial:
            result, pretrained = self.train(data, recipe.adversarial, result), result
        spec = EvaluateSpec(
            dataset=data,
            contestants={"model": result, **({"pretrained": pretrained} if pretrained else {})},
            judges=find_judges(self.store),
            numerics_version=numerics_version(),
            release_version=release_version(),
        )
        self.run_job(spec=spec)
        lineage = Lineage(
            checkpoint=result,
            pretrained=pretrained,
            dataset=data,
            evaluation=read_document(self.store, spec.result_key, EvaluationRef),
            recipe=recipe,
            reason="a test needs a champion",
            numerics_version=spec.numerics_version,
        )
        version = register_version(Settings(), self.store, self.model, lineage)
        registry = Registry(Settings())
        challenger = registry.record(version)
        log = PromotionLog(self.store, self.model)
        entry = settle(
            log,
            self.store,
            challenger,
            lambda _: spec.report_key,
            before=log.champion(),
            champion=None,
        )
        publish(registry, log, entry)
        assert self.champion() == version.version
        return version

    def retrain(self, recipe: str | Recipe = "tiny", **options: Any) -> State[Any]:
        """Run the flow and return its final state."""
        return retrain(
            "s3://srgan-test/raw", "leaves", self.model, recipe, return_state=True, **options
        )

    def champion(self) -> int | None:
        return PromotionLog(self.store, self.model).champion()


def retraining_of(spec: EvaluateSpec) -> Any:
    """Return the MLflow run around an evaluation's."""
    assert spec.mlflow_run_id is not None
    client = mlflow_client(Settings())
    return client.get_run(client.get_run(spec.mlflow_run_id).data.tags["mlflow.parentRunId"])


def artifact(key: str) -> str:
    """Return the newest artifact of a key."""
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    return str(found.data)
