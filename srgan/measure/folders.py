"""PSNR, SSIM and distances of a folder of results against a folder of originals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import model_serializer

from srgan.errors import DataError, ImageError, first_few
from srgan.images.files import find_photos, read_photo
from srgan.images.photo import luma
from srgan.measure.comparison import Distance
from srgan.measure.evaluation import Figures, mean_figures
from srgan.measure.metrics import psnr, ssim
from srgan.refs import Ref

Pixels = NDArray[np.uint8]


class FolderQuality(Ref):
    """Figures of every result by its stem, and their mean.

    In JSON distances stand beside PSNR and SSIM, and an infinite PSNR is null.
    """

    mean: Figures
    images: dict[str, Figures]

    @model_serializer
    def _flat(self) -> dict[str, dict[str, float] | dict[str, dict[str, float]]]:
        images = {stem: figures.flat for stem, figures in self.images.items()}
        return {"mean": self.mean.flat, "images": images}


def compare_folders(
    hr: Path, sr: Path, *, scale: int, distances: Sequence[Distance] = ()
) -> FolderQuality:
    """Compare the photos of two folders by stem; a border of `scale` pixels is left out.

    Where sides differ by less than `scale`, the longer one is cropped at the right or the bottom:
    a result is that much smaller when `scale` does not divide its original. The original decides
    what is measured. A grayscale one is compared with the luma of a result in colours; an RGB one
    is measured on luma, even if its three channels are equal. `DataError` names the files that have
    no partner or do not fit.
    """
    originals, results = find_photos(hr), find_photos(sr)
    _check_partners(originals.keys() - results.keys(), "result", sr)
    _check_partners(results.keys() - originals.keys(), "original", hr)
    images = {
        stem: _measure(originals[stem], results[stem], scale, distances) for stem in originals
    }
    return FolderQuality(mean=mean_figures(list(images.values())), images=images)


def quality_table(quality: FolderQuality) -> str:
    """Lines of stem, PSNR, SSIM and distances, the mean last."""
    width = max(map(len, (*quality.images, "mean")))
    rows = [*quality.images.items(), ("mean", quality.mean)]
    names = list(quality.mean.distances)
    lines = ["  ".join([f"{'':<{width}}", "PSNR (Y)", "SSIM (Y)", *names])]
    for stem, one in rows:
        cells = [f"{stem:<{width}}", f"{one.psnr:5.2f} dB", f"{one.ssim:8.4f}"]
        cells += [f"{one.distances[name]:{len(name)}.4f}" for name in names]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def _check_partners(missing: set[str], what: str, folder: Path) -> None:
    if missing:
        shown = first_few(sorted(missing), ", ")
        raise DataError(f"no {what} in {folder} for: {shown}")


def _measure(original: Path, result: Path, scale: int, distances: Sequence[Distance]) -> Figures:
    hr, sr = _same_channels(_pixels(original), _pixels(result))
    (height, width), (rows, columns) = hr.shape[:2], sr.shape[:2]
    if max(abs(height - rows), abs(width - columns)) >= scale:
        raise DataError(
            f"{result} has {columns}×{rows} pixels and {original} {width}×{height}; for scale "
            f"{scale} they may differ by {scale - 1} at most"
        )
    inside = np.s_[: min(height, rows), : min(width, columns)]
    hr, sr = hr[inside], sr[inside]
    try:
        return Figures(
            psnr=psnr(hr, sr, border=scale),
            ssim=ssim(hr, sr, border=scale),
            distances={each.name: each(hr, sr, border=scale) for each in distances},
        )
    except ValueError as error:
        raise DataError(f"{result} cannot be measured: {error}") from error


def _pixels(path: Path) -> Pixels:
    try:
        return read_photo(path).pixels
    except ImageError as error:
        raise DataError(f"{path}: {error}") from error


def _same_channels(hr: Pixels, sr: Pixels) -> tuple[Pixels, Pixels]:
    """Both grayscale if the original is, otherwise both RGB."""
    if hr.ndim == sr.ndim:
        return hr, sr
    if hr.ndim == 2:
        return hr, luma(sr)
    return hr, np.repeat(sr[:, :, None], 3, axis=2)
