"""A report's content without services: six photos, measured and cut."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.data.dataset import Crops
from srgan.errors import ImageError
from srgan.measure.comparison import compare, with_bicubic
from srgan.measure.evaluation import Report, means
from srgan.measure.pictures import most_different
from srgan.promotion.log import Evidence
from srgan.refs import DatasetRef, PromotionDecision
from srgan.report.content import Content, TrainedStage
from srgan.report.costs import Cost

EVIDENCE = Evidence(
    run="adversarial-2",
    weights_digest="w",
    dataset_version="v" * 64,
    metrics={},
    rule="closer",
    against="champion",
)
Pixels = NDArray[np.uint8]
HOSTILE = "raw/<script>alert('x')</script>&\""
"""Begin of keys that S3 allows and no page may run."""


class Roughness:
    """A distance that needs no weights: how much the contrast of neighbours differs."""

    name = "squeezenet_distance"
    min_side = 1
    max_pixels = None

    def __call__(self, hr: Pixels, sr: Pixels, *, border: int) -> float:
        rough = [float(np.abs(np.diff(each.astype(float), axis=1)).mean()) for each in (hr, sr)]
        return abs(rough[0] - rough[1])


def nearest(lr: Pixels) -> Pixels:
    return lr.repeat(4, axis=0).repeat(4, axis=1)


def gives_nan(lr: Pixels) -> Pixels:
    """A method whose output is not finite, as the engine says it."""
    raise ImageError("not_finite", "all NaN")


def darker(lr: Pixels) -> Pixels:
    return (nearest(lr) * 0.9).astype(np.uint8)


def crops_of(draw_photo: Callable[..., Pixels], names: list[str]) -> Crops:
    return crops_from([draw_photo(seed, 96, 96) for seed in range(len(names))], names=names)


def crops_from(
    images: Sequence[Pixels],
    photos: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
) -> Crops:
    """Held-out crops without a bucket; by default each is from another photo."""
    count = len(images)
    return Crops(
        size=images[0].shape[0],
        names=list(names or [f"photo-{index}.png" for index in range(count)]),
        photo_of=np.array(range(count) if photos is None else photos, np.int64),
        shards=[np.stack(images)],
        shard_of=np.zeros(count, np.int64),
        row_of=np.arange(count, dtype=np.int64),
    )


def content(draw_photo: Callable[..., Pixels], **changed: Any) -> Content:
    """A promotion of version 2 over version 1; `changed` replaces fields."""
    crops = crops_of(draw_photo, [f"{HOSTILE}{number}.png" for number in range(6)])
    methods = with_bicubic({"pretrained": nearest, "model": nearest, "champion": darker}, 4)
    images = compare(
        crops, methods, scale=4, progress=lambda done, total: None, distances=[Roughness()]
    )
    dataset = DatasetRef(
        dataset="leaves",
        version="v" * 64,
        key="crops/leaves/versions/v.json",
        source="s3://photos/raw",
        scale=4,
        num_train_crops=40,
        num_eval_crops=6,
        num_train_photos=20,
        num_eval_photos=6,
        num_rejected=1,
        num_read=5,
        licence="CC BY 4.0",
    )
    stage = TrainedStage(
        run="adversarial-2",
        stage="adversarial",
        steps=1200,
        reused=False,
        curves={"loss": [(1, 0.5), (2, 0.25)], "psnr": [(2, 27.0)], "bicubic_psnr": [(2, 26.0)]},
        config={"content": {"kind": "mse"}},
        chosen="step 800, lowest distance at a validation, 0.2 (start 0.3)",
    )
    fields: dict[str, Any] = {
        "decision": PromotionDecision(
            model="leaves-x4",
            challenger=2,
            champion_before=1,
            promoted=True,
            reason="Version 2 <b>",
        ),
        "evidence": EVIDENCE,
        "made_at": "1 May 2026, 10:00 UTC",
        "evaluation": Report(
            dataset=dataset,
            scale=4,
            numerics_version="1",
            weights={},
            means=means(images),
            images=images,
        ),
        "stages": [stage],
        "details": most_different(crops, images, methods, scale=4),
        "licence": "CC BY 4.0",
        "photos": None,
        "costs": [Cost(job="now-a-1", stage="adversarial", cpus=2, gpus=1, seconds=100)],
        "flow_run": "now",
        "elapsed_s": 160.0,
        "links": {"Run in MLflow": "http://mlflow/#/runs/1"},
    }
    return Content(**(fields | changed))
