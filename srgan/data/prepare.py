"""Photos below a prefix → an immutable version of a dataset of HR crops.

Only changes cost: an object with the same change token as in the previous version is not read
again, a photo with known pixels is not cut again. Memory holds two shards, the photos in work
(`PhotoReader`), and about half a kilobyte per photo.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data.attempt import Attempt
from srgan.data.crops import assign
from srgan.data.layout import Layout
from srgan.data.manifest import Previous, read_previous
from srgan.data.reading import OnProgress, PhotoReader, counted, silent
from srgan.data.tables import SourceObject, Split
from srgan.errors import DataError, ImageError, StorageError
from srgan.images import Photo, pixel_digest
from srgan.images.statistics import statistics_of
from srgan.keys import is_ours
from srgan.refs import DatasetRef
from srgan.storage import ObjectInfo, ObjectStore, Place

_DETAIL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """Outcome of one object; `rgb` is uint8 (H, W, 3), or None if it was rejected."""

    source: SourceObject
    rgb: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Photos below a prefix, and which of them have to be read for the next version."""

    source: Place
    store: ObjectStore
    dataset: str
    config: DataConfig
    previous: Previous
    known: Sequence[SourceObject]
    """Outcomes of the objects that have not changed."""
    changed: Sequence[ObjectInfo]
    """Objects to be read, sorted by key."""

    @property
    def digest(self) -> str:
        """Digest of what has to be read."""
        return digest_of_objects((info.key, info.token) for info in self.changed)

    def cut(
        self,
        reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
        progress: OnProgress = silent,
        licence: str | None = None,
    ) -> DatasetRef:
        """Read what has changed and publish the version; see `prepare_dataset`."""
        config, uri = self.config, self.source.uri
        attempt = Attempt(self.store, self.dataset, config, self.previous, self.known, source=uri)
        self._read(attempt, reader, progress)
        names = _names(attempt.outcomes(), uri)
        splits = assign(names, self.previous.splits, config.eval_share)
        self._cut_again(attempt, splits, names, reader)
        photos = [replace(attempt.layout.photo(each), name=names[each]) for each in sorted(names)]
        return attempt.publish(attempt.layout.finish(photos), licence).ref(len(self.changed))

    def _read(self, attempt: Attempt, reader: PhotoReader, progress: OnProgress) -> None:
        def make(info: ObjectInfo, files: Sequence[bytes]) -> Reading:
            return _reading(info, files[0], self.config, reader)

        def use(reading: Reading) -> None:
            _place(reading, attempt.layout)
            attempt.add(reading.source)

        reader.read(
            attempt.rest(self.changed, lambda info: (info.key, info.token)),
            lambda info: [(self.source.store, info)],
            make,
            use,
            max_pixels=self.config.max_pixels,
            progress=counted(progress, len(self.changed)),
        )

    def _cut_again(
        self,
        attempt: Attempt,
        splits: Mapping[str, Split],
        names: Mapping[str, str],
        reader: PhotoReader,
    ) -> None:
        """Read those photos again that are on another side than the one that they were cut for.

        That is known only when all photos are: one changes sides if a side would have none.
        `StorageError` if it was changed or deleted meanwhile.
        """

        def make(each: tuple[str, ObjectInfo], files: Sequence[bytes]) -> NDArray[np.uint8] | None:
            pixels, info = each
            try:
                photo = reader.photo(info, files[0], max_pixels=self.config.max_pixels)
            except ImageError:  # it was a photo before
                return None
            return photo.rgb if pixel_digest(photo) == pixels else None

        for pixels in attempt.layout.settle(splits):
            store, key = self.source.store, names[pixels]
            found: list[NDArray[np.uint8] | None] = []
            info = store.head(key)
            reader.read(
                [] if info is None else [(pixels, info)],
                lambda each: [(self.source.store, each[1])],
                make,
                found.append,
                max_pixels=self.config.max_pixels,
            )
            if not found or found[0] is None:
                raise StorageError(
                    f"{store.uri(key)} was changed or deleted while the dataset was prepared; "
                    "prepare it again"
                )
            attempt.layout.cut_again(pixels, found[0])


def list_photos(source: Place, store: ObjectStore, dataset: str, config: DataConfig) -> Listing:
    """Compare a user's objects with the newest version; `DataError` if there are none."""
    objects = some_sources(source)
    previous = read_previous(store, dataset, source.store.bucket, config)
    return Listing(
        source=source,
        store=store,
        dataset=dataset,
        config=config,
        previous=previous,
        known=[row for info in objects if (row := previous.source(info)) is not None],
        changed=[info for info in objects if previous.source(info) is None],
    )


