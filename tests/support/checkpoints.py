"""Manifests and parts of checkpoints that no training wrote."""

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.train.checkpoint import CheckpointManifest
from tests.support.stages import PLAIN, pretrain

RUN = "pretrain-0123"
STAGE = pretrain()


def manifest(
    step: int,
    *,
    final: bool = False,
    stage: PretrainConfig | AdversarialConfig = STAGE,
    metrics: dict[str, float] | None = None,
    validated_at: int | None = None,
) -> CheckpointManifest:
    return CheckpointManifest(
        run=RUN,
        stage=stage.stage,
        step=step,
        final=final,
        generator=PLAIN,
        config=stage.model_dump(mode="json"),
        dataset_version="v",
        init_from=None,
        numerics_version="c",
        release_version="c",
        num_ranks=1,
        metrics=metrics or {"psnr": 30.0},
        validated_at=step if validated_at is None else validated_at,
        parts={},
    )


def parts(step: int) -> dict[str, bytes]:
    return {"generator": b"generator %d" % step, "optimisers": b"moments %d" % step}
