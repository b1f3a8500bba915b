"""The rule of promotion: better than bicubic and not worse than the champion."""

import math
from dataclasses import dataclass

# Figures are compared at the precision at which they are shown, so that the sentence of a
# decision never reads "31.050 dB is worse than 31.050 dB".
_DIGITS = 3


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger becomes champion, and why in one sentence with its figures."""

    promoted: bool
    reason: str


def judge(
    metrics: dict[str, dict[str, float]], *, challenger: int, champion: int | None
) -> Verdict:
    """Decide by mean PSNR (Y) of ``model``, ``bicubic`` and ``champion`` on the same crops.

    `metrics` is `EvaluationRef.metrics`; with a champion it must hold the champion's figures.
    """
    model, bicubic = (round(metrics[name]["psnr"], _DIGITS) for name in ("model", "bicubic"))
    if math.isnan(model):
        return Verdict(False, f"Version {challenger} is refused: its PSNR is not a number.")
    if model <= bicubic:
        return Verdict(
            False,
            f"Version {challenger} is refused: {model:.3f} dB PSNR is not better than "
            f"bicubic's {bicubic:.3f} dB.",
        )
    above = f"{model:.3f} dB PSNR is better than bicubic's {bicubic:.3f} dB"
    if champion is None:
        return Verdict(True, f"Version {challenger} becomes the first champion: {above}.")
    before = round(metrics["champion"]["psnr"], _DIGITS)
    if model < before:
        return Verdict(
            False,
            f"Version {challenger} is refused: {above}, but worse than the {before:.3f} dB of "
            f"champion version {champion} on the same crops.",
        )
    return Verdict(
        True,
        f"Version {challenger} replaces champion version {champion}: {above} and not worse than "
        f"the champion's {before:.3f} dB on the same crops.",
    )
