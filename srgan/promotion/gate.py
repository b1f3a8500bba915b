"""The gate: which figures decide about a challenger, and the verdict as a sentence.

`verdict_of` picks the rule that fits the two models and checks each of its demands in one report,
or in the report on each evaluation set.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from srgan.config import GateConfig
from srgan.config.networks import deciding
from srgan.measure.bootstrap import MIN_PHOTOS, Interval, paired_interval
from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL, Report, has_exact
from srgan.measure.guards import faults
from srgan.models.weights import GET_A_JUDGE
from srgan.promotion.opinions import OpinionPair
from srgan.promotion.teachers import refuse_without_judge

# PSNR is compared at the precision at which it is shown, so that the sentence of a decision
# never reads "31.050 dB is worse than 31.050 dB".
_DIGITS = 3


@dataclass(frozen=True)
class Opponent:
    """The method that the challenger is compared with."""

    name: str
    """Name among the methods of the report."""
    whose: str
    """``champion version 1's`` or ``bicubic's``."""


_BICUBIC = Opponent(BICUBIC, "bicubic's")


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict: whether the challenger becomes champion, and why in one sentence."""

    promoted: bool
    reason: str
    rule: str
    """The rule in words."""
    against: str
    """``champion``, or ``bicubic`` for a first version."""
    differences: Mapping[str, Interval]
    """Model minus `against` by figure, on the held-out crops."""
    on_sets: Mapping[str, Mapping[str, Interval]]
    """The same on each evaluation set."""


@dataclass(frozen=True)
class Check:
    """One demand of a rule."""

    holds: bool
    text: str
    """Finding in words, true whether the demand holds or not."""


def verdict_of(
    report: Report,
    gate: GateConfig,
    *,
    challenger: int,
    champion: int | None,
    sets: Mapping[str, Report] = MappingProxyType({}),
    opinion: OpinionPair | None = None,
) -> Verdict:
    """Decide by the figures and artifacts of one evaluation, all contestants on the same images.

    Without `sets` the held-out crops of `report` decide. With them the rule has to hold on each
    evaluation set, and on the held-out crops no output may be broken. If people have rated both
    versions, their `opinion` counts too.

    Models trained on pixels alone are compared by PSNR. If one of the two was trained on more,
    perceptual distances decide, and of these the ones whose judges taught neither, if there are
    any. Without a distance a first version is held against the floor only, and two versions are
    not compared: `ConfigError`. With a champion the report must have the champion's figures.
    """
    opponent = _BICUBIC if champion is None else _champion(champion)
    found = differences(report, opponent)
    on_sets = {name: differences(each, opponent) for name, each in sets.items()}
    if not _deciding_distances(report, opponent) and champion is not None:
        compared = {MODEL: f"version {challenger}", CHAMPION: f"champion version {champion}"}
        beyond = {words: name in report.beyond_pixels for name, words in compared.items()}
        refuse_without_judge(beyond, report.judges)
    rule, checks = _checks(report, gate, opponent, found)
    if sets:
        rule = f"on each of the evaluation sets {', '.join(sets)}: {rule}"
        checks = _broken_outputs(report)
        for name, each in sets.items():
            checks += [
                Check(check.holds, f"on {name} {check.text}")
                for check in _checks(each, gate, opponent, on_sets[name])[1]
            ]
    if opinion is not None:
        rule = f"{rule}; {_opinion_rule(gate)}"
        checks = [*checks, _opinion_within(opinion, opponent, gate.max_mos_loss)]
    promoted = all(check.holds for check in checks)
    reason = _sentence(checks, challenger=challenger, champion=champion)
    return Verdict(promoted, reason, rule, opponent.name, found, on_sets)


def differences(report: Report, opponent: Opponent) -> dict[str, Interval]:
    """Return model minus opponent with its interval, by figure.

    PSNR is compared without the images that are left out of its means. Figures that are not finite
    are left out, and all of them if there is only one photo.
    """
    found = {}
    for figure in report.means[MODEL].flat:
        images = [each for each in report.images if figure != "psnr" or not has_exact(each)]
        values = [
            image.figures[MODEL].flat[figure] - image.figures[opponent.name].flat[figure]
            for image in images
        ]
        interval = paired_interval(values, [image.source for image in images])
        if interval is not None:
            found[figure] = interval
    return found


# The rules.

_GUARDED = "no guard finds a broken output"
_PIXEL_RULE = (
    "models trained on pixels alone: PSNR (Y) better than bicubic's and not worse than the "
    f"champion's; {_GUARDED}"
)


def _perceptual_rule(gate: GateConfig) -> str:
    return (
        "models trained on more than pixels: perceptual distance lower than the champion's (for a "
        "first version: than bicubic's) with its 95 % interval below zero; PSNR (Y) at most "
        f"{gate.max_psnr_loss_db:.2f} dB below the champion's and "
        f"{gate.max_psnr_below_bicubic_db:.2f} dB below bicubic's; no photo's perceptual distance "
        f"more than {gate.max_distance_ratio:g} times bicubic's; {_GUARDED}"
    )


def _floor_rule(gate: GateConfig) -> str:
    return (
        "first version of a model trained on more than pixels, no perceptual network in the "
        f"bucket: PSNR (Y) at most {gate.max_psnr_below_bicubic_db:.2f} dB below bicubic's; "
        f"{_GUARDED}"
    )


def _opinion_rule(gate: GateConfig) -> str:
    margin = f" by more than {gate.max_mos_loss:.2f}" if gate.max_mos_loss else ""
    return f"mean opinion score not lower than the champion's{margin}"


