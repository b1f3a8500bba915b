"""PSNR, SSIM and distances of a folder of results against a folder of originals."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_serializer

from srgan.config.networks import MIN_SIDE
from srgan.errors import DataError, ImageError, first_few
from srgan.images.entries import Entries, stem_of
from srgan.images.files import by_stem, find_photos, look_in, read_photo
from srgan.images.photo import luma
from srgan.inference.memory import is_out_of_memory
from srgan.measure.comparison import Distance
from srgan.measure.evaluation import Figures, mean_figures
from srgan.measure.metrics import psnr, ssim
from srgan.readable import printable
from srgan.refs import Ref

Pixels = NDArray[np.uint8]


class FolderQuality(Ref):
    """Figures of every result by its stem, and their mean.

    In JSON distances stand beside PSNR and SSIM, and an infinite PSNR is null. ``identical``,
    ``failed`` and ``too_large`` are there only if they are not empty.
    """

    mean: Figures
    images: dict[str, Figures]
    failed: dict[str, str] = Field(default_factory=dict)
    """Photos, links and folders that could not be read or measured, with the reason."""
    too_large: dict[str, str] = Field(default_factory=dict)
    """Stems of results that lack distances, which they are too large for, with the reason. These
    distances have no mean then."""
    passed_over: tuple[str, ...] = ()
    """Files and folders on either side that are not photos."""

    @property
    def identical(self) -> list[str]:
        """Stems of results that equal their original, which the mean PSNR leaves out."""
        return [stem for stem, each in self.images.items() if each.psnr == math.inf]

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        images = {stem: figures.flat for stem, figures in self.images.items()}
        more = {"identical": self.identical, "failed": self.failed, "too_large": self.too_large}
        return {"mean": self.mean.flat, "images": images, **{k: v for k, v in more.items() if v}}


class FolderOriginals:
    """Photos of a folder as originals of one scale: uint8 (h, w, 3) or (h, w), by their stems.

    Sides are cut to multiples of the scale at the right and the bottom, as benchmarks do. One photo
    at a time is in memory. `DataError` if the folder holds no photos, and for one that cannot be
    read, is too small to measure, or too large for one of the `distances`.
    """

    def __init__(self, folder: Path, scale: int, distances: Sequence[Distance] = ()) -> None:
        self._photos = find_photos(folder)
        self._scale = scale
        self._distances = distances

    @property
    def names(self) -> list[str]:
        return list(self._photos)

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Pixels:
        path = list(self._photos.values())[index]
        try:
            pixels = read_photo(path).pixels
        except ImageError as error:
            raise DataError(f"{path}: {error}") from error
        height, width = pixels.shape[:2]
        least = MIN_SIDE + 2 * self._scale  # the border is not measured
        if min(height, width) < least:
            raise DataError(
                f"{path} has {width}×{height} pixels; at scale {self._scale} both sides need at "
                f"least {least}"
            )
        if too_large := _too_large(pixels, self._distances):
            raise DataError(f"{path}: {too_large}")
        return pixels[: height - height % self._scale, : width - width % self._scale]


def compare_folders(
    hr: Path,
    sr: Path,
    *,
    scale: int,
    distances: Sequence[Distance] = (),
    progress: Callable[[float, float], object] = lambda done, total: None,
) -> FolderQuality:
    """Compare the photos of two folders by stem; a border of `scale` pixels is left out.

    Where sides differ by less than `scale`, the longer one is cropped at the right or the bottom:
    a result is that much smaller when `scale` does not divide its original. The original decides
    what is measured. A grayscale one is compared with the luma of a result in colours; an RGB one
    is measured on luma, even if its three channels are equal. `progress` is told how many of how
    many images are measured. An entry that cannot be read, or whose sizes do not fit, costs only
    its own pair, also if memory runs out for it. A photo that is too large for a distance has the
    other figures. `DataError` names the files that have no partner; also if nothing could be
    measured.
    """
    found = [(folder, look_in(folder)) for folder in (hr, sr)]
    originals, results = (by_stem(folder, entries.photos) for folder, entries in found)
    failed = {printable(p): why for _, entries in found for p, why in entries.failed.items()}
    _check_partners(originals, results, _unreadable(found), (hr, sr))
    images: dict[str, Figures] = {}
    too_large: dict[str, str] = {}
    stems = sorted(originals.keys() | results.keys())
    for number, stem in enumerate(stems, start=1):
        pair = originals.get(stem), results.get(stem)
        try:
            images[stem], reason = _measure(*pair, scale, distances)
            if reason:
                too_large[stem] = reason
        except ImageError as error:
            failed[printable(pair[1] or pair[0] or stem)] = str(error)
        progress(number, len(stems))
    if not images:
        reasons = [f"{name}: {reason}" for name, reason in failed.items()]
        raise DataError(f"nothing could be measured: {first_few(reasons)}")
    return FolderQuality(
        mean=mean_figures(list(images.values())),
        images=images,
        failed=failed,
        too_large=too_large,
        passed_over=tuple(printable(path) for _, each in found for path in each.passed_over),
    )


def quality_table(quality: FolderQuality) -> str:
    """Lines of stem, PSNR, SSIM and distances, the mean last."""
    last = f"mean of {len(quality.images)}" if quality.failed else "mean"
    width = max(map(len, (*quality.images, last)))
    rows = [*quality.images.items(), (last, quality.mean)]
    names = list(dict.fromkeys(name for _, one in rows for name in one.distances))
    lines = ["  ".join([f"{'':<{width}}", "PSNR (Y)", "SSIM (Y)", *names])]
    for stem, one in rows:
        psnr_text = "    ∞" if one.psnr == math.inf else f"{one.psnr:5.2f}"
        cells = [f"{stem:<{width}}", f"{psnr_text} dB", f"{one.ssim:8.4f}"]
        cells += [
            f"{one.distances[name]:{len(name)}.4f}"
            if name in one.distances
            else f"{'–':>{len(name)}}"
            for name in names
        ]
        lines.append("  ".join(cells))
    if quality.identical:
        lines[-1] += f"  (PSNR without {len(quality.identical)} identical)"
    return "\n".join(lines)


def _unreadable(found: Sequence[tuple[Path, Entries]]) -> set[str]:
    """Names and stems of entries, among them folders, that cannot be read on either side."""
    names = [
        path.relative_to(folder).as_posix() for folder, entries in found for path in entries.failed
    ]
    return {printable(each) for name in names for each in (name, stem_of(name))}


def _check_partners(
    originals: Mapping[str, Path],
    results: Mapping[str, Path],
    unreadable: set[str],
    folders: tuple[Path, Path],
) -> None:
    """Raise `DataError` for stems without a partner, unless an unreadable entry may be the partner.

    A photo that cannot be read itself has no partner for that reason, and costs nothing else.
    """
    for here, there, what, folder in (
        (originals, results, "result", folders[1]),
        (results, originals, "original", folders[0]),
    ):
        alone = {
            stem
            for stem in here.keys() - there.keys()
            if not any(stem == each or stem.startswith(f"{each}/") for each in unreadable)
            and _is_readable(here[stem])
        }
        if alone:
            raise DataError(f"no {what} in {folder} for: {first_few(sorted(alone), ', ')}")


def _is_readable(path: Path) -> bool:
    try:
        read_photo(path)
    except ImageError:
        return False
    return True


def _too_large(hr: Pixels, distances: Sequence[Distance]) -> str | None:
    """Words for a photo that is too large for some of the distances; None if it is not."""
    height, width = hr.shape[:2]
    limits = {each.name: each.max_pixels for each in distances if each.max_pixels is not None}
    beyond = [name for name, most in limits.items() if height * width > most]
    if not beyond:
        return None
    return (
        f"{width}×{height} pixels are too many for {', '.join(beyond)}: at most "
        f"{min(limits.values()):,} are measured at once; measure crops"
    )


def _measure(
    original: Path | None, result: Path | None, scale: int, distances: Sequence[Distance]
) -> tuple[Figures, str | None]:
    """Figures of one pair, and why it lacks distances; `ImageError` if it cannot be measured."""
    try:
        hr, sr = _read(original, result, scale)
        fitting = [each for each in distances if not _too_large(hr, [each])]
        return _figures(hr, sr, scale, fitting), _too_large(hr, distances)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ImageError("out_of_memory", f"measure crops: {error}") from error


def _figures(hr: Pixels, sr: Pixels, scale: int, distances: Sequence[Distance]) -> Figures:
    try:
        return Figures(
            psnr=psnr(hr, sr, border=scale),
            ssim=ssim(hr, sr, border=scale),
            distances={each.name: each(hr, sr, border=scale) for each in distances},
        )
    except ValueError as error:
        raise ImageError("cannot_be_measured", str(error)) from error


def _read(original: Path | None, result: Path | None, scale: int) -> tuple[Pixels, Pixels]:
    """Both images of a pair, of one size and with the same channels."""
    if original is None or result is None:
        for alone in filter(None, (original, result)):
            read_photo(alone)  # its own reason comes first
        raise ImageError("no_partner", "the other side cannot be read")
    hr, sr = _same_channels(_pixels(original, result), _pixels(result, result))
    (height, width), (rows, columns) = hr.shape[:2], sr.shape[:2]
    if max(abs(height - rows), abs(width - columns)) >= scale:
        raise ImageError(
            "other_size",
            f"{columns}×{rows} pixels, but {original} has {width}×{height}; for scale {scale} they "
            f"may differ by {scale - 1} at most",
        )
    inside = np.s_[: min(height, rows), : min(width, columns)]
    return hr[inside], sr[inside]


def _pixels(path: Path, result: Path) -> Pixels:
    try:
        return read_photo(path).pixels
    except ImageError as error:
        if path == result:
            raise
        raise ImageError(error.reason, f"its original {path}: {error.detail}") from error


def _same_channels(hr: Pixels, sr: Pixels) -> tuple[Pixels, Pixels]:
    """Both grayscale if the original is, otherwise both RGB."""
    if hr.ndim == sr.ndim:
        return hr, sr
    if hr.ndim == 2:
        return hr, luma(sr)
    return hr, np.repeat(sr[:, :, None], 3, axis=2)
