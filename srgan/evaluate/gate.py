"""The rule of promotion: which figures decide about which models, and the verdict's sentence."""

import math
from dataclasses import dataclass

from srgan.evaluate.judges import GET_A_JUDGE, refuse_without_judge
from srgan.evaluate.report import Report
from srgan.evaluate.spec import CHAMPION, MODEL

# Figures are compared at the precision at which they are shown, so that the sentence of a
# decision never reads "31.050 dB is worse than 31.050 dB".
_DIGITS = 3
_BICUBIC = "bicubic"

_MAX_PSNR_LOSS_DB = 3.0
_MAX_PSNR_BELOW_BICUBIC_DB = 1.5


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why in one sentence with its figures."""

    promoted: bool
    reason: str
    rule: str
    """What the rule asks for, whoever is judged."""


@dataclass(frozen=True)
class Check:
    """One demand of a rule."""

    holds: bool
    text: str
    """What was found: true whether it holds or not."""


def judge(report: Report, *, challenger: int, champion: int | None) -> Verdict:
    """Decide by figures of ``model``, ``bicubic`` and ``champion`` on the same crops.

    Models that learned from pixels alone are compared by PSNR. Where one of the two learned from
    more, perceptual distances decide, those by networks that have taught neither if there are
    any. Without a distance a first version is held against the floor only, and two versions are
    not compared: `ConfigError`. With a champion the report must hold the champion's figures.
    """
    contestants = [MODEL] if champion is None else [MODEL, CHAMPION]
    distances = deciding_distances(report, contestants)
    if not any(name in report.beyond_pixels for name in contestants):
        rule, checks = _PIXEL_RULE, _pixel_checks(report, champion)
    elif distances:
        rule, checks = _PERCEPTUAL_RULE, _perceptual_checks(report, champion, distances)
    else:
        if champion is not None:
            names = (f"version {challenger}", f"champion version {champion}")
            beyond = [name in report.beyond_pixels for name in contestants]
            refuse_without_judge(dict(zip(names, beyond, strict=True)), report.judges)
        rule, checks = _FLOOR_RULE, _floor_checks(report)
    if math.isnan(report.means[MODEL].psnr):
        checks = [Check(False, "its PSNR is not a number")]
    return _verdict(rule, checks, challenger=challenger, champion=champion)


def deciding_distances(report: Report, contestants: list[str]) -> list[str]:
    """Distances by networks that have taught none of the contestants; where all have, all."""
    measured = list(report.means[MODEL].distances)
    fair = [
        distance
        for distance in measured
        if not set(contestants) & set(report.trained_on_judge.get(distance, ()))
    ]
    return fair or measured


_PIXEL_RULE = (
    "Models trained on pixels alone: PSNR (Y) better than bicubic's and not worse than the "
    "champion's"
)
_PERCEPTUAL_RULE = (
    "Models trained on more than pixels: perceptual distance lower than the champion's (of a "
    f"first version: than bicubic's), PSNR at most {_MAX_PSNR_LOSS_DB:.2f} dB below the "
    f"champion's and {_MAX_PSNR_BELOW_BICUBIC_DB:.2f} dB below bicubic's"
)
_FLOOR_RULE = (
    "First version of a model trained on more than pixels, no perceptual network in the bucket: "
    f"PSNR at most {_MAX_PSNR_BELOW_BICUBIC_DB:.2f} dB below bicubic's"
)


def _pixel_checks(report: Report, champion: int | None) -> list[Check]:
    checks = [_psnr_above(report, _BICUBIC, "bicubic's")]
    if champion is not None:
        checks.append(_psnr_within(report, CHAMPION, f"champion version {champion}'s", 0.0))
    return checks


def _perceptual_checks(report: Report, champion: int | None, distances: list[str]) -> list[Check]:
    against, whose = (
        (_BICUBIC, "bicubic's")
        if champion is None
        else (CHAMPION, f"champion version {champion}'s")
    )
    checks = [_closer(report, distance, against, whose) for distance in distances]
    if champion is not None:
        checks.append(_psnr_within(report, CHAMPION, whose, _MAX_PSNR_LOSS_DB))
    return [*checks, _psnr_within(report, _BICUBIC, "bicubic's", _MAX_PSNR_BELOW_BICUBIC_DB)]


def _floor_checks(report: Report) -> list[Check]:
    nothing = Check(
        True, f"nothing perceptual was measured, since no network is mirrored ({GET_A_JUDGE})"
    )
    floor = _psnr_within(report, _BICUBIC, "bicubic's", _MAX_PSNR_BELOW_BICUBIC_DB)
    return [nothing, Check(floor.holds, f"held against the floor alone, {floor.text}")]


def _psnr_above(report: Report, other: str, whose: str) -> Check:
    mine, theirs = (round(report.means[name].psnr, _DIGITS) for name in (MODEL, other))
    holds = mine > theirs
    return Check(
        holds, f"{mine:.3f} dB PSNR is {'' if holds else 'not '}better than {whose} {theirs:.3f} dB"
    )


def _psnr_within(report: Report, other: str, whose: str, margin_db: float) -> Check:
    mine, theirs = (round(report.means[name].psnr, _DIGITS) for name in (MODEL, other))
    holds = mine >= theirs - margin_db
    below = f"more than {margin_db:.2f} dB below" if margin_db else "worse than"
    return Check(
        holds, f"{mine:.3f} dB PSNR is {'not ' if holds else ''}{below} {whose} {theirs:.3f} dB"
    )


def _closer(report: Report, distance: str, against: str, whose: str) -> Check:
    mine, theirs = (report.means[name].distances[distance] for name in (MODEL, against))
    holds = mine < theirs
    taught = set(report.trained_on_judge.get(distance, ())) & {MODEL, against}
    return Check(
        holds,
        f"{distance} {mine:.4f}{' (trained on the judge)' if taught else ''} is "
        f"{'' if holds else 'not '}lower than {whose} {theirs:.4f}",
    )


def _verdict(rule: str, checks: list[Check], *, challenger: int, champion: int | None) -> Verdict:
    failed = [check.text for check in checks if not check.holds]
    if failed:
        return Verdict(False, f"Version {challenger} is refused: {'; '.join(failed)}.", rule)
    becomes = (
        "becomes the first champion"
        if champion is None
        else f"replaces champion version {champion}"
    )
    found = "; ".join(check.text for check in checks)
    return Verdict(True, f"Version {challenger} {becomes}: {found}.", rule)
