"""One attempt at the next version of a dataset, and what it leaves to the attempt that follows it.

Reading millions of photos takes hours, in which a node may be lost. So an attempt writes down from
time to time which photos have all their crops in shards. The next one reads the others only and
leaves out what is stored of them, so it fills the same shards as an attempt that was not ended.
"""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from srgan.config import DataConfig
from srgan.data import manifest as manifests
from srgan.data.layout import Layout
from srgan.data.manifest import DatasetManifest, Previous, Shard, intact, put_table, reading_version
from srgan.data.tables import (
    CutPhoto,
    SourceObject,
    Split,
    dump_photos,
    dump_sources,
    load_photos,
    load_sources,
)
from srgan.errors import DocumentError
from srgan.keys import begun_dataset_key, table_key
from srgan.refs import Ref
from srgan.storage import ObjectStore, find_document, write_document

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SAVE_EVERY_S = 60.0
_MOST_TIME = 0.05
"""Share of the time that may go into writing down, because the tables grow."""


class _Origin(Ref):
    """Inputs that have to be the same for an attempt to go on with another."""

    source: str
    lr_source: str | None
    config: DataConfig
    decoding: str


class _Document(Ref):
    """The note in the bucket; its tables hold what the version before does not have."""

    origin: _Origin
    shards: tuple[Shard, ...]
    sources_table: str
    photos_table: str


@dataclass(frozen=True)
class Begun:
    """Photos of the next version that are stored; empty if there was no attempt."""

    shards: Mapping[str, Shard] = field(default_factory=dict)
    photos: Mapping[str, CutPhoto] = field(default_factory=dict)
    """Photos by pixels, all of whose crops are stored."""
    parts: Mapping[str, CutPhoto] = field(default_factory=dict)
    """Photos by pixels, of which the first crops are stored."""
    sources: Mapping[str, SourceObject] = field(default_factory=dict)
    """Outcomes by key. Their photos are among `photos` or in the version before."""


class Attempt:
    """The crops and outcomes of the next version, as far as they are known."""

    def __init__(
        self,
        store: ObjectStore,
        dataset: str,
        config: DataConfig,
        previous: Previous,
        known: Iterable[SourceObject],
        *,
        source: str,
        lr_source: str | None = None,
    ) -> None:
        """Go on with what an attempt of the same origin has left; `known` has not changed."""
        self._store = store
        self._dataset = dataset
        self._previous = previous
        self._origin = _Origin(
            source=source,
            lr_source=lr_source,
            config=config,
            decoding=reading_version(lr_source),
        )
        self._begun = _find_begun(store, dataset, self._origin, previous)
        self.layout = AttemptLayout(
            store, dataset, config, previous, self._begun, pairs=lr_source is not None
        )
        self._known = list(known)
        self._read: list[SourceObject] = []
        self._keep(self._known)
        self._save_at = time.monotonic() + _SAVE_EVERY_S

    def rest(self, items: Sequence[T], name: Callable[[T], tuple[str, str]]) -> list[T]:
        """Return the items to be read, whose key and change token `name` says; keep the others."""
        rest: list[T] = []
        for item in items:
            key, token = name(item)
            source = self._begun.sources.get(key)
            if source is None or source.token != token:
                rest.append(item)
                continue
            self._read.append(source)
        self._keep(self._read)
        if len(rest) < len(items):
            num_stored = len(items) - len(rest)
            logger.info("an attempt that was ended has stored %d of %d", num_stored, len(items))
        return rest

    def add(self, source: SourceObject) -> None:
        """Note the outcome of an item whose crops are placed, and save if it is time."""
        self._read.append(source)
        began = time.monotonic()
        if began >= self._save_at:
            self._save()
            ended = time.monotonic()
            self._save_at = ended + max(_SAVE_EVERY_S, (ended - began) / _MOST_TIME)

    def outcomes(self) -> list[SourceObject]:
        """Outcome of every object, sorted by key."""
        return sorted([*self._known, *self._read], key=lambda source: source.key)

    def publish(self, photos: list[CutPhoto], licence: str | None) -> DatasetManifest:
        """Publish the version of these photos unless it is there already, and end the attempt.

        Without a licence it keeps the previous one's. `ConflictError` if somebody else published a
        version meanwhile.
        """
        previous = self._previous.manifest
        kept = previous.licence if previous else None
        manifest = self._manifest(photos).model_copy(update={"licence": licence or kept})
        if manifest != previous:
            manifests.publish(self._store, manifest, self._previous.token)
        self._store.delete(begun_dataset_key(self._dataset))
        return manifest

    def _manifest(self, photos: list[CutPhoto]) -> DatasetManifest:
        """Store the tables of the version of these photos and return its manifest."""
        num_photos, num_crops = Counter[str](), Counter[str]()
        for photo in photos:
            num_photos[photo.split] += 1
            num_crops[photo.split] += sum(span.num_crops for span in photo.spans)
        sources, origin = self.outcomes(), self._origin
        num_usable = sum(1 for source in sources if source.pixels)
        return DatasetManifest(
            dataset=self._dataset,
            version=manifests.content_version(origin.config, photos),
            source=origin.source,
            config=origin.config,
            shards=self.layout.shards(photos),
            sources_table=put_table(self._store, self._dataset, dump_sources(sources)),
            photos_table=put_table(self._store, self._dataset, dump_photos(photos)),
            num_train_crops=num_crops["train"],
            num_eval_crops=num_crops["eval"],
            num_train_photos=num_photos["train"],
            num_eval_photos=num_photos["eval"],
            num_duplicates=num_usable - len(photos),
            num_rejected=len(sources) - num_usable,
            decoding=origin.decoding,
            lr_source=origin.lr_source,
        )

    def _keep(self, sources: Iterable[SourceObject]) -> None:
        self.layout.keep(source.pixels for source in sources if source.pixels)

    def _save(self) -> None:
        begun = self.layout.stored()
        sources = (
            source
            for source in self._read
            if not source.pixels
            or source.pixels in begun.photos
            or source.pixels in self._previous.photos
        )
        photos = [*begun.photos.values(), *begun.parts.values()]
        document = _Document(
            origin=self._origin,
            shards=tuple(begun.shards.values()),
            sources_table=put_table(self._store, self._dataset, dump_sources(sources)),
            photos_table=put_table(self._store, self._dataset, dump_photos(photos)),
        )
        write_document(self._store, begun_dataset_key(self._dataset), document)


