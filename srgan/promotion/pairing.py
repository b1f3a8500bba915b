"""Compare two model versions by the figures of recorded evaluations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from srgan.config.networks import deciding_judges
from srgan.errors import ConfigError, DataError
from srgan.keys import evaluations_prefix, report_key, set_report_key
from srgan.measure.evaluation import ImageFigures, Report, has_exact
from srgan.measure.figures import PIXEL_FIGURES
from srgan.measure.intervals import Interval, paired_interval
from srgan.models.weights import GET_A_JUDGE
from srgan.refs import ModelRef
from srgan.settings import Settings
from srgan.storage import ObjectStore, read_document


@dataclass(frozen=True)
class Side:
    """One version in one report."""

    report: Report
    key: str
    name: str
    """Contestant that it is in the report."""

    @property
    def where(self) -> str:
        """The images that it was measured on."""
        on, dataset = self.report.on, self.report.dataset
        if on is not None:
            return f"evaluation set {on.name} {on.version}"
        return f"held-out crops of {dataset.dataset} {dataset.version}"


@dataclass(frozen=True)
class Pairing:
    """Two versions on the same images."""

    first: Side
    second: Side

    @property
    def where(self) -> str:
        """The images that both were measured on."""
        return self.first.where

    @property
    def figures(self) -> list[str]:
        """Figures that both have; distances only if the same weights judged both."""
        mine, theirs = (side.report.means[side.name].flat for side in (self.first, self.second))
        both = [name for name in mine if name in theirs]
        if self.first.report.judges == self.second.report.judges:
            return both
        return [name for name in both if name in PIXEL_FIGURES]

    @property
    def is_perceptual_enough(self) -> bool:
        """True unless only PSNR and SSIM compare models that were trained on more than pixels."""
        return any(map(self._suits, self.figures))

    def decides(self, figure: str) -> bool:
        """True if a figure is fair to both.

        PSNR and SSIM are fair only if both were trained on pixels alone, a judge only if its
        network taught neither and the gate counts it.
        """
        return self._suits(figure) and not any(self.taught(figure))

    def _suits(self, figure: str) -> bool:
        beyond = any(side.name in side.report.beyond_pixels for side in (self.first, self.second))
        if figure in PIXEL_FIGURES:
            return not beyond
        return figure in deciding_judges(self.figures)

    def taught(self, figure: str) -> tuple[bool, bool]:
        """Tell for each of the two whether it was trained on the judge of this distance."""
        first, second = (
            side.name in side.report.trained_on_judge.get(figure, ())
            for side in (self.first, self.second)
        )
        return first, second

    @property
    def same_code(self) -> bool:
        """True if the same code measured both."""
        return self.first.report.numerics_version == self.second.report.numerics_version

    def means(self, figure: str) -> tuple[float, float]:
        """Means of the first and of the second."""
        first, second = (
            side.report.means[side.name].flat[figure] for side in (self.first, self.second)
        )
        return first, second

    def difference(self, figure: str) -> Interval | None:
        """First minus second, paired by crop; None without an interval."""
        theirs = {_crop(image): image for image in self.second.report.images}
        photos, values = [], []
        for image in self.first.report.images:
            other = theirs[_crop(image)]
            if figure == "psnr" and (has_exact(image) or has_exact(other)):
                continue  # left out of the means too
            photos.append(image.source)
            values.append(
                image.figures[self.first.name].flat[figure]
                - other.figures[self.second.name].flat[figure]
            )
        return paired_interval(values, photos)


def find_pairings(
    store: ObjectStore, first: ModelRef, second: ModelRef, settings: Settings
) -> list[Pairing]:
    """Pair both versions wherever they were measured on the same images, held-out crops first.

    If several pairs are on the same images, one from a single evaluation is preferred, then one
    from the same code. `DataError` with the command that measures them if no evaluation did.
    `ConfigError` with the command that gets a judge if they were trained on more than pixels and
    only PSNR and SSIM were measured.
    """
    measure = settings.run_command("evaluate-model/evaluate-model", model=first.uri, dataset="NAME")
    runs = dict.fromkeys((first.run, second.run))
    mine, theirs = (
        [side for run in runs for side in _sides(store, run, version)]
        for version in (first, second)
    )
    best: dict[str, Pairing] = {}
    for pair in (Pairing(a, b) for a in mine for b in theirs if _images(a) == _images(b)):
        known = best.get(pair.where)
        if known is None or _rank(pair) > _rank(known):
            best[pair.where] = pair
    if not best:
        raise DataError(
            f"no evaluation has measured {first.uri} and {second.uri} on the same images; have "
            f"both measured on one dataset (each by `{measure}`), then compare again"
        )
    if not any(pair.is_perceptual_enough for pair in best.values()):
        raise ConfigError(
            f"{first.uri} and {second.uri} cannot be compared: PSNR alone is not fair to a model "
            "trained on more than pixels (a GAN stage, a feature loss, or training elsewhere), "
            f"and no perceptual distance was measured of both. Get a network with {GET_A_JUDGE}, "
            f"have both measured on one dataset (each by `{measure}`), then compare again"
        )
    return sorted(best.values(), key=lambda pair: (pair.first.report.on is not None, pair.where))


def _rank(pair: Pairing) -> tuple[bool, bool, bool]:
    return pair.is_perceptual_enough, pair.first.key == pair.second.key, pair.same_code


def _sides(store: ObjectStore, run: str, version: ModelRef) -> Iterator[Side]:
    """Find the version in the evaluations of the checkpoint of `run`."""
    for key in sorted(info.key for info in store.list(evaluations_prefix(run))):
        if not (report_key.names(key) or set_report_key.names(key)):
            continue
        report = read_document(store, key, Report, mend=f"measure {version.uri} again")
        for name, digest in report.weights.items():
            if digest == version.weights_digest:
                yield Side(report, key, name)


def _images(side: Side) -> tuple[str, int, Sequence[tuple[str, int]]]:
    return side.where, side.report.scale, sorted(map(_crop, side.report.images))


def _crop(image: ImageFigures) -> tuple[str, int]:
    return image.source, image.crop
