"""Reports of evaluations with the figures that a test asks for."""

from srgan.config import GateConfig
from srgan.config.networks import DISTANCES
from srgan.measure.evaluation import Figures, ImageFigures, Report, means
from srgan.measure.guards import Artifacts
from srgan.promotion.gate import Verdict, verdict_of
from srgan.refs import DatasetRef

GOOD = Artifacts(
    finite=True, contrast=1.1, brightness_shift=0.3, colour_shift=-0.2, checkerboard=0.1
)


def report(
    psnr: dict[str, float],
    distances: dict[str, dict[str, float]] | None = None,
    *,
    beyond_pixels: list[str] | None = None,
    trained_on_judge: dict[str, list[str]] | None = None,
    num_photos: int = 8,
    jitter: float = 0.0,
    artifacts: Artifacts = GOOD,
    size: tuple[int, int] | None = None,
) -> Report:
    """An evaluation of two crops of each photo; `distances` by network, then by contestant.

    Photos are harder or easier for all contestants alike; `jitter` is what the model's distances
    and PSNR differ by besides, up and down in turn.
    """
    distances = distances or {}

    def figures(name: str, photo: int) -> Figures:
        own = jitter * (-1) ** photo if name == "model" else 0.0
        return Figures(
            psnr=psnr[name] + photo - (num_photos - 1) / 2 + own,
            ssim=0.8,
            distances={d: values[name] + own for d, values in distances.items()},
        )

    images = [
        ImageFigures(
            source=f"{photo}.png",
            crop=2 * photo + crop,
            size=size,
            figures={name: figures(name, photo) for name in psnr},
            signs=dict.fromkeys(psnr, GOOD) | {"model": artifacts},
        )
        for photo in range(num_photos)
        for crop in range(2)
    ]
    return Report(
        dataset=dataset(),
        scale=4,
        numerics_version="1",
        weights={},
        judges={network: "0" * 64 for network, name in DISTANCES.items() if name in distances},
        trained_on_judge=trained_on_judge or {},
        beyond_pixels=beyond_pixels or [],
        means=means(images),
        images=images,
    )


def decided(report: Report, *, challenger: int, champion: int | None) -> Verdict:
    """The verdict of the default rules."""
    return verdict_of(report, GateConfig(), challenger=challenger, champion=champion)


def pixels(**psnr: float) -> Report:
    return report(psnr)


def dataset(version: str = "v1", num_read: int = 0) -> DatasetRef:
    return DatasetRef(
        dataset="leaves",
        version=version,
        key=f"crops/leaves/versions/{version}.json",
        source="s3://bucket/raw",
        scale=4,
        num_train_crops=4,
        num_eval_crops=2,
        num_train_photos=2,
        num_eval_photos=1,
        num_rejected=0,
        num_read=num_read,
    )


def gans(
    psnr: dict[str, float], distances: dict[str, dict[str, float]] | None = None, **options: object
) -> Report:
    return report(psnr, distances, beyond_pixels=["model", "champion"], **options)  # type: ignore[arg-type]
