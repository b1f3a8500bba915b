"""Which figure to trust: rank correlations of PSNR, SSIM and distances with what people said."""

from collections.abc import Callable, Mapping

import numpy as np

from srgan.errors import DataError
from srgan.measure.figures import rises
from srgan.measure.intervals import CONFIDENCE, MIN_PHOTOS, MIN_RATERS, Interval, quantile
from srgan.mos.columns import Columns, Reals, means, ranks
from srgan.mos.ratings import reading_csv
from srgan.refs import Ref

FigureValues = Mapping[str, Mapping[tuple[str, str], float]]
"""Values by figure, and by method and image."""

_MIN_STIMULI = 6
_MAX_PARTS = 40
"""Parts of the photos, and of the raters, that a jackknife leaves out one after the other."""


class Agreement(Ref):
    """Rank correlation of a figure with mean opinion scores; 1 where both rank in the same order.

    The sign of distances is turned, so that 1 is the best of every figure.
    """

    spearman: float
    spearman_interval: Interval | None
    kendall: float
    """Kendall's tau-b."""
    kendall_interval: Interval | None
    num_stimuli: int
    """Images of methods that were both measured and rated."""


def agreement(ratings: Columns, measured: FigureValues) -> dict[str, Agreement]:
    """Correlate each figure with the mean opinion scores of the same images, over all of them.

    Figures that are not finite (PSNR of the original) are left out with their images. A figure
    with fewer than 6 images, or the same on all of them, is left out as a whole, and so are all
    figures where people gave all images the same score.
    """
    codes = {
        (method, image): i * len(ratings.methods) + m
        for m, method in enumerate(ratings.methods)
        for i, image in enumerate(ratings.images)
    }
    opinion = means(ratings.score, ratings.stimulus, ratings.num_stimuli)
    found = {}
    for figure, values in measured.items():
        value = np.full(ratings.num_stimuli, np.nan)
        for key, number in values.items():
            if key in codes:
                value[codes[key]] = number if rises(figure) else -number
        chosen = np.isfinite(value) & np.isfinite(opinion)
        if chosen.sum() >= _MIN_STIMULI and np.ptp(value[chosen]) and np.ptp(opinion[chosen]):
            found[figure] = _agreement(ratings, np.where(chosen, value, np.nan))
    return found


def parse_measured(name: str, data: bytes) -> dict[str, dict[tuple[str, str], float]]:
    """Parse a CSV with the columns method and image and one more for each figure.

    `DataError` names the line of a value that is not a number. An empty cell was not measured.
    """
    with reading_csv(name, data) as reader:
        rows = [(reader.line_num, row) for row in reader]
        columns = reader.fieldnames or ()
    if not {"method", "image"} < set(columns):
        raise DataError(f"{name} needs the columns method and image, and one for each figure")
    found: dict[str, dict[tuple[str, str], float]] = {
        each: {} for each in columns if each not in ("method", "image")
    }
    for line, row in rows:
        for figure, values in found.items():
            if cell := row[figure]:
                try:
                    values[row["method"], row["image"]] = float(cell)
                except (ValueError, TypeError) as error:  # a list of cells beyond the header
                    raise DataError(f"{name}, line {line}: {figure} is {cell!r}") from error
    return found


def _agreement(ratings: Columns, value: Reals) -> Agreement:
    from scipy.stats import kendalltau  # a second, and most commands need none

    scores = _Scores(ratings, value)
    # scipy's spearmanr spends most of its time on checks, and the jackknife calls it often.
    spearman, spearman_interval = scores.correlation(
        lambda a, b: float(np.corrcoef(ranks(a), ranks(b))[0, 1])
    )
    kendall, kendall_interval = scores.correlation(lambda a, b: float(kendalltau(a, b)[0]))
    return Agreement(
        spearman=spearman,
        spearman_interval=spearman_interval,
        kendall=kendall,
        kendall_interval=kendall_interval,
        num_stimuli=int(np.isfinite(value).sum()),
    )


class _Scores:
    """Mean opinion scores of stimuli, with and without parts of the images and of the raters."""

    def __init__(self, ratings: Columns, value: Reals) -> None:
        self._value = value
        # Only photos that were measured and who rated those: leaving out others changes nothing.
        measured = np.isfinite(value)
        ratings = ratings.only(measured[ratings.stimulus])
        raters, rater = np.unique(ratings.rater, return_inverse=True)
        num_stimuli, num_raters = ratings.num_stimuli, len(raters)
        shown = ratings.photos.repeat(len(ratings.methods))
        photos, photo = np.unique(shown[measured], return_inverse=True)
        self._few = len(photos) < MIN_PHOTOS or num_raters < MIN_RATERS
        self._num_parts = min(len(photos), _MAX_PARTS)
        self._part = np.full(num_stimuli, -1)
        self._part[measured] = photo % self._num_parts
        shape = min(num_raters, _MAX_PARTS), num_stimuli
        cell = rater % shape[0] * num_stimuli + ratings.stimulus
        self._sums = np.bincount(cell, ratings.score, shape[0] * shape[1]).reshape(shape)
        self._counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)

    def correlation(self, of: Callable[[Reals, Reals], float]) -> tuple[float, Interval | None]:
        """Return the correlation and its interval for other images and other people.

        The interval is a two-way jackknife on Fisher's scale: the variance when one part of the
        photos at a time is left out plus the one when a part of the raters is, as for mean
        opinion scores. A part is one of them where there are at most 40.
        """
        sums, counts = self._sums.sum(axis=0), self._counts.sum(axis=0)
        found = _ranked(of, sums, counts, self._value)
        if self._few or abs(found) == 1:
            return found, None
        by_image = [
            _ranked(of, sums, counts, np.where(self._part == part, np.nan, self._value))
            for part in range(self._num_parts)
        ]
        by_rater = [
            _ranked(of, sums - s, counts - c, self._value)
            for s, c in zip(self._sums, self._counts, strict=True)
        ]
        variance = _jackknife(by_image) + _jackknife(by_rater)
        freedom = min(len(by_image), len(by_rater)) - 1
        middle, half = np.arctanh(found), quantile(freedom, CONFIDENCE) * variance**0.5
        low, high = np.tanh([middle - half, middle + half])
        return found, Interval(mean=found, low=float(low), high=float(high))


def _ranked(of: Callable[[Reals, Reals], float], sums: Reals, counts: Reals, value: Reals) -> float:
    chosen = (counts > 0) & np.isfinite(value)
    figures, scores = value[chosen], sums[chosen] / counts[chosen]
    # Without one part all may be the same, which ranks nothing.
    return of(figures, scores) if np.ptp(figures) and np.ptp(scores) else 0.0


def _jackknife(correlations: list[float]) -> float:
    """Variance on Fisher's scale of a correlation from those without one part each."""
    # A correlation of 1 without one part has no place on that scale.
    z = np.arctanh(np.clip(correlations, -1 + 1e-9, 1 - 1e-9))
    return float((len(z) - 1) * z.var())
