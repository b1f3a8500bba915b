"""The gate: which figures decide about a challenger, and the verdict as a sentence.

`verdict_of` picks the rule that fits the two models and checks each of its demands in one report,
or in the report on each evaluation set.

A gain counts when its whole interval is a gain, and when signs by chance hardly ever make as much.
The newer of two equal models is promoted in at most 2.5 % of all cases, however their differences
are spread around 0, however many judges there are and however often a model is trained again until
a promotion: see `findings.confidence_of`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from srgan.config import GateConfig
from srgan.config.networks import JUDGES, MIN_SIDE, NIQE, counted_judges
from srgan.errors import ConfigError
from srgan.measure.evaluation import BICUBIC, CHAMPION, MODEL, Report
from srgan.measure.figures import PIXEL_FIGURES
from srgan.measure.intervals import CONFIDENCE, MIN_PHOTOS, MIN_RATERS, Interval
from srgan.measure.niqe import ENOUGH_BLOCKS, num_blocks
from srgan.models.weights import GET_A_JUDGE
from srgan.promotion.findings import (
    GateCheck,
    Opponent,
    broken_outputs,
    difference,
    finding,
    no_photo_worse,
    opinion_within,
    psnr_within,
)
from srgan.promotion.opinions import OpinionPair
from srgan.promotion.teachers import refuse_without_judge

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
    versions, their `opinion` counts too. `attempt` is 1 plus the number of the gate's
    earlier decisions against this champion.

    Models trained on pixels alone are compared by PSNR. If one of the two was trained on more, the
    judges decide: the perceptual figures of the report, or those of them that the gate names, and
    never one that taught one of the two. Without a judge a first version is held against the floor
    only, and two versions are not compared: `ConfigError`, also if only an evaluation set has none,
    because its images are too small. It is one too if a judge that the gate names was not measured.
    With a champion the report must have the champion's figures.
    """
    opponent = _BICUBIC if champion is None else _champion(champion)
    found = differences(report, opponent)
    on_sets = {name: differences(each, opponent) for name, each in sets.items()}
    if champion is not None:
        for each in (report, *sets.values()):
            _need_judge(each, gate, opponent, challenger=challenger, champion=champion)
    rule, checks = _checks(report, gate, opponent, attempt)
    if sets:
        rule = f"on each of the evaluation sets {', '.join(sets)}: {rule}"
        checks = broken_outputs(report)
        for name, each in sets.items():
            checks += [
                GateCheck(check.holds, f"on {name} {check.text}")
                for check in _checks(each, gate, opponent, attempt)[1]
            ]
    if opinion is not None:
        rule = f"{rule}; {_opinion_rule(gate)}"
        checks = [*checks, opinion_within(opinion, opponent, gate.max_mos_loss)]
    promoted = all(check.holds for check in checks)
    reason = _sentence(checks, challenger=challenger, champion=champion)
    return Verdict(promoted, reason, rule, opponent.name, found, on_sets)


def differences(report: Report, opponent: Opponent) -> dict[str, Interval]:
    """Return model minus opponent with its 95 % interval, by figure.

    Figures without an interval are left out: they are not finite, or too few photos were measured.
    """
    found = {
        figure: difference(report, figure, opponent, CONFIDENCE)
        for figure in report.means[MODEL].flat
    }
    return {figure: interval for figure, interval in found.items() if interval is not None}


# The rules.

