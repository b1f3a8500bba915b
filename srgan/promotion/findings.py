"""Findings of the gate: single demands on the figures of a report, in words."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from srgan.measure.evaluation import BICUBIC, MODEL, Report, has_exact
from srgan.measure.figures import OPINION, figure_text, interval_text, rises
from srgan.measure.guards import faults
from srgan.measure.intervals import (
    CONFIDENCE,
    MIN_PHOTOS,
    MIN_RATERS,
    Interval,
    fewest_photos,
    paired_interval,
    photo_means,
    sign_flip_p,
)
from srgan.promotion.opinions import OpinionPair

# PSNR is compared at the precision at which it is shown, so that the sentence of a decision
# never reads "31.050 dB is worse than 31.050 dB".
_DIGITS = 3
_MORE_PHOTOS = (
    "add photos; a larger data.eval_share applies to new photos only, or to all under another "
    "dataset's name"
)


@dataclass(frozen=True)
class Opponent:
    """The method that the challenger is compared with."""

    name: str
    """Name among the methods of the report."""
    whose: str
    """``champion version 1's`` or ``bicubic's``."""


@dataclass(frozen=True)
class GateCheck:
    """One demand of a rule."""

    holds: bool
    text: str
    """Finding in words, true whether the demand holds or not."""


def confidence_of(attempt: int, num_judges: int = 1) -> float:
    """Return the confidence of the interval by which attempt number `attempt` may win.

    Attempt k of a chain may err in 1 / (k · (k + 1)) of 5 %, which add up to 5 % over all attempts,
    and half of that errs towards a promotion. Judges of whom one is enough share it equally
    (Bonferroni; for one success out of several, Holm's procedure is the same). The price: attempt 1
    with one judge needs an interval of 97.5 %, attempt 10 one of 99.95 %.

    Student's t keeps to that for about normal differences. So a gain also needs a `sign_flip_p` of
    at most half of that error, which holds for every symmetric distribution.
    """
    assert attempt >= 1, attempt
    assert num_judges >= 1, num_judges
    return 1 - (1 - CONFIDENCE) / (attempt * (attempt + 1) * num_judges)


def difference(
    report: Report, figure: str, opponent: Opponent, confidence: float
) -> Interval | None:
    """Model minus opponent; PSNR without the images that are left out of its means."""
    return paired_interval(*_differences(report, figure, opponent), confidence)


def _differences(report: Report, figure: str, opponent: Opponent) -> tuple[list[float], list[str]]:
    """Model minus opponent on each image, and the images' photos."""
    images = [each for each in report.images if figure != "psnr" or not has_exact(each)]
    values = [
        image.figures[MODEL].flat[figure] - image.figures[opponent.name].flat[figure]
        for image in images
    ]
    return values, [image.source for image in images]


def broken_outputs(report: Report) -> list[GateCheck]:
    """A failed check for each guard that catches an output of the model."""
    crops = [(image.source, image.signs[MODEL]) for image in report.images if image.signs]
    return [GateCheck(False, fault.text) for fault in faults(crops).values()]


@dataclass(frozen=True)
class Finding:
    """Comparison of the model with its opponent by one figure."""

    is_gain: bool
    """True if the whole interval is a gain."""
    refuses: bool
    """True if the whole 95 % interval is a loss, or if it cannot be computed."""
    text: str


def finding(
    report: Report, figure: str, opponent: Opponent, attempt: int, num_judges: int = 1
) -> Finding:
    """Compare by one figure; `num_judges` share the error of the attempt."""
    confidence = confidence_of(attempt, num_judges)
    strict = difference(report, figure, opponent, confidence)
    usual = difference(report, figure, opponent, CONFIDENCE)
    if strict is None or usual is None:
        num_photos = len({image.source for image in report.images})
        few = fewest_photos((1 - confidence) / 2)
        return Finding(
            False,
            True,
            f"{_short(figure)} has no interval: it takes finite figures on {MIN_PHOTOS} photos or "
            f"more, for a gain on {few}, and {num_photos} were measured ({_MORE_PHOTOS})",
        )
    is_gain, is_loss = (_is_gain(figure, strict), _is_loss(figure, usual))
    doubt = _doubt(report, figure, opponent, confidence) if is_gain else ""
    is_gain = is_gain and not doubt
    better, worse = ("higher", "lower") if rises(figure) else ("lower", "higher")
    word = f"clearly {worse}" if is_loss else better if is_gain else f"not clearly {better}"
    shown, percent = (usual, CONFIDENCE) if is_loss else (strict, confidence)
    mine, theirs = (
        figure_text(figure, report.means[name].flat[figure]) for name in (MODEL, opponent.name)
    )
    tries = f" at attempt {attempt}" if attempt > 1 else ""
    return Finding(
        is_gain,
        is_loss,
        f"{_short(figure)} {mine} is {word} than {opponent.whose} {theirs} (difference over photos "
        f"{figure_text(figure, shown.mean, signed=True)}, {100 * percent:.6g} % interval "
        f"{interval_text(figure, shown)}{tries}{doubt})",
    )


def _doubt(report: Report, figure: str, opponent: Opponent, confidence: float) -> str:
    """Say why signs may have made a gain by chance, or how many photos exclude it; "" if not."""
    means = photo_means(*_differences(report, figure, opponent))
    error = (1 - confidence) / 2
    found = sign_flip_p(means if rises(figure) else -means, error)
    if found <= error:
        return ""
    if (few := fewest_photos(error)) > len(means):
        return (
            f"; to be a gain it takes {few} photos or more, and {len(means)} were measured: "
            f"{_MORE_PHOTOS}"
        )
    return (
        f"; of equal models {100 * found:.3g} % show as much by the signs of their differences, "
        f"and at most {100 * error:.3g} % may"
    )


def _is_gain(figure: str, interval: Interval) -> bool:
    return interval.low > 0 if rises(figure) else interval.high < 0


def _is_loss(figure: str, interval: Interval) -> bool:
    return interval.high < 0 if rises(figure) else interval.low > 0


def _short(figure: str) -> str:
    return "PSNR" if figure == "psnr" else figure


def psnr_within(report: Report, opponent: Opponent, margin_db: float) -> GateCheck:
    """Mean PSNR is at most `margin_db` below the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine >= round(theirs - margin_db, _DIGITS)
    below = f"more than {margin_db:.2f} dB below" if margin_db else "worse than"
    return GateCheck(
        holds,
        f"{mine:.3f} dB PSNR is {'not ' if holds else ''}{below} {opponent.whose} {theirs:.3f} dB",
    )


def no_photo_worse(report: Report, distance: str, ratio: float) -> GateCheck:
    """No photo's mean distance over its crops is more than `ratio` times bicubic's."""
    mine, bicubic = (_by_photo(report, name, distance) for name in (MODEL, BICUBIC))
    # Not `>`, because a NaN must fail the check.
    worse = {photo for photo, value in mine.items() if not value <= ratio * bicubic[photo]}
    if not worse:
        return GateCheck(True, f"no photo's {distance} is more than {ratio:g} times bicubic's")
    worst = max(worse, key=lambda photo: mine[photo] / bicubic[photo] if bicubic[photo] else 0)
    return GateCheck(
        False,
        f"{distance} is more than {ratio:g} times bicubic's on {len(worse)} of {len(mine)} photos, "
        f"the worst {worst} with {mine[worst]:.4f} against {bicubic[worst]:.4f}",
    )


def opinion_within(found: OpinionPair, opponent: Opponent, max_loss: float) -> GateCheck:
    """The interval of mean opinion scores rules out a loss of more than `max_loss`."""
    people = f"{found.num_raters} raters on {found.num_images} images"
    if found.num_rejected:
        people += f" without {found.num_rejected} that screening rejected"
    interval = found.difference
    if interval is None:
        return GateCheck(
            True,
            f"mean opinion scores do not count yet: both versions were rated by {people}, and it "
            f"takes {MIN_RATERS} raters and {MIN_PHOTOS} images",
        )
    holds = interval.low >= -max_loss
    verb = "is not" if holds else "is" if interval.high < -max_loss else "may be"
    return GateCheck(
        holds,
        f"mean opinion score {found.challenger:.2f} {verb} more than {max_loss:.2f} below "
        f"{opponent.whose} {found.champion:.2f} ({people}, 95 % interval of the difference "
        f"{interval_text(OPINION, interval)})",
    )


def _psnr(report: Report, opponent: Opponent) -> tuple[float, float]:
    mine, theirs = (round(report.means[name].psnr, _DIGITS) for name in (MODEL, opponent.name))
    return mine, theirs


def _by_photo(report: Report, name: str, distance: str) -> dict[str, float]:
    crops: defaultdict[str, list[float]] = defaultdict(list)
    for image in report.images:
        crops[image.source].append(image.figures[name].flat[distance])
    return {photo: _mean(values) for photo, values in crops.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
