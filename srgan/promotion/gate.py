"""The gate: which figures decide about a challenger, and the verdict as a sentence.

`verdict_of` picks the rule that fits the two models and checks each of its demands in one report,
or in the report on each evaluation set.

A gain counts when its whole interval is a gain. The newer of two equal models is promoted in at
most 2.5 % of all cases, however many judges there are and however often a model is trained again
until a promotion: see `confidence_of`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from srgan.config import GateConfig
from srgan.config.networks import deciding_judges
from srgan.errors import ConfigError
from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL, Report, has_exact
from srgan.measure.figures import OPINION, PIXEL_FIGURES, figure_text, interval_text, rises
from srgan.measure.guards import faults
from srgan.measure.intervals import (
    CONFIDENCE,
    MIN_PHOTOS,
    MIN_RATERS,
    Interval,
    paired_interval,
)
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


def confidence_of(attempt: int, num_judges: int = 1) -> float:
    """Return the confidence of the interval by which attempt number `attempt` may win.

    Attempt k of a chain may err in 1 / (k · (k + 1)) of 5 %, which add up to 5 % over all attempts,
    and half of that errs towards a promotion. Judges of whom one is enough share it equally
    (Bonferroni; for one success out of several, Holm's procedure is the same). The price: attempt 1
    with one judge needs an interval of 97.5 %, attempt 10 one of 99.95 %.
    """
    assert attempt >= 1, attempt
    assert num_judges >= 1, num_judges
    return 1 - (1 - CONFIDENCE) / (attempt * (attempt + 1) * num_judges)


def verdict_of(
    report: Report,
    gate: GateConfig,
    *,
    challenger: int,
    champion: int | None,
    sets: Mapping[str, Report] = MappingProxyType({}),
    opinion: OpinionPair | None = None,
    attempt: int = 1,
) -> Verdict:
    """Decide by the figures and artifacts of one evaluation, all contestants on the same images.

    Without `sets` the held-out crops of `report` decide. With them the rule has to hold on each
    evaluation set, and on the held-out crops no output may be broken. If people have rated both
    versions, their `opinion` counts too. `attempt` is 1 plus the number of refusals since the
    champion became champion.

    Models trained on pixels alone are compared by PSNR. If one of the two was trained on more, the
    judges decide: the perceptual figures of the report, or those of them that the gate names, and
    never one that taught one of the two. Without a judge a first version is held against the floor
    only, and two versions are not compared: `ConfigError`. It is one too if a judge that the gate
    names was not measured. With a champion the report must have the champion's figures.
    """
    opponent = _BICUBIC if champion is None else _champion(champion)
    found = differences(report, opponent)
    on_sets = {name: differences(each, opponent) for name, each in sets.items()}
    beyond = {MODEL, opponent.name} & set(report.beyond_pixels)
    if beyond and champion is not None and not _judges(report, gate, opponent):
        compared = {MODEL: f"version {challenger}", CHAMPION: f"champion version {champion}"}
        refuse_without_judge({words: name in beyond for name, words in compared.items()}, [])
    rule, checks = _checks(report, gate, opponent, attempt)
    if sets:
        rule = f"on each of the evaluation sets {', '.join(sets)}: {rule}"
        checks = _broken_outputs(report)
        for name, each in sets.items():
            checks += [
                Check(check.holds, f"on {name} {check.text}")
                for check in _checks(each, gate, opponent, attempt)[1]
            ]
    if opinion is not None:
        rule = f"{rule}; {_opinion_rule(gate)}"
        checks = [*checks, _opinion_within(opinion, opponent, gate.max_mos_loss)]
    promoted = all(check.holds for check in checks)
    reason = _sentence(checks, challenger=challenger, champion=champion)
    return Verdict(promoted, reason, rule, opponent.name, found, on_sets)


def differences(report: Report, opponent: Opponent) -> dict[str, Interval]:
    """Return model minus opponent with its 95 % interval, by figure.

    Figures without an interval are left out: they are not finite, or too few photos were measured.
    """
    found = {
        figure: _difference(report, figure, opponent, CONFIDENCE)
        for figure in report.means[MODEL].flat
    }
    return {figure: interval for figure, interval in found.items() if interval is not None}


def _difference(
    report: Report, figure: str, opponent: Opponent, confidence: float
) -> Interval | None:
    """Model minus opponent; PSNR without the images that are left out of its means."""
    images = [each for each in report.images if figure != "psnr" or not has_exact(each)]
    values = [
        image.figures[MODEL].flat[figure] - image.figures[opponent.name].flat[figure]
        for image in images
    ]
    return paired_interval(values, [image.source for image in images], confidence)


# The rules.

_GUARDED = "no guard finds a broken output"
_SHARED = (
    "the interval of a gain has 1 / (k · (k + 1)) of 5 % error at attempt k against this champion"
)
_PIXEL_RULE = (
    "models trained on pixels alone: PSNR (Y) better than the champion's and than bicubic's, each "
    f"with its whole interval; {_SHARED}; {_GUARDED}"
)


def _perceptual_rule(gate: GateConfig, judges: Sequence[str]) -> str:
    return (
        f"models trained on more than pixels, judged by {_listed(judges)}, which taught neither: "
        "at least one judge finds the model better than the champion (for a first version: than "
        "bicubic) with its whole interval, and no judge finds it worse with its whole 95 % "
        f"interval; {_SHARED}, shared equally by the judges; PSNR (Y) at most "
        f"{gate.max_psnr_loss_db:.2f} dB below the champion's and "
        f"{gate.max_psnr_below_bicubic_db:.2f} dB below bicubic's; no photo's distance more "
        f"than {gate.max_distance_ratio:g} times bicubic's; {_GUARDED}"
    )


def _floor_rule(gate: GateConfig) -> str:
    return (
        "first version of a model trained on more than pixels, no judge that did not teach it: "
        f"PSNR (Y) at most {gate.max_psnr_below_bicubic_db:.2f} dB below bicubic's; {_GUARDED}"
    )


def _opinion_rule(gate: GateConfig) -> str:
    return (
        f"mean opinion score at most {gate.max_mos_loss:.2f} below the champion's with its whole "
        f"95 % interval, if {MIN_RATERS} people or more rated both on {MIN_PHOTOS} images or more"
    )


def _checks(
    report: Report, gate: GateConfig, opponent: Opponent, attempt: int
) -> tuple[str, list[Check]]:
    """Return the rule that fits the two models, in words, and its checks on one report."""
    if not {MODEL, opponent.name} & set(report.beyond_pixels):
        rule, checks = _PIXEL_RULE, _pixel_checks(report, opponent, attempt)
    elif judges := _judges(report, gate, opponent):
        rule = _perceptual_rule(gate, judges)
        checks = _perceptual_checks(report, gate, opponent, judges, attempt)
    else:
        rule, checks = _floor_rule(gate), _floor_checks(report, gate)
    # Figures of broken outputs mean nothing, so the faults are the whole reason.
    return rule, _broken_outputs(report) or checks


def _judges(report: Report, gate: GateConfig, opponent: Opponent) -> list[str]:
    """Figures that judge: those that the gate names, or all that decide; none that taught one."""
    measured = [name for name in report.means[MODEL].flat if name not in PIXEL_FIGURES]
    if missing := [name for name in gate.judges if name not in measured]:
        raise ConfigError(
            f"gate.judges names {_listed(missing)}, but the evaluation has measured "
            f"{_listed(measured) or 'no perceptual figure'}; put the network into the bucket with "
            "`srgan weights mirror`, or name other judges, then decide again"
        )
    compared = {MODEL, opponent.name}
    fair = [name for name in measured if not compared & set(report.trained_on_judge.get(name, ()))]
    if gate.judges:
        return [name for name in gate.judges if name in fair]
    return deciding_judges(fair)


def _champion(version: int) -> Opponent:
    return Opponent(CHAMPION, f"champion version {version}'s")


def _pixel_checks(report: Report, opponent: Opponent, attempt: int) -> list[Check]:
    return [
        Check(finding.is_gain, finding.text)
        for each in dict.fromkeys([_BICUBIC, opponent])
        for finding in [_finding(report, "psnr", each, attempt)]
    ]


def _perceptual_checks(
    report: Report, gate: GateConfig, opponent: Opponent, judges: Sequence[str], attempt: int
) -> list[Check]:
    found = [_finding(report, name, opponent, attempt, len(judges)) for name in judges]
    # Each judge that refuses is a separate reason; one of the others has to see a gain.
    checks = [Check(False, each.text) for each in found if each.refuses]
    if others := [each for each in found if not each.refuses]:
        gained = any(each.is_gain for each in others)
        checks.append(Check(gained, "; ".join(each.text for each in others)))
    if opponent != _BICUBIC:
        checks.append(_psnr_within(report, opponent, gate.max_psnr_loss_db))
    checks.append(_psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db))
    falling = [name for name in judges if not rises(name)]
    return checks + [_no_photo_worse(report, name, gate.max_distance_ratio) for name in falling]


def _floor_checks(report: Report, gate: GateConfig) -> list[Check]:
    nothing = (
        "nothing perceptual was measured by a network that did not teach it; get one, such as "
        f"with {GET_A_JUDGE}"
    )
    floor = _psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db)
    return [Check(True, nothing), Check(floor.holds, f"held against the floor alone, {floor.text}")]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


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
    return [Check(False, fault) for fault in faults(crops).values()]


@dataclass(frozen=True)
class Finding:
    """Comparison of the model with its opponent by one figure."""

    is_gain: bool
    """True if the whole interval is a gain."""
    refuses: bool
    """True if the whole 95 % interval is a loss, or if there is no interval."""
    text: str


def _finding(
    report: Report, figure: str, opponent: Opponent, attempt: int, num_judges: int = 1
) -> Finding:
    """Compare by one figure; `num_judges` share the error of the attempt."""
    confidence = confidence_of(attempt, num_judges)
    strict = _difference(report, figure, opponent, confidence)
    usual = _difference(report, figure, opponent, CONFIDENCE)
    if strict is None or usual is None:
        num_photos = len({image.source for image in report.images})
        return Finding(
            False,
            True,
            f"{_short(figure)} has no interval: it takes finite figures on {MIN_PHOTOS} photos or "
            f"more, and {num_photos} were measured (more photos, or a larger data.eval_share)",
        )
    is_gain, is_loss = (_is_gain(figure, strict), _is_loss(figure, usual))
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
        f"{interval_text(figure, shown)}{tries})",
    )


def _is_gain(figure: str, interval: Interval) -> bool:
    return interval.low > 0 if rises(figure) else interval.high < 0


def _is_loss(figure: str, interval: Interval) -> bool:
    return interval.high < 0 if rises(figure) else interval.low > 0


def _short(figure: str) -> str:
    return "PSNR" if figure == "psnr" else figure


def _psnr_within(report: Report, opponent: Opponent, margin_db: float) -> Check:
    """Mean PSNR is at most `margin_db` below the opponent's."""
    mine, theirs = _psnr(report, opponent)
    holds = mine >= round(theirs - margin_db, _DIGITS)
    below = f"more than {margin_db:.2f} dB below" if margin_db else "worse than"
    return Check(
        holds,
        f"{mine:.3f} dB PSNR is {'not ' if holds else ''}{below} {opponent.whose} {theirs:.3f} dB",
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
    """The interval of mean opinion scores rules out a loss of more than `max_loss`."""
    people = f"{found.num_raters} raters on {found.num_images} images"
    interval = found.difference
    if interval is None:
        return Check(
            True,
            f"mean opinion scores do not count yet: both versions were rated by {people}, and it "
            f"takes {MIN_RATERS} raters and {MIN_PHOTOS} images",
        )
    holds = interval.low >= -max_loss
    verb = "is not" if holds else "is" if interval.high < -max_loss else "may be"
    return Check(
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