def prepare_dataset(
    source: Place,
    store: ObjectStore,
    dataset: str,
    config: DataConfig,
    progress: OnProgress = silent,
    licence: str | None = None,
    reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
) -> DatasetRef:
    """Bring `dataset` up to date with the photos below `source`.

    Without a `licence` the version keeps the previous one's.

    Raises `DataError` when there are no or too few usable photos, with the reasons and their
    counts; `ConflictError` when somebody else published a version meanwhile; `StorageError` when
    a store fails. The previous version stays as it was in each case.
    """
    listing = list_photos(source, store, dataset, config)
    return listing.cut(reader, progress, licence)


def digest_of_objects(objects: Iterable[tuple[str, str]]) -> str:
    """SHA-256 (hex) of keys and change tokens."""
    digest = hashlib.sha256()
    for key, token in objects:
        digest.update(f"{key}\0{token}\0".encode())
    return digest.hexdigest()


def _reading(info: ObjectInfo, data: bytes, config: DataConfig, reader: PhotoReader) -> Reading:
    try:
        photo = reader.photo(info, data, max_pixels=config.max_pixels)
        refuse_tiny(photo, config)
    except ImageError as error:
        return Reading(rejected(info.key, info.token, error), None)
    statistics = statistics_of(photo.pixels, scale=config.scale)
    source = SourceObject(info.key, info.token, pixels=pixel_digest(photo), statistics=statistics)
    return Reading(source, photo.rgb)


def refuse_tiny(photo: Photo, config: DataConfig) -> None:
    """Raise `ImageError` if a photo holds no crop."""
    height, width = photo.pixels.shape[:2]
    if min(height, width) < config.crop_size:
        raise ImageError("tiny", f"{width} × {height} holds no crop of {config.crop_size} pixels")


def rejected(key: str, token: str, error: ImageError) -> SourceObject:
    """Outcome of an object that cannot be used."""
    return SourceObject(key, token, reason=error.reason, detail=error.detail[:_DETAIL_LENGTH])


def list_sources(place: Place) -> list[ObjectInfo]:
    """List a user's objects by key, without markers of folders and what this system wrote."""
    found = (
        info
        for info in place.store.list(place.prefix)
        if not info.key.endswith("/") and not is_ours(info.key, own_prefix=place.own_prefix)
    )
    return sorted(found, key=lambda info: info.key)


def some_sources(place: Place) -> list[ObjectInfo]:
    """List a user's objects by key; `DataError` if there are none."""
    if objects := list_sources(place):
        return objects
    raise DataError(f"{place.uri} holds no photos; upload some, or correct the address")


def count_reasons(sources: Iterable[SourceObject]) -> dict[str, int]:
    """Count rejected sources by reason, most frequent first."""
    return dict(Counter(source.reason for source in sources if source.reason).most_common())


def _place(reading: Reading, layout: Layout) -> None:
    pixels, rgb = reading.source.pixels, reading.rgb
    if pixels is None or rgb is None:
        return
    if layout.has(pixels):
        layout.look_at(pixels, rgb)
    else:
        layout.add(pixels, rgb)


def _names(sources: list[SourceObject], uri: str) -> dict[str, str]:
    """Return `first_keys`; `DataError` if there are fewer than two photos."""
    names = first_keys(sources)
    if len(names) < 2:
        raise DataError(_too_few(len(names), sources, uri))
    return names


def first_keys(sources: Iterable[SourceObject]) -> dict[str, str]:
    """Key of the first source of each photo, by its pixels; `sources` are sorted by key."""
    names: dict[str, str] = {}
    for source in sources:
        if source.pixels:
            names.setdefault(source.pixels, source.key)
    return names


def _too_few(num_photos: int, sources: list[SourceObject], uri: str) -> str:
    duplicates = sum(1 for source in sources if source.pixels) - num_photos
    return (
        f"{num_photos} usable {'photo' if num_photos == 1 else 'photos'} among "
        f"{len(sources)} objects below {uri}, but training and evaluation need one each; "
        f"{why_rejected(sources)}; duplicates: {duplicates}"
    )


def why_rejected(sources: Iterable[SourceObject]) -> str:
    """Say how many sources were rejected for which reasons, with an example."""
    bad = [source for source in sources if source.reason]
    reasons = ", ".join(f"{count} {reason}" for reason, count in count_reasons(bad).items())
    example = f" (for example {bad[0].key}: {bad[0].detail})" if bad else ""
    return f"rejected: {reasons or 'none'}{example}"