_GUARDED = "no guard finds a broken output"
_SHARED = (
    "the interval of a gain, and the chance that signs make one, have 1 / (k · (k + 1)) of 5 % "
    "error at attempt k against this champion"
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


def _need_judge(
    report: Report, gate: GateConfig, opponent: Opponent, *, challenger: int, champion: int
) -> None:
    """Raise `ConfigError` if a report has only PSNR of versions that were trained on more."""
    beyond = {MODEL, opponent.name} & set(report.beyond_pixels)
    if not beyond or _judges(report, gate, opponent):
        return
    compared = {MODEL: f"version {challenger}", CHAMPION: f"champion version {champion}"}
    if small := _too_small(report):
        raise ConfigError(
            f"{_place(report)} {' and '.join(compared.values())} cannot be compared: PSNR alone is "
            f"not fair to a model trained on more than pixels, and no judge counts: {small}, "
            "then decide again"
        )
    refuse_without_judge(
        {words: name in beyond for name, words in compared.items()}, [], gate.judges
    )


def _too_small(report: Report) -> str | None:
    """Words for an image that no network can measure, and what to do; None if there is none.

    A distance that one image is too small for has no mean, so it does not count.
    """
    least = MIN_SIDE + 2 * report.scale  # the border is not measured
    small = [image.size for image in report.images if image.size and min(image.size) < least]
    if not small:
        return None
    height, width = min(small, key=min)
    larger = "photos into the set" if report.on else "crops (crop_size)"
    return (
        f"at scale {report.scale} a network needs images of {least} pixels a side, and one has "
        f"{width}×{height}; take larger {larger}"
    )


def _place(report: Report) -> str:
    return f"on {report.on.name}" if report.on else "on the held-out crops"


def _checks(
    report: Report, gate: GateConfig, opponent: Opponent, attempt: int
) -> tuple[str, list[GateCheck]]:
    """Return the rule that fits the two models, in words, and its checks on one report."""
    if not {MODEL, opponent.name} & set(report.beyond_pixels):
        rule, checks = _PIXEL_RULE, _pixel_checks(report, opponent, attempt)
    elif judges := _judges(report, gate, opponent):
        rule = _perceptual_rule(gate, judges)
        checks = _perceptual_checks(report, gate, opponent, judges, attempt)
    else:
        assert opponent == _BICUBIC, "two versions without a judge are refused before"
        rule, checks = _floor_rule(gate), _floor_checks(report, gate)
    # Figures of broken outputs mean nothing, so the faults are the whole reason.
    return rule, broken_outputs(report) or checks


def _judges(report: Report, gate: GateConfig, opponent: Opponent) -> list[str]:
    """Figures that judge: those that the gate names, or all that decide; none that taught one.

    Unless the gate names it, NIQE judges only images of `ENOUGH_BLOCKS` blocks.
    """
    measured = [name for name in report.means[MODEL].flat if name not in PIXEL_FIGURES]
    if missing := [name for name in gate.judges if name not in measured]:
        raise ConfigError(
            f"gate.judges names {_listed(missing)}, but {_place(report)} the evaluation has "
            f"measured {_listed(measured) or 'no perceptual figure'}; "
            + (
                _too_small(report)
                or "put the network into the bucket with `srgan weights mirror`, or name other "
                "judges"
            )
            + ", then decide again"
        )
    compared = {MODEL, opponent.name}
    fair = [name for name in measured if not compared & set(report.trained_on_judge.get(name, ()))]
    if not gate.judges and not _niqe_means_something(report):
        fair = [name for name in fair if name != NIQE]
    return counted_judges(fair, gate.judges)


def _niqe_means_something(report: Report) -> bool:
    """Look whether each image holds enough of its blocks, as whole photos do and crops do not."""
    sizes = [image.size for image in report.images]
    return all(size and num_blocks(*size, border=report.scale) >= ENOUGH_BLOCKS for size in sizes)


def _champion(version: int) -> Opponent:
    return Opponent(CHAMPION, f"champion version {version}'s")


def _pixel_checks(report: Report, opponent: Opponent, attempt: int) -> list[GateCheck]:
    return [
        GateCheck(found.is_gain, found.text)
        for each in dict.fromkeys([_BICUBIC, opponent])
        for found in [finding(report, "psnr", each, attempt)]
    ]


def _perceptual_checks(
    report: Report, gate: GateConfig, opponent: Opponent, judges: Sequence[str], attempt: int
) -> list[GateCheck]:
    found = [finding(report, name, opponent, attempt, len(judges)) for name in judges]
    # Each judge that refuses is a separate reason; one of the others has to see a gain.
    checks = [GateCheck(False, each.text) for each in found if each.refuses]
    if others := [each for each in found if not each.refuses]:
        gained = any(each.is_gain for each in others)
        checks.append(GateCheck(gained, "; ".join(each.text for each in others)))
    if opponent != _BICUBIC:
        checks.append(psnr_within(report, opponent, gate.max_psnr_loss_db))
    checks.append(psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db))
    # Only a distance from the original has an end at 0: of NIQE an original may have 2.5 times
    # bicubic's on one photo.
    distances = [name for name in judges if JUDGES[name].needs_original]
    return checks + [no_photo_worse(report, name, gate.max_distance_ratio) for name in distances]


def _floor_checks(report: Report, gate: GateConfig) -> list[GateCheck]:
    remedy = _too_small(report) or f"get one, such as with {GET_A_JUDGE}"
    nothing = f"nothing perceptual was measured by a network that did not teach it; {remedy}"
    floor = psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db)
    return [
        GateCheck(True, nothing),
        GateCheck(floor.holds, f"held against the floor alone, {floor.text}"),
    ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _sentence(checks: Sequence[GateCheck], *, challenger: int, champion: int | None) -> str:
    failed = [check.text for check in checks if not check.holds]
    if failed:
        return f"Version {challenger} is refused: {'; '.join(failed)}."
    found = "; ".join(check.text for check in checks)
    if champion is None:
        return f"Version {challenger} becomes the first champion: {found}."
    return f"Version {challenger} replaces champion version {champion}: {found}."
