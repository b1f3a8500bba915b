"""The page's section about the sentence: verdict, statistics, and every comparison."""

from collections import Counter
from collections.abc import Mapping, Sequence

from benchmarks.quality.claims import SENTENCE, Claims, Difference, seeds_factor
from srgan.measure.figures import figure_name, figure_text, interval_text
from srgan.measure.intervals import MIN_PHOTOS

_CONTRARY = "contrary to it"
_OUTCOMES = {
    "proven": "Proven here, for photos and networks of this kind.",
    "refuted": "Refuted here.",
    "open": "Neither proven nor refuted here.",
}


def claim_section(claims: Claims, num_seeds: int) -> str:
    """Say whether the sentence holds, and by which figures."""
    parts = ["## The sentence to prove or refute", f"> {SENTENCE}", _verdict(claims)]
    if claims.number:
        parts.append(_statistics(claims, num_seeds))
        parts.append(_table(claims.of_sentence, with_expected=True))
    if claims.of_term:
        parts += [
            "### What the adversarial term does",
            "The same content, start and steps, with the discriminator's weight and with a weight "
            "of 0: only their difference is the discriminator's.",
            _table(claims.of_term, with_expected=False),
        ]
    return "\n\n".join(part for part in parts if part)


def verdict_line(claims: Claims) -> str:
    """Say the sentence and its verdict in one line, for the terminal."""
    return f"{SENTENCE} {_OUTCOMES[claims.outcome]}"


def _verdict(claims: Claims) -> str:
    text = f"**{_OUTCOMES[claims.outcome]}**"
    if claims.missing:
        text += f" {', '.join(claims.missing)} {_is_are(claims.missing)} missing in this run."
    for title in dict.fromkeys(each.one for each in claims.of_sentence):
        counted = claims.counted(title)
        found = Counter(_agreement(each) for each in counted)
        counts = ", ".join(f"{number} {kind}" for kind, number in found.items())
        text += (
            f"\n\n{title}: {claims.outcome_of(title)}. It has {len(counted)} comparisons that "
            f"count: {counts}."
        )
        for each in counted:
            if _agreement(each) == _CONTRARY:
                text += (
                    f" It is {each.verdict} than {each.other} by {figure_name(each.figure)} "
                    f"({figure_text(each.figure, each.mean, signed=True)}), contrary to the "
                    "sentence."
                )
    return text


def _agreement(difference: Difference) -> str:
    if difference.verdict == difference.expected:
        return "as the sentence says"
    return "open" if difference.verdict == "open" else _CONTRARY


def _is_are(titles: Sequence[str]) -> str:
    return "is" if len(titles) == 1 else "are"


def _statistics(claims: Claims, num_seeds: int) -> str:
    percent = f"{100 * claims.confidence:.4g} %"
    text = (
        f"**What the intervals say.** This page makes {claims.number} comparisons, so each "
        f"interval is of {percent} (Bonferroni: all their verdicts together are right in 95 of 100 "
        "cases). A judge that taught one of the two networks, or their start, is left out of their "
        "comparison. The unit is the photo: over photos, the interval of the mean of the "
        f"{claims.num_photos} photos' differences (each the mean over the seeds) covers the choice "
        f"of photos of this kind. It needs {MIN_PHOTOS} photos, so the sets are taken together"
        f"{_repeated(claims.repeated)}. "
        "Over seeds, the interval of the mean of the seeds' differences (each the mean over the "
        "photos) covers another training. Either covers one kind of chance while the other is "
        "held. The interval over both has the sum of their variances. All are Student's t, "
        "that over both with the degrees of freedom of the fewer. A network is "
        "called better or worse only if the interval over both lies on one side of zero; all else "
        "is open."
    )
    if num_seeds < 2:
        return text + " One seed has no interval, so here everything is open."
    factor = seeds_factor(num_seeds, claims.confidence)
    return text + (
        f" {num_seeds} seeds can say little: at {percent} a difference has to be {factor:.1f} "
        "times as large as its standard deviation between seeds. A difference that is real but "
        "smaller stays open. The seeds of a GAN share one start, so another start is not covered."
    )


def _repeated(images: Mapping[str, str]) -> str:
    """Name images that show the picture of another one; "" if none do."""
    if not images:
        return ""
    pairs = ", ".join(f"{image} shows what {picture} shows" for image, picture in images.items())
    return f" ({pairs}: such images count as one)"


def _table(differences: Sequence[Difference], *, with_expected: bool) -> str:
    if not differences:
        return ""
    heads = ["network", "against", "figure", "difference", "over photos", "over seeds"]
    heads += ["over both", "verdict"]
    heads += ["the sentence says"] * with_expected
    lines = [
        f"| {' | '.join(heads)} |",
        "|---|---|---|---:|---:|---:|---:|---" + "|---" * with_expected + "|",
    ]
    for each in differences:
        cells = [
            each.one,
            each.other,
            figure_name(each.figure) + ("" if each.counts else " (does not count)"),
            figure_text(each.figure, each.mean, signed=True),
            interval_text(each.figure, each.over_photos),
            interval_text(each.figure, each.over_seeds),
            interval_text(each.figure, each.over_both),
            each.verdict,
        ]
        cells += [each.expected] * with_expected
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
