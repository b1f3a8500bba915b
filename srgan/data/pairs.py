"""HR and LR photos below two prefixes → an immutable version of a dataset of pairs.

Pairs are matched by name: the path below the prefix, without the suffix of a photo. Each is
compared before it is cut (`alignment`); one that does not fit is recorded with its reason. As for
photos, a pair whose two objects have not changed is not read again. Evaluation sets match and
compare pairs in the same way.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.alignment import check_alignment
from srgan.data.attempt import Attempt
from srgan.data.layout import Layout
from srgan.data.manifest import Previous, read_previous
from srgan.data.prepare import (
    digest_of_objects,
    first_keys,
    refuse_tiny,
    rejected,
    some_sources,
    why_rejected,
)
from srgan.data.reading import OnProgress, PhotoReader, counted, silent
from srgan.data.tables import SourceObject
from srgan.errors import ConfigError, DataError, ImageError
from srgan.images import Photo, pixel_digest
from srgan.images.entries import stem_of
from srgan.images.statistics import statistics_of
from srgan.refs import DatasetRef, digest
from srgan.storage import ObjectInfo, ObjectStore, Place


@dataclass(frozen=True, slots=True)
class Pair:
    """Two objects with one name."""

    hr: ObjectInfo
    lr: ObjectInfo

    @property
    def token(self) -> str:
        """Change token: differs when either object has changed."""
        return f"{self.hr.token} {self.lr.token} {self.lr.key}"


@dataclass(frozen=True, slots=True)
class PairReading:
    """Outcome of one pair."""

    source: SourceObject
    hr_pixels: str = ""
    hr: NDArray[np.uint8] | None = None
    lr: NDArray[np.uint8] | None = None
    """uint8 (H, W, 3) and (h, w, 3); None if the pair was rejected."""


@dataclass(frozen=True, slots=True)
class PairListing:
    """Pairs below two prefixes, and which of them have to be read for the next version."""

    hr: Place
    lr: Place
    store: ObjectStore
    dataset: str
    config: DataConfig
    previous: Previous
    num_pairs: int
    known: Sequence[SourceObject]
    """Outcomes of the pairs that have not changed, and of the objects that are not in a pair."""
    changed: Sequence[Pair]
    """Pairs to be read, sorted by name."""

    @property
    def digest(self) -> str:
        """Digest of what has to be read."""
        return digest_of_objects((pair.hr.key, pair.token) for pair in self.changed)

    def cut(
        self,
        reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
        progress: OnProgress = silent,
        licence: str | None = None,
    ) -> DatasetRef:
        """Read what has changed and publish the version; see `prepare_pairs`."""
        config, hr, lr = self.config, self.hr.uri, self.lr.uri
        attempt = Attempt(
            self.store, self.dataset, config, self.previous, self.known, source=hr, lr_source=lr
        )
        self._read(attempt, reader, progress)
        sources, layout = attempt.outcomes(), attempt.layout
        names = first_keys(sources)
        if not names:
            raise DataError(
                f"no usable pair among {self.num_pairs} HR photos below {hr} that have an LR photo "
                f"below {lr}; {why_rejected(sources)}"
            )
        photos = [replace(layout.photo(pixels), name=names[pixels]) for pixels in sorted(names)]
        photos = layout.finish(photos)
        return attempt.publish(photos, licence).ref(len(self.changed))

    def _read(self, attempt: Attempt, reader: PhotoReader, progress: OnProgress) -> None:
        def files_of(pair: Pair) -> list[tuple[ObjectStore, ObjectInfo]]:
            return [(self.hr.store, pair.hr), (self.lr.store, pair.lr)]

        def make(pair: Pair, files: Sequence[bytes]) -> PairReading:
            return _reading(pair, files[0], files[1], self.config, reader)

        def use(reading: PairReading) -> None:
            _place(reading, attempt.layout)
            attempt.add(reading.source)

        reader.read(
            attempt.rest(self.changed, lambda pair: (pair.hr.key, pair.token)),
            files_of,
            make,
            use,
            max_pixels=self.config.max_pixels,
            progress=counted(progress, len(self.changed)),
        )


def list_pairs(
    hr: Place, lr: Place, store: ObjectStore, dataset: str, config: DataConfig
) -> PairListing:
    """Match the objects in two folders and compare them with the newest version.

    `DataError` if a folder is empty; `ConfigError` like `prepare_pairs`.
    """
    pairs, lonely = match(hr, lr)
    previous = read_previous(store, dataset, hr.store.bucket, config, lr.store.bucket)
    known = {
        pair.hr.key: source
        for pair in pairs
        if (source := previous.sources.get(pair.hr.key)) and source.token == pair.token
    }
    return PairListing(
        hr=hr,
        lr=lr,
        store=store,
        dataset=dataset,
        config=config,
        previous=previous,
        num_pairs=len(pairs),
        known=[*lonely, *known.values()],
        changed=[pair for pair in pairs if pair.hr.key not in known],
    )


def prepare_pairs(
    hr: Place,
    lr: Place,
    store: ObjectStore,
    dataset: str,
    config: DataConfig,
    progress: OnProgress = silent,
    licence: str | None = None,
    reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
) -> DatasetRef:
    """Bring the dataset of pairs up to date with the photos in two folders.

    The fields `eval_share`, `shrunk` and `least_detail` of `config` do not apply: all pairs are
    there to train on, as they are. Without a `licence` the version keeps the previous one's.

    Raises `DataError` when no pair is usable, with the reasons and their counts; `ConfigError` when
    one folder lies in the other or the dataset holds photos without LR; `ConflictError` when
    somebody else published a version meanwhile; `StorageError` when a store fails. The previous
    version stays as it was in each case.
    """
    listing = list_pairs(hr, lr, store, dataset, config)
    return listing.cut(reader, progress, licence)


def match(hr: Place, lr: Place) -> tuple[list[Pair], list[SourceObject]]:
    """Match objects by name; return the pairs, and those without one partner with the reason.

    `ConfigError` if one folder lies in the other; `DataError` if one holds no photos.
    """
    if hr.uri.startswith(lr.uri) or lr.uri.startswith(hr.uri):
        raise ConfigError(f"HR {hr.uri} and LR {lr.uri} lie in each other; give two folders")
    larger, smaller = _by_stem(hr), _by_stem(lr)
    pairs: list[Pair] = []
    lonely: list[SourceObject] = []
    for stem in sorted(larger.keys() | smaller.keys()):
        ours, theirs = larger.get(stem, []), smaller.get(stem, [])
        if len(ours) == len(theirs) == 1:
            pairs.append(Pair(ours[0], theirs[0]))
            continue
        lonely += _lonely(ours, theirs, f"LR photo below {lr.uri}", stem)
        lonely += _lonely(theirs, ours, f"HR photo below {hr.uri}", stem)
    return pairs, lonely


def _by_stem(place: Place) -> dict[str, list[ObjectInfo]]:
    """List the user's objects by their name in both folders; `DataError` if there are none."""
    found = defaultdict[str, list[ObjectInfo]](list)
    for info in some_sources(place):
        found[stem_of(info.key.removeprefix(place.prefix))].append(info)
    return dict(found)