class AttemptLayout(Layout):
    """A layout that goes on where an attempt has ended, and in which photos change sides.

    Apart from `Layout`, whose code names trainings (`srgan.version`): it says how the crops of a
    side are cut, and nothing here cuts them otherwise.
    """

    def __init__(
        self,
        store: ObjectStore,
        dataset: str,
        config: DataConfig,
        previous: Previous,
        begun: Begun,
        *,
        pairs: bool,
    ) -> None:
        both = replace(
            previous,
            shards={**begun.shards, **previous.shards},
            photos={**begun.photos, **previous.photos},
        )
        super().__init__(store, dataset, config, both, pairs=pairs)
        self._begun = begun
        for photo in begun.parts.values():
            self._writers[photo.split].spans[photo.pixels] = list(photo.spans)

    def settle(self, sides: Mapping[str, Split]) -> list[str]:
        """Take these sides for final; return the photos that were cut for the other one, sorted."""
        self._previous = replace(self._previous, splits=dict(sides))
        return sorted(each for each in sides if self._photos[each].split != sides[each])

    def cut_again(self, pixels: str, rgb: NDArray[np.uint8]) -> None:
        """Cut a photo (H, W, 3) for the side that is final, instead of as it was cut before."""
        self._writers[self._photos[pixels].split].drop(pixels)
        self.add(pixels, rgb)

    def stored(self) -> Begun:
        """Return what is stored by now of photos that the version before does not have."""
        photos = dict(self._begun.photos)
        parts = {p: photo for p, photo in self._begun.parts.items() if p not in self._photos}
        waiting = {split: writer.waiting for split, writer in self._writers.items()}
        for pixels, photo in self._photos.items():
            if pixels in self._previous.photos:
                continue
            spans = tuple(self._writers[photo.split].spans.get(pixels, ()))
            whole = pixels not in waiting[photo.split]
            if whole or spans:
                (photos if whole else parts)[pixels] = replace(photo, spans=spans)
        new = (shard for writer in self._writers.values() for shard in writer.shards)
        shards = {**self._begun.shards, **{shard.sha256: shard for shard in new}}
        return Begun(shards, photos, parts)


def _find_begun(store: ObjectStore, dataset: str, origin: _Origin, previous: Previous) -> Begun:
    """Read what an attempt has left; nothing if it had another origin, or if some of it is lost."""
    try:
        document = find_document(store, begun_dataset_key(dataset), _Document)
    except DocumentError:  # of another release
        return Begun()
    if document is None or document.origin != origin:
        return Begun()
    sources_table = _find_table(store, dataset, document.sources_table)
    photos_table = _find_table(store, dataset, document.photos_table)
    shards = intact(store, dataset, document.shards)
    if sources_table is None or photos_table is None or len(shards) < len(document.shards):
        return Begun()
    found = load_sources(sources_table)
    read = {source.pixels for source in found}
    photos = {photo.pixels: photo for photo in load_photos(photos_table)}
    whole = {pixels: photo for pixels, photo in photos.items() if pixels in read}
    parts = {pixels: photo for pixels, photo in photos.items() if pixels not in read}
    # Somebody else may have published a version since then.
    there = whole.keys() | previous.photos.keys()
    sources = {each.key: each for each in found if not each.pixels or each.pixels in there}
    return Begun(shards, whole, parts, sources)


def _find_table(store: ObjectStore, dataset: str, sha256: str) -> bytes | None:
    """A table of an attempt; None if it was deleted with what no version needs, or altered."""
    data = store.find(table_key(dataset, sha256))
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    return data
