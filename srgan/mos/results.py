"""Everything that a study's ratings or pair comparisons say, in one value."""

from types import MappingProxyType

import numpy as np

from srgan.mos.agreement import Agreement, FigureValues, agreement
from srgan.mos.columns import Choices, Columns, means
from srgan.mos.preferences import Strength, compared
from srgan.mos.scores import Contrast, Opinion, contrasts, opinions_of
from srgan.mos.screening import Reasons, screen, screen_choices
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
    num_images: int
    num_raters: int
    """Rejected ones included."""
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
    num_images: int
    num_raters: int
    """Rejected ones included."""
    rejected: Reasons
    strengths: dict[str, Strength]
    """Without the rejected raters, the strongest first."""
    contrasts: tuple[Contrast, ...]
    """Every pair of methods; none with too few images or raters."""


Results = RatingResults | PreferenceResults


def results_of(judged: Columns | Choices, measured: FigureValues = MappingProxyType({})) -> Results:
    """Analyse judgements of either kind."""
    if isinstance(judged, Columns):
        return rating_results(judged, measured)
    return preference_results(judged)


def rating_results(
    ratings: Columns, measured: FigureValues = MappingProxyType({})
) -> RatingResults:
    """Analyse ratings; `measured` has the figures of the images by figure, method and image."""
    rejected = screen(ratings)
    everybody = ratings.first
    counted = everybody.without(rejected)
    modelled, raters = _modelled(everybody)
    return RatingResults(
        num_ratings=len(ratings),
        num_images=len(ratings.images),
        num_raters=len(ratings.raters),
        rejected=rejected,
        opinions=opinions_of(counted),
        modelled=modelled,
        raters=raters,
        contrasts=tuple(contrasts(counted)),
        agreement=agreement(counted, measured),
    )


def preference_results(choices: Choices) -> PreferenceResults:
    """Analyse pair comparisons."""
    rejected = screen_choices(choices)
    strengths, contrasts = compared(choices.without(rejected))
    return PreferenceResults(
        num_choices=len(choices),
        num_images=len(choices.images),
        num_raters=len(choices.raters),
        rejected=rejected,
        strengths=strengths,
        contrasts=tuple(contrasts),
    )


def _modelled(ratings: Columns) -> tuple[dict[str, float], dict[str, RaterModel]]:
    if not len(ratings):  # of raters who gave nothing but repeats
        return {}, {}
    found = model_subjects(ratings)
    # A stimulus counts as often as it was rated, as in the plain mean.
    of_method = means(found.quality[ratings.stimulus], ratings.method, len(ratings.methods))
    counts = np.bincount(ratings.rater, minlength=len(ratings.raters)).tolist()
    raters = {
        name: RaterModel(bias=float(bias), inconsistency=float(noise), num_ratings=count)
        for name, bias, noise, count in zip(
            ratings.raters, found.bias, found.inconsistency, counts, strict=True
        )
        if count
    }
    return dict(zip(ratings.methods, of_method.tolist(), strict=True)), raters
