"""Find photos that a model is measured on and was trained on.

Photos of evaluation sets are compared by their pixels and their looks, held-out photos of a dataset
by their pixels: near-duplicates lie on both sides of most datasets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from srgan.data.manifest import DatasetManifest, read_manifest, read_photos
from srgan.data.tables import CutPhoto
from srgan.errors import DataError
from srgan.images.likeness import NEAR, bits_apart, turns_of
from srgan.measure.sets import EvaluationSet, SetPhoto
from srgan.refs import DatasetRef
from srgan.storage import ObjectStore, find_document

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


@dataclass(frozen=True)
class TrainedOn:
    """Photos and pairs that one training learned from."""

    dataset: DatasetRef
    pairs: DatasetRef | None = None


@dataclass(frozen=True)
class Learned:
    """Held-out photos of a dataset version that were trained on as part of another version."""

    data: DatasetRef
    num_held: int
    """Held-out photos of `data` in all."""
    photos: tuple[str, ...]
    """Keys of those among them that were trained on."""
    origin: DatasetRef
    """The dataset version that they were trained on in."""

    def by(self, model: str) -> str:
        """Say in words that `model` has learned them."""
        named = ", ".join(self.photos[:_MAX_NAMED])
        more = len(self.photos) - _MAX_NAMED
        return (
            f"{len(self.photos)} of {self.num_held} photos that dataset {_version(self.data)} "
            f"holds out were trained on by {model} (dataset {_version(self.origin)}): {named}"
            f"{f' and {more} more' if more > 0 else ''}"
        )


def find_learned(
    store: ObjectStore, data: DatasetRef, trainings: Iterable[TrainedOn]
) -> tuple[list[Learned], list[DatasetRef]]:
    """Find held-out photos of `data` whose very pixels one of the trainings has learned.

    A training learns from no pair that shows what its own dataset holds out. The second value are
    dataset versions that are gone, so that nothing is known of them.
    """
    found: list[Learned] = []
    gone: list[DatasetRef] = []
    held: dict[str, str] | None = None
    for training in trainings:
        if training.dataset.key == data.key:
            continue
        photos = _photos(store, training.dataset)
        if photos is None:
            gone.append(training.dataset)
            continue
        pairs = _photos(store, training.pairs) if training.pairs else []
        if pairs is None:
            assert training.pairs is not None
            gone.append(training.pairs)
        if held is None:
            now = read_photos(store, read_manifest(store, data.key))
            held = {photo.picture: photo.name for photo in now if photo.split == "eval"}
        learned = {photo.picture for photo in photos if photo.split == "train"}
        of_pairs = {photo.picture for photo in pairs or []} - learned
        of_pairs -= {photo.picture for photo in photos if photo.split == "eval"}
        for origin, pictures in ((training.dataset, learned), (training.pairs, of_pairs)):
            if origin and (seen := sorted(name for each, name in held.items() if each in pictures)):
                found.append(Learned(data, len(held), tuple(seen), origin))
    return found, gone


def _photos(store: ObjectStore, dataset: DatasetRef) -> list[CutPhoto] | None:
    manifest = find_document(store, dataset.key, DatasetManifest)
    return None if manifest is None else read_photos(store, manifest)


def _version(dataset: DatasetRef) -> str:
    return f"{dataset.dataset} version {dataset.version[:12]}"


def _refusal(each: EvaluationSet, dataset: DatasetRef, pairs: Sequence[SharedScene]) -> str:
    named = "; ".join(str(pair) for pair in pairs[:_MAX_NAMED])
    more = f"; and {len(pairs) - _MAX_NAMED} more" if len(pairs) > _MAX_NAMED else ""
    return (
        f"evaluation set {each.name} shows what {dataset.dataset} version {dataset.version[:12]} "
        f"trains on: {named}{more}. Take those photos out of the set and run prepare-eval again; "
        "or, if nothing was trained on that version yet, out of the dataset and run "
        f"{'prepare' if dataset.lr_source is None else 'prepare-pairs'} again"
    )