def _checks(
    report: Report, gate: GateConfig, opponent: Opponent, found: dict[str, Interval]
) -> tuple[str, list[Check]]:
    """Return the rule that fits the two models, in words, and its checks on one report."""
    distances = _deciding_distances(report, opponent)
    if not {MODEL, opponent.name} & set(report.beyond_pixels):
        rule, checks = _PIXEL_RULE, _pixel_checks(report, opponent)
    elif distances:
        rule = _perceptual_rule(gate)
        checks = _perceptual_checks(report, gate, opponent, distances, found)
    else:
        rule, checks = _floor_rule(gate), _floor_checks(report, gate)
    # Figures of broken outputs mean nothing, so the faults are the whole reason.
    return rule, _broken_outputs(report) or checks


def _deciding_distances(report: Report, opponent: Opponent) -> list[str]:
    """Judges that taught neither of the two; all that decide if there are none."""
    measured = deciding(report.means[MODEL].distances)
    compared = {MODEL, opponent.name}
    fair = [name for name in measured if not compared & set(report.trained_on_judge.get(name, ()))]
    return fair or measured


def _champion(version: int) -> Opponent:
    return Opponent(CHAMPION, f"champion version {version}'s")


def _pixel_checks(report: Report, opponent: Opponent) -> list[Check]:
    checks = [_psnr_above(report, _BICUBIC)]
    return checks if opponent == _BICUBIC else [*checks, _psnr_within(report, opponent, 0.0)]


def _perceptual_checks(
    report: Report,
    gate: GateConfig,
    opponent: Opponent,
    distances: Sequence[str],
    found: dict[str, Interval],
) -> list[Check]:
    checks = [_closer(report, distance, opponent, found) for distance in distances]
    if opponent != _BICUBIC:
        checks.append(_psnr_within(report, opponent, gate.max_psnr_loss_db))
    checks.append(_psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db))
    ratio = gate.max_distance_ratio
    return checks + [_no_photo_worse(report, distance, ratio) for distance in distances]


def _floor_checks(report: Report, gate: GateConfig) -> list[Check]:
    nothing = f"nothing perceptual was measured, since no network is mirrored ({GET_A_JUDGE})"
    floor = _psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db)
    return [Check(True, nothing), Check(floor.holds, f"held against the floor alone, {floor.text}")]


def _sentence(checks: Sequence[Check], *, challenger: int, champion: int | None) -> str:
    failed = [check.text for check in checks if not check.holds]
    if failed:
        return f"Version {challenger} is refused: {'; '.join(failed)}."
    found = "; ".join(check.text for check in checks)
    if champion is None:
        return f"Version {challenger} becomes the first champion: {found}."
    return f"Version {challenger} replaces champion version {champion}: {found}."


# The checks.


def _broken_outputs(report: Report) -> list[Check]:
    """A failed check for each guard that catches an output of the model."""
    crops = [(image.source, image.signs[MODEL]) for image in report.images if image.signs]
    return [Check(False, fault) for fault in faults(crops)]


def _psnr_above(report: Report, opponent: Opponent) -> Check:
    """Mean PSNR is better than the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine > theirs
    return Check(
        holds,
        f"{mine:.3f} dB PSNR is {'' if holds else 'not '}better than {opponent.whose} "
        f"{theirs:.3f} dB",
    )


def _psnr_within(report: Report, opponent: Opponent, margin_db: float) -> Check:
    """Mean PSNR is at most `margin_db` below the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine >= round(theirs - margin_db, _DIGITS)
    below = f"more than {margin_db:.2f} dB below" if margin_db else "worse than"
    return Check(
        holds,
        f"{mine:.3f} dB PSNR is {'not ' if holds else ''}{below} {opponent.whose} {theirs:.3f} dB",
    )


def _closer(report: Report, distance: str, opponent: Opponent, found: dict[str, Interval]) -> Check:
    """The distance is lower than the opponent's, with the whole interval below zero."""
    mine, theirs = (report.means[name].distances[distance] for name in (MODEL, opponent.name))
    interval = found.get(distance)
    if interval is None:
        return Check(
            False,
            f"{distance} has no interval: it takes finite figures on {MIN_PHOTOS} held-out "
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


def _no_photo_worse(report: Report, distance: str, ratio: float) -> Check:
    """No photo's mean distance over its crops is more than `ratio` times bicubic's."""
    mine, bicubic = (_by_photo(report, name, distance) for name in (MODEL, BICUBIC))
    # Not `>`, because a NaN must fail the check.
    worse = {photo for photo, value in mine.items() if not value <= ratio * bicubic[photo]}
    if not worse:
        return Check(True, f"no photo's {distance} is more than {ratio:g} times bicubic's")
    worst = max(worse, key=lambda photo: mine[photo] / bicubic[photo] if bicubic[photo] else 0)
    return Check(
        False,
        f"{distance} is more than {ratio:g} times bicubic's on {len(worse)} of {len(mine)} photos, "
        f"the worst {worst} with {mine[worst]:.4f} against {bicubic[worst]:.4f}",
    )


def _opinion_within(found: OpinionPair, opponent: Opponent, max_loss: float) -> Check:
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


def _by_photo(report: Report, name: str, distance: str) -> dict[str, float]:
    crops: defaultdict[str, list[float]] = defaultdict(list)
    for image in report.images:
        crops[image.source].append(image.figures[name].distances[distance])
    return {photo: _mean(values) for photo, values in crops.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