def _lonely(
    ours: Sequence[ObjectInfo], theirs: Sequence[ObjectInfo], wanted: str, stem: str
) -> list[SourceObject]:
    """Reject objects that have no partner, or more than one."""
    if not theirs:
        error = ImageError("no_partner", f"there is no {wanted} that is called {stem}")
    else:
        keys = ", ".join(each.key for each in [*ours, *theirs])
        error = ImageError("ambiguous", f"several photos are called {stem}: {keys}")
    return [rejected(each.key, each.token, error) for each in ours]


def _reading(
    pair: Pair, larger: bytes, smaller: bytes, config: DataConfig, reader: PhotoReader
) -> PairReading:
    """Decode and compare the two files of a pair."""
    decode = partial(reader.photo, max_pixels=config.max_pixels)
    check = partial(refuse_tiny, config=config)
    try:
        hr, lr = compared(pair, larger, smaller, decode, check, config.scale)
    except ImageError as error:
        return PairReading(rejected(pair.hr.key, pair.token, error))
    hr_pixels = pixel_digest(hr)
    pixels = digest([hr_pixels, pixel_digest(lr)])
    statistics = statistics_of(lr.pixels, file=smaller)
    source = SourceObject(pair.hr.key, pair.token, pixels=pixels, statistics=statistics)
    return PairReading(source, hr_pixels, hr.rgb, lr.rgb)


def compared(
    pair: Pair,
    larger: bytes,
    smaller: bytes,
    decode: Callable[[ObjectInfo, bytes], Photo],
    check: Callable[[Photo], None],
    scale: int,
) -> tuple[Photo, Photo]:
    """Decode the files of HR and LR.

    `ImageError`, which names the file, if one cannot be decoded, `check` refuses HR, or both do not
    show the same in the sizes that `scale` asks for.
    """
    hr, lr = _decode(pair.hr, larger, decode), _decode(pair.lr, smaller, decode)
    check(hr)
    try:
        check_alignment(hr.rgb, lr.rgb, scale)
    except ImageError as error:
        raise ImageError(error.reason, f"{pair.lr.key}: {error.detail}") from error
    return hr, lr


def _decode(info: ObjectInfo, data: bytes, decode: Callable[[ObjectInfo, bytes], Photo]) -> Photo:
    """Decode one of the two; the error says which."""
    try:
        return decode(info, data)
    except ImageError as error:
        raise ImageError(error.reason, f"{info.key}: {error.detail}") from error


def _place(reading: PairReading, layout: Layout) -> None:
    pixels = reading.source.pixels
    if pixels is None or reading.hr is None or reading.lr is None or layout.has(pixels):
        return
    layout.add_pair(pixels, reading.hr_pixels, reading.hr, reading.lr)
