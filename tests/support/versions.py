"""Parts of versions in tests: weights from a seed, and an invented lineage."""

import hashlib

import torch

from srgan.config import GeneratorConfig
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator
from srgan.promotion.lineage import ImportLineage, Lineage
from srgan.recipes import tiny
from srgan.refs import CheckpointRef, DatasetRef, EvaluationRef
from tests.support.networks import random_generator

DATASET = DatasetRef(
    dataset="leaves",
    version="v1",
    key="crops/leaves/versions/v1.json",
    source="s3://bucket/raw",
    scale=4,
    num_train_crops=4,
    num_eval_crops=2,
    num_train_photos=2,
    num_eval_photos=1,
    num_rejected=0,
    num_read=3,
)
METRICS = {"bicubic": {"psnr": 28.0, "ssim": 0.8}, "model": {"psnr": 29.0, "ssim": 0.82}}

LITTLE_CODE = ("__init__.py",)
"""In place of the 80 files of code in a version, each of which MLflow is sent by itself."""


def weights(seed: int) -> bytes:
    torch.manual_seed(seed)
    return dump_generator(build_generator(tiny().pretrain.generator))


def lineage(run: str, data: bytes) -> Lineage:
    def checkpoint(name: str, stage: str) -> CheckpointRef:
        return CheckpointRef(
            run=name,
            stage=stage,
            step=4,
            key=f"runs/{name}/checkpoints/000000004.json",
            digest=hashlib.sha256(data).hexdigest(),
            dataset_version="v1",
        )

    evaluation = EvaluationRef(
        run=run,
        key=f"runs/{run}/evaluations/1/report.json",
        picture_key=f"runs/{run}/evaluations/1/comparison.png",
        num_images=2,
        metrics=METRICS,
        dataset_version="v1",
        mlflow_run_id="e" * 32,
    )
    return Lineage(
        checkpoint=checkpoint(run, "adversarial"),
        pretrained=checkpoint("pretrain-1", "pretrain"),
        dataset=DATASET,
        evaluation=evaluation,
        recipe=tiny(),
        numerics_version="c",
    )


IMPORTED = dump_generator(
    random_generator(GeneratorConfig(kind="msrresnet", scale=2, num_blocks=1, num_channels=4))
)


def import_lineage(source: bytes = b"theirs") -> ImportLineage:
    return ImportLineage(
        source_file="MSRResNet_x2.pth",
        source_sha256=hashlib.sha256(source).hexdigest(),
        source_format="MSRResNet of BasicSR, torch.save",
        weights_digest=hashlib.sha256(IMPORTED).hexdigest(),
    )
