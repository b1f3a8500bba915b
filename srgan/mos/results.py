"""Everything that a study's ratings or pair comparisons say, in one value."""

from collections.abc import Sequence
from types import MappingProxyType

from srgan.mos.agreement import Agreement, Measured, agreement
from srgan.mos.choice_screening import screen_choices
from srgan.mos.columns import Columns, columns_of, means
from srgan.mos.preferences import Strength, strengths
from srgan.mos.ratings import Preference, Rating
from srgan.mos.scores import Contrast, Opinion, contrasts, opinions_of
from srgan.mos.screening import Reasons, screen, without
from srgan.mos.subjects import model_subjects
from srgan.refs import Ref


class RaterModel(Ref):
    """A rater by the model of subjects."""

    bias: float
    """How much higher than the mean rater they score."""
    inconsistency: float
    """Standard deviation of their noise, in scores."""
    num_ratings: int


class RatingResults(Ref):
    """Results of a study with ratings from 1 to 5."""

    num_ratings: int
    """Repeats and the ratings of rejected raters included."""
    rejected: Reasons
    """Rejected raters with the reasons; opinions, contrasts and agreement are without them."""
    opinions: dict[str, Opinion]
    modelled: dict[str, float]
    """Mean quality by the model of subjects, which weighs all raters, rejected ones too."""
    raters: dict[str, RaterModel]
    contrasts: tuple[Contrast, ...]
    """Every pair of methods."""
    agreement: dict[str, Agreement]
    """Rank correlations with people, by figure."""


class PreferenceResults(Ref):
    """Results of a study with pair comparisons."""

    num_choices: int
    """Repeats and the choices of rejected raters included."""
    rejected: Reasons
    strengths: dict[str, Strength]
    """Without the rejected raters, the strongest first."""


def rating_results(
    ratings: Sequence[Rating], measured: Measured = MappingProxyType({})
) -> RatingResults:
    """Analyse ratings; `measured` has the figures of the images by figure, method and image."""
    rejected = screen(ratings)
    everybody = columns_of(ratings)
    counted = columns_of(without(ratings, rejected)) if rejected else everybody
    modelled, raters = _modelled(everybody)
    return RatingResults(
        num_ratings=len(ratings),
        rejected=rejected,
        opinions=opinions_of(counted),
        modelled=modelled,
        raters=raters,
        contrasts=tuple(contrasts(counted)),
        agreement=agreement(counted, measured),
    )


def preference_results(preferences: Sequence[Preference]) -> PreferenceResults:
    """Analyse pair comparisons."""
    rejected = screen_choices(preferences)
    return PreferenceResults(
        num_choices=len(preferences),
        rejected=rejected,
        strengths=strengths([each for each in preferences if each.rater not in rejected]),
    )


def _modelled(ratings: Columns) -> tuple[dict[str, float], dict[str, RaterModel]]:
    found = model_subjects(ratings)
    # A stimulus counts as often as it was rated, as in the plain mean.
    of_method = means(found.quality[ratings.stimulus], ratings.method, len(ratings.methods))
    counts = [0] * len(ratings.raters)
    for rater in ratings.rater.tolist():
        counts[rater] += 1
    raters = {
        name: RaterModel(bias=float(bias), inconsistency=float(noise), num_ratings=count)
        for name, bias, noise, count in zip(
            ratings.raters, found.bias, found.inconsistency, counts, strict=True
        )
    }
    return dict(zip(ratings.methods, of_method.tolist(), strict=True)), raters
