"""The rule of promotion: which figures decide about which models, and the verdict's sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from srgan.config import GateConfig
from srgan.evaluate.bootstrap import Interval
from srgan.evaluate.checks import (
    Check,
    Opponent,
    broken_outputs,
    closer,
    differences,
    no_photo_worse,
    opinion_within,
    psnr_above,
    psnr_within,
)
from srgan.evaluate.comparison import BICUBIC
from srgan.evaluate.judges import GET_A_JUDGE, refuse_without_judge
from srgan.evaluate.mos import OpinionPair
from srgan.evaluate.report import Report
from srgan.evaluate.spec import CHAMPION, MODEL

_BICUBIC = Opponent(BICUBIC, "bicubic's")


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why in one sentence with its figures."""

    promoted: bool
    reason: str
    rule: str
    """What the rule asks for, in words."""
    against: str
    """``champion``, or ``bicubic`` for a first version."""
    differences: Mapping[str, Interval]
    """Model minus `against` of each figure, on the held-out crops."""
    on_sets: Mapping[str, Mapping[str, Interval]]
    """The same on each evaluation set."""


def judge(
    report: Report,
    gate: GateConfig,
    *,
    challenger: int,
    champion: int | None,
    sets: Mapping[str, Report] = MappingProxyType({}),
    opinion: OpinionPair | None = None,
) -> Verdict:
    """Decide by the figures and signs of one evaluation, all contestants on the same images.

    Without `sets` the held-out crops of `report` decide; with them the rule has to hold on each
    evaluation set, and of the held-out crops no output may be broken. Where people have rated
    both versions, their `opinion` counts too.

    Models that learned from pixels alone are compared by PSNR. Where one of the two learned from
    more, perceptual distances decide, those by networks that have taught neither if there are
    any. Without a distance a first version is held against the floor only, and two versions are
    not compared: `ConfigError`. With a champion the report must hold the champion's figures.
    """
    opponent = _BICUBIC if champion is None else _champion(champion)
    found = differences(report, opponent)
    on_sets = {name: differences(each, opponent) for name, each in sets.items()}
    if not deciding_distances(report, opponent) and champion is not None:
        compared = {MODEL: f"version {challenger}", CHAMPION: f"champion version {champion}"}
        beyond = {words: name in report.beyond_pixels for name, words in compared.items()}
        refuse_without_judge(beyond, report.judges)
    rule, checks = _checks(report, gate, opponent, found)
    if sets:
        rule = f"on each of the evaluation sets {', '.join(sets)}: {rule}"
        checks = broken_outputs(report)
        for name, each in sets.items():
            checks += [
                Check(check.holds, f"on {name} {check.text}")
                for check in _checks(each, gate, opponent, on_sets[name])[1]
            ]
    if opinion is not None:
        rule = f"{rule}; {_opinion_rule(gate)}"
        checks = [*checks, opinion_within(opinion, opponent, gate.max_mos_loss)]
    promoted = all(check.holds for check in checks)
    reason = _sentence(checks, challenger=challenger, champion=champion)
    return Verdict(promoted, reason, rule, opponent.name, found, on_sets)


def _checks(
    report: Report, gate: GateConfig, opponent: Opponent, found: dict[str, Interval]
) -> tuple[str, list[Check]]:
    """The rule that fits the two models, in words, and what it finds in one report."""
    distances = deciding_distances(report, opponent)
    if not {MODEL, opponent.name} & set(report.beyond_pixels):
        rule, checks = _PIXEL_RULE, _pixel_checks(report, opponent)
    elif distances:
        rule = _perceptual_rule(gate)
        checks = _perceptual_checks(report, gate, opponent, distances, found)
    else:
        rule, checks = _floor_rule(gate), _floor_checks(report, gate)
    # Figures of broken outputs say nothing: what is broken is the whole reason.
    return rule, broken_outputs(report) or checks


def deciding_distances(report: Report, opponent: Opponent) -> list[str]:
    """Distances by networks that have taught neither of the two; where there is none, all."""
    measured = list(report.means[MODEL].distances)
    compared = {MODEL, opponent.name}
    fair = [name for name in measured if not compared & set(report.trained_on_judge.get(name, ()))]
    return fair or measured


_GUARDED = "no guard finds a broken output"
_PIXEL_RULE = (
    "models trained on pixels alone: PSNR (Y) better than bicubic's and not worse than the "
    f"champion's; {_GUARDED}"
)


def _perceptual_rule(gate: GateConfig) -> str:
    return (
        "models trained on more than pixels: perceptual distance lower than the champion's (of a "
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


def _champion(version: int) -> Opponent:
    return Opponent(CHAMPION, f"champion version {version}'s")


def _pixel_checks(report: Report, opponent: Opponent) -> list[Check]:
    checks = [psnr_above(report, _BICUBIC)]
    return checks if opponent == _BICUBIC else [*checks, psnr_within(report, opponent, 0.0)]


def _perceptual_checks(
    report: Report,
    gate: GateConfig,
    opponent: Opponent,
    distances: Sequence[str],
    found: dict[str, Interval],
) -> list[Check]:
    checks = [closer(report, distance, opponent, found) for distance in distances]
    if opponent != _BICUBIC:
        checks.append(psnr_within(report, opponent, gate.max_psnr_loss_db))
    checks.append(psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db))
    ratio = gate.max_distance_ratio
    return checks + [no_photo_worse(report, distance, ratio) for distance in distances]


def _floor_checks(report: Report, gate: GateConfig) -> list[Check]:
    nothing = f"nothing perceptual was measured, since no network is mirrored ({GET_A_JUDGE})"
    floor = psnr_within(report, _BICUBIC, gate.max_psnr_below_bicubic_db)
    return [Check(True, nothing), Check(floor.holds, f"held against the floor alone, {floor.text}")]


def _sentence(checks: Sequence[Check], *, challenger: int, champion: int | None) -> str:
    failed = [check.text for check in checks if not check.holds]
    if failed:
        return f"Version {challenger} is refused: {'; '.join(failed)}."
    found = "; ".join(check.text for check in checks)
    if champion is None:
        return f"Version {challenger} becomes the first champion: {found}."
    return f"Version {challenger} replaces champion version {champion}: {found}."
