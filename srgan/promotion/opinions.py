"""Studies of mean opinion scores that are kept with a model, and what they say of two versions.

A study is a file of ratings. It is stored once and never changed, in
``mos/<model>/<digest>.json``; importing it again changes nothing. A file that has grown is another
study, and the one that is a part of it does not count any more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import Field

from srgan.keys import study_key
from srgan.measure.intervals import Interval, crossed_interval
from srgan.mos.columns import columns_of
from srgan.mos.ratings import Rating, photo_of
from srgan.mos.screening import screen
from srgan.promotion.record import VersionRecord
from srgan.refs import ModelRef, Ref, digest
from srgan.storage import ObjectStore, read_document, write_document


class Study(Ref):
    """Ratings given under the same conditions."""

    model: str
    source: str
    """Name of the file that was imported."""
    ratings: tuple[Rating, ...]
    """Sorted, so that the order of the file does not matter."""
    weights: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the weights of each rated version, by its number; of studies that earlier releases
    kept it is not known."""

    @property
    def versions(self) -> set[int]:
        """Versions of the model that were rated."""
        return {int(each.method) for each in self.ratings if each.method.isdecimal()}

    def rates(self, version: ModelRef) -> bool:
        """Tell whether the version was rated, and not other weights that had its number."""
        number = str(version.version)
        rated = any(each.method == number for each in self.ratings)
        return rated and self.weights.get(number, version.weights_digest) == version.weights_digest


class OpinionPair(Ref):
    """Challenger and champion, as rated by people who rated both on the same image."""

    challenger: float
    champion: float
    difference: Interval | None
    """Challenger minus champion; None with too few images or raters."""
    num_images: int
    num_raters: int
    num_rejected: int = 0
    """Raters of these studies whose ratings do not count, because screening rejected them."""


def keep_study(
    store: ObjectStore,
    model: str,
    source: str,
    ratings: Iterable[Rating],
    versions: Iterable[ModelRef | VersionRecord] = (),
) -> str:
    """Write the study and return its key; of one that has all of its ratings if there is such.

    `versions` are those of the model that may be rated.
    """
    ordered = sorted(ratings, key=lambda each: (each.method, each.image, each.rater, each.repeat))
    study = Study(model=model, source=source, ratings=tuple(ordered))
    weights = {str(v.version): v.weights_digest for v in versions if v.version in study.versions}
    study = study.model_copy(update={"weights": weights})
    # By its content and not by its key, because earlier releases named studies in another way.
    given = set(study.ratings)
    kept = {key: set(each.ratings) for key, each in read_studies(store, model).items()}
    for key in sorted(kept, key=lambda each: len(kept[each])):
        if given <= kept[key]:
            return key
    # Without what was not measured, so that a study has the name that earlier releases gave it.
    name = digest([each.model_dump(exclude_defaults=True) for each in ordered])[:16]
    key = study_key(model, name)
    write_document(store, key, study)
    return key


def read_studies(store: ObjectStore, model: str) -> dict[str, Study]:
    """Read every study of a model, by key."""
    keys = [info.key for info in store.list(study_key.below(model)) if info.key.endswith(".json")]
    return {key: read_document(store, key, Study) for key in sorted(keys)}


def parts_of_others(studies: Mapping[str, Study]) -> dict[str, str]:
    """Studies of which another has every rating and more, with the key of the largest such one.

    They are earlier states of it, such as a file before it grew: the same people have rated both.
    """
    ratings = {key: set(study.ratings) for key, study in studies.items()}
    larger = sorted(ratings, key=lambda key: len(ratings[key]))
    return {key: whole for key in studies for whole in larger if ratings[key] < ratings[whole]}


def compare_opinions(
    studies: Mapping[str, Study], challenger: ModelRef, champion: ModelRef
) -> OpinionPair | None:
    """Compare two versions by people who rated both on an image in one study; None if nobody did.

    Ratings are paired, so that neither a hard image nor a strict rater favours one of the two. The
    interval covers the choice of photos and of people: a photo of several studies, or of several
    crops, is one photo, and raters of two studies are different people. A study that is a part of
    another does not count, and neither do raters that screening rejects: who rates carelessly finds
    every version equally good, which would help a worse one.
    """
    of_both = {
        key: study
        for key, study in studies.items()
        if study.rates(challenger) and study.rates(champion)
    }
    parts = parts_of_others(of_both)
    rated = {key: study.ratings for key, study in of_both.items() if key not in parts}
    rejected = {key: screen(columns_of(ratings)) for key, ratings in rated.items()}
    pairs = [
        (image, f"{key}/{rater}", mine, theirs)
        for key, ratings in rated.items()
        for image, rater, mine, theirs in _pairs(ratings, challenger.version, champion.version)
        if rater not in rejected[key]
    ]
    if not pairs:
        return None
    images, raters, mine, theirs = (list(column) for column in zip(*pairs, strict=True))
    return OpinionPair(
        challenger=_mean(mine),
        champion=_mean(theirs),
        difference=crossed_interval(
            [float(a - b) for a, b in zip(mine, theirs, strict=True)],
            [photo_of(image) for image in images],
            raters,
        ),
        num_images=len(set(images)),
        num_raters=len(set(raters)),
        num_rejected=sum(map(len, rejected.values())),
    )


def _pairs(
    ratings: Iterable[Rating], first: int, second: int
) -> Iterator[tuple[str, str, int, int]]:
    scores = {
        (each.method, each.image, each.rater): each.score for each in ratings if not each.repeat
    }
    for (method, image, rater), score in scores.items():
        other = scores.get((str(second), image, rater))
        if method == str(first) and other is not None:
            yield image, rater, score, other


def _mean(scores: Sequence[int]) -> float:
    return sum(scores) / len(scores)
