"""What an evaluation found, as JSON in the bucket and as a table for people."""

from collections.abc import Sequence

import numpy as np

from srgan.refs import DatasetRef, Ref

TITLES = {
    "bicubic": "Bicubic",
    "pretrained": "Pretrained",
    "model": "SRGAN",
    "champion": "Champion",
}


PICTURE = "comparison.png"
"""Path of the comparison picture among the artifacts of the evaluation's MLflow run."""


class Figures(Ref):
    """Quality of one image, or the mean over images."""

    psnr: float
    """dB on the luma channel; infinite for identical images."""
    ssim: float
    """0..1 on the luma channel."""


class ImageFigures(Ref):
    """All methods on one held-out crop."""

    source: str
    """Key of the photo that the crop was cut from."""
    crop: int
    """Index among the held-out crops of the dataset version."""
    figures: dict[str, Figures]


class Report(Ref):
    """One evaluation, whole."""

    dataset: DatasetRef
    scale: int
    code_version: str
    weights: dict[str, str]
    """SHA-256 of each contestant's weights by its name; bicubic has none."""
    means: dict[str, Figures]
    images: list[ImageFigures]


def means(images: Sequence[ImageFigures]) -> dict[str, Figures]:
    """Mean over the images (not over their pixels), as the literature reports it."""
    return {
        name: Figures(
            psnr=float(np.mean([image.figures[name].psnr for image in images])),
            ssim=float(np.mean([image.figures[name].ssim for image in images])),
        )
        for name in images[0].figures
    }


def metrics_table(metrics: dict[str, dict[str, float]]) -> str:
    """Markdown table of `EvaluationRef.metrics`."""
    lines = ["| | PSNR (Y) | SSIM (Y) |", "|---|---:|---:|"]
    for name, title in TITLES.items():
        if name in metrics:
            figures = metrics[name]
            lines.append(f"| {title} | {figures['psnr']:.3f} dB | {figures['ssim']:.4f} |")
    return "\n".join(lines)


def one_line(metrics: dict[str, dict[str, float]]) -> str:
    """``Bicubic 28.43 dB, SRGAN 29.10 dB`` for logs."""
    shown = [name for name in TITLES if name in metrics]
    return ", ".join(f"{TITLES[name]} {metrics[name]['psnr']:.3f} dB" for name in shown)
