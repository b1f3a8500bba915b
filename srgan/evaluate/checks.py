"""What a rule of the gate asks for: one demand each, and what was found, in words."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from srgan.evaluate.bootstrap import Interval, paired_interval
from srgan.evaluate.comparison import BICUBIC
from srgan.evaluate.guards import faults
from srgan.evaluate.mos import OpinionPair
from srgan.evaluate.report import Report
from srgan.evaluate.spec import MODEL

# PSNR is compared at the precision at which it is shown, so that the sentence of a decision
# never reads "31.050 dB is worse than 31.050 dB".
_DIGITS = 3
_MAX_PSNR = 100.0  # a crop that comes out exact has none, and would be the mean
_MIN_PHOTOS = 2


@dataclass(frozen=True)
class Check:
    """One demand of a rule."""

    holds: bool
    text: str
    """What was found; true whether it holds or not."""


@dataclass(frozen=True)
class Opponent:
    """Whom the challenger is compared with."""

    name: str
    """Among the methods of the report."""
    whose: str
    """``champion version 1's`` or ``bicubic's``."""


def differences(report: Report, opponent: Opponent) -> dict[str, Interval]:
    """Model minus opponent of every figure, with its interval, by the figure's name.

    Figures that are not finite have none, and none has one where all crops are of one photo.
    """
    photos = [image.source for image in report.images]
    found = {}
    for figure in report.means[MODEL].flat:
        values = [
            _finite(image.figures[MODEL].flat[figure])
            - _finite(image.figures[opponent.name].flat[figure])
            for image in report.images
        ]
        if len(set(photos)) >= _MIN_PHOTOS and all(map(math.isfinite, values)):
            found[figure] = paired_interval(values, photos)
    return found


def broken_outputs(report: Report) -> list[Check]:
    """A failed check for each guard that does not let the model's outputs pass."""
    crops = [(image.source, image.signs[MODEL]) for image in report.images if image.signs]
    return [Check(False, fault) for fault in faults(crops)]


def psnr_above(report: Report, opponent: Opponent) -> Check:
    """Mean PSNR is better than the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine > theirs
    return Check(
        holds,
        f"{mine:.3f} dB PSNR is {'' if holds else 'not '}better than {opponent.whose} "
        f"{theirs:.3f} dB",
    )


def psnr_within(report: Report, opponent: Opponent, margin_db: float) -> Check:
    """Mean PSNR is at most `margin_db` below the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine >= round(theirs - margin_db, _DIGITS)
    below = f"more than {margin_db:.2f} dB below" if margin_db else "worse than"
    return Check(
        holds,
        f"{mine:.3f} dB PSNR is {'not ' if holds else ''}{below} {opponent.whose} {theirs:.3f} dB",
    )


def closer(report: Report, distance: str, opponent: Opponent, found: dict[str, Interval]) -> Check:
    """The distance is lower than the opponent's, its interval below zero."""
    mine, theirs = (report.means[name].distances[distance] for name in (MODEL, opponent.name))
    interval = found.get(distance)
    if interval is None:
        return Check(
            False,
            f"{distance} has no interval: it takes finite figures on {_MIN_PHOTOS} held-out "
            "photos or more (more photos, or a larger data.eval_share)",
        )
    holds = interval.high < 0
    taught = {MODEL, opponent.name} & set(report.trained_on_judge.get(distance, ()))
    return Check(
        holds,
        f"{distance} {mine:.4f}{' (trained on the judge)' if taught else ''} is "
        f"{'' if holds else 'not clearly '}lower than {opponent.whose} {theirs:.4f} (difference "
        f"{interval.mean:+.4f}, 95 % interval {interval.low:+.4f} to {interval.high:+.4f})",
    )


def no_photo_worse(report: Report, distance: str, ratio: float) -> Check:
    """No photo, by the mean of its crops, is farther from its original than bicubic's ·`ratio`."""
    mine, bicubic = (_by_photo(report, name, distance) for name in (MODEL, BICUBIC))
    # Not `>`: nothing that is no number lets a photo pass.
    worse = {photo for photo, value in mine.items() if not value <= ratio * bicubic[photo]}
    if not worse:
        return Check(True, f"no photo's {distance} is more than {ratio:g} times bicubic's")
    worst = max(worse, key=lambda photo: mine[photo] / bicubic[photo] if bicubic[photo] else 0)
    return Check(
        False,
        f"{distance} is more than {ratio:g} times bicubic's on {len(worse)} of {len(mine)} photos, "
        f"the worst {worst} with {mine[worst]:.4f} against {bicubic[worst]:.4f}",
    )


def opinion_within(found: OpinionPair, opponent: Opponent, max_loss: float) -> Check:
    """The mean opinion score is at most `max_loss` below the opponent's."""
    mine, theirs = (round(value, _DIGITS) for value in (found.challenger, found.champion))
    holds = mine >= round(theirs - max_loss, _DIGITS)
    below = f"more than {max_loss:.2f} below" if max_loss else "lower than"
    interval = found.difference
    sure = f", 95 % interval {interval.low:+.2f} to {interval.high:+.2f}" if interval else ""
    return Check(
        holds,
        f"mean opinion score {mine:.2f} is {'not ' if holds else ''}{below} {opponent.whose} "
        f"{theirs:.2f} ({found.num_raters} raters on {found.num_images} images{sure})",
    )


def _psnr(report: Report, opponent: Opponent) -> tuple[float, float]:
    mine, theirs = (round(report.means[name].psnr, _DIGITS) for name in (MODEL, opponent.name))
    return mine, theirs


def _finite(value: float) -> float:
    return _MAX_PSNR if value == math.inf else value


def _by_photo(report: Report, name: str, distance: str) -> dict[str, float]:
    crops: defaultdict[str, list[float]] = defaultdict(list)
    for image in report.images:
        crops[image.source].append(image.figures[name].distances[distance])
    return {photo: _mean(values) for photo, values in crops.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
