"""Find photos of evaluation sets that a model was trained on: equal pixels or near-duplicates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from srgan.data.manifest import read_manifest, read_photos
from srgan.data.tables import CutPhoto
from srgan.errors import DataError
from srgan.images.likeness import NEAR, bits_apart, turns_of
from srgan.measure.sets import EvaluationSet, SetPhoto
from srgan.refs import DatasetRef
from srgan.storage import ObjectStore

_MAX_NAMED = 5
_AT_ONCE = 16
"""Photos of a set that are compared with all training photos at once: 64 bytes for each pair."""


@dataclass(frozen=True)
class SharedScene:
    """A photo of an evaluation set and the training photo that shows the same scene."""

    held: str
    """Key of the set's photo."""
    trained: str
    """Key of the training photo."""
    bits: int | None
    """How many of the 64 bits of their looks differ; None if their pixels are the same."""
    turned: bool = False
    """True if one is the other mirrored or turned."""

    def __str__(self) -> str:
        how = (
            f"looks the same{' mirrored or turned' if self.turned else ''}, {self.bits} of 64 bits"
        )
        return f"{self.held} and {self.trained} ({'the same pixels' if self.bits is None else how})"


def refuse_overlap(
    store: ObjectStore, sets: Sequence[EvaluationSet], datasets: Iterable[DatasetRef]
) -> list[DatasetRef]:
    """Raise `DataError` with both photos of each pair if a set shows what was trained on.

    Return the datasets whose photos could be compared by pixels only, because an earlier release
    made them.
    """
    blind = []
    for dataset in datasets if sets else ():
        photos = read_photos(store, read_manifest(store, dataset.key))
        trained = [photo for photo in photos if photo.split == "train"]
        for each in sets:
            if pairs := find_overlap(each.photos, trained):
                raise DataError(_refusal(each, dataset, pairs))
        if any(photo.look is None for photo in trained):
            blind.append(dataset)
    return blind


def find_overlap(held: Sequence[SetPhoto], trained: Sequence[CutPhoto]) -> list[SharedScene]:
    """Return the nearest training photo of each photo of a set, if it is too near.

    All eight flips and quarter turns are compared, because training draws from all of them.
    """
    names = {photo.picture: photo.name for photo in trained}
    found = [
        SharedScene(photo.name, names[photo.pixels], None)
        for photo in held
        if photo.pixels in names
    ]
    mine = [photo for photo in held if photo.look and photo.pixels not in names]
    theirs = [photo for photo in trained if photo.look]
    looks = [photo.look for photo in theirs if photo.look]
    for first in range(0, len(mine) if theirs else 0, _AT_ONCE):
        some = mine[first : first + _AT_ONCE]
        turns = [turn for photo in some for turn in turns_of(photo.look)]
        apart = bits_apart(turns, looks).reshape(len(some), -1)  # turns by training photos
        for photo, bits in zip(some, apart, strict=True):
            nearest = int(np.argmin(bits))
            turn, number = divmod(nearest, len(looks))
            if bits[nearest] <= NEAR:
                name, differing = theirs[number].name, int(bits[nearest])
                found.append(SharedScene(photo.name, name, differing, turned=turn > 0))
    return found


def _refusal(each: EvaluationSet, dataset: DatasetRef, pairs: Sequence[SharedScene]) -> str:
    named = "; ".join(str(pair) for pair in pairs[:_MAX_NAMED])
    more = f"; and {len(pairs) - _MAX_NAMED} more" if len(pairs) > _MAX_NAMED else ""
    return (
        f"evaluation set {each.name} shows what {dataset.dataset} version {dataset.version[:12]} "
        f"trains on: {named}{more}. Take those photos out of the set and run prepare-eval again; "
        "or, if nothing was trained on that version yet, out of the dataset and run "
        f"{'prepare' if dataset.lr_source is None else 'prepare-pairs'} again"
    )
