"""Evaluation sets: versioned photos that nothing is ever trained on.

``sets/<name>/photos/<pixels>.png`` are the photos, stored without loss and named by their pixels;
``sets/<name>/versions/<version>.json`` says which of them are measured and how they are cut. A set
of pairs has an LR photo for each photo, which the models enlarge.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from srgan.config import DegradationConfig, SetConfig
from srgan.data.crops import windows
from srgan.data.manifest import move_pointer, read_pointer
from srgan.data.pairs import Pair, compared, match
from srgan.data.prepare import list_sources
from srgan.data.reading import OnProgress, PhotoReader, silent
from srgan.errors import ConfigError, ConflictError, DataError, ImageError, StorageError
from srgan.images import Photo, decode_in_8_bits, encode, pixel_digest
from srgan.images.likeness import look_of
from srgan.keys import newest_set_key, set_photo_key, set_version_key
from srgan.measure.comparison import as_rgb
from srgan.refs import Ref, SetRef, digest
from srgan.storage import ObjectInfo, ObjectStore, Place, read_document, write_document

Pixels = NDArray[np.uint8]

_MIN_SIDE = 32
"""Smallest side of a photo in pixels; a perceptual network cannot measure smaller ones."""


class SetPhoto(Ref):
    """One photo of a set."""

    name: str
    """Key of the source object."""
    pixels: str
    """Digest of its pixels, the same as for a dataset's photos."""
    look: str
    """Result of `images.likeness.look_of`, for finding near-duplicates."""
    height: int
    width: int
    lr_pixels: str | None = None
    """Digest of the pixels of its LR photo; None if LR images are made from it."""


class EvaluationSet(Ref):
    """One version of an evaluation set."""

    format: Literal["srgan-set-1"] = "srgan-set-1"
    name: str
    version: str
    source: str
    """S3 URI of the prefix that the photos came from."""
    lr_source: str | None = None
    """The same of their LR photos; None if LR images are made from the photos."""
    scale: int | None = None
    """How many times as large as their LR photos the photos are; None if LR images are made."""
    config: SetConfig
    photos: tuple[SetPhoto, ...]
    """Sorted by pixels, without duplicates."""
    rejected: dict[str, str]
    """Reason by key, for objects that are not usable photos; of a pair by the key of HR."""
    num_duplicates: int

    @property
    def ref(self) -> SetRef:
        """The value that is passed to evaluations."""
        return SetRef(
            name=self.name,
            version=self.version,
            key=set_version_key(self.name, self.version),
            num_photos=len(self.photos),
            num_images=sum(len(_places(photo, self.config, 1)) for photo in self.photos),
            lr_source=self.lr_source,
        )


def set_version(config: SetConfig, photos: Sequence[SetPhoto], scale: int | None = None) -> str:
    """Return the digest of what is measured: pixels, crop size, and how LR images come about."""
    measured: dict[str, object] = {
        "crop_size": config.crop_size,
        "photos": sorted(p.pixels for p in photos),
    }
    if config.degradation != DegradationConfig():  # bicubic sets keep the versions they have
        measured["degradation"] = config.degradation.model_dump(mode="json")
    if scale is not None:
        measured["scale"] = scale
        measured["pairs"] = sorted([p.pixels, p.lr_pixels] for p in photos)
    return digest(measured)


def read_set(store: ObjectStore, key: str) -> EvaluationSet:
    """Read the version at `key`; `StorageError` if it is missing or unreadable."""
    return read_document(store, key, EvaluationSet, mend="run prepare-eval again")


def newest_set(store: ObjectStore, name: str) -> EvaluationSet:
    """Read the newest version of a set; `DataError` if there is none."""
    version, _ = read_pointer(store, newest_set_key(name))
    if version is None:
        raise DataError(
            f"there is no evaluation set {name!r}; make it with the flow prepare-eval, whose "
            f"parameters are name={name} and source=s3://BUCKET/PREFIX"
        )
    return read_set(store, set_version_key(name, version))


def publish_set(store: ObjectStore, made: EvaluationSet) -> None:
    """Write the version, then point to it; `ConflictError` if another was published meanwhile."""
    _, token = read_pointer(store, newest_set_key(made.name))
    write_document(store, made.ref.key, made)
    try:
        move_pointer(store, newest_set_key(made.name), made.version, token)
    except ConflictError as error:
        raise ConflictError(
            f"evaluation set {made.name!r} got another version at the same moment; run "
            "prepare-eval again"
        ) from error


class SetImages(Sequence[Pixels]):
    """The images of a set at one scale: uint8 (h, w, 3) or (h, w), sides divisible by the scale.

    The remainder is cut away at the right and the bottom, as benchmarks do. One decoded photo, or
    one pair, is in memory at a time; pixels are verified against their digest. A set of pairs has
    its own scale: another one is a `ConfigError`.
    """

    def __init__(self, store: ObjectStore, made: EvaluationSet, scale: int) -> None:
        refuse_scale(made, scale)
        self._set = made
        self._scale = scale
        self._read = lru_cache(2 if made.scale else 1)(partial(_read_photo, store, made))
        self._places = [
            (number, *place)
            for number, photo in enumerate(made.photos)
            for place in _places(photo, made.config, scale)
        ]

    @property
    def names(self) -> list[str]:
        """Photo of each image."""
        return [self._set.photos[number].name for number, *_ in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Pixels:  # type: ignore[override]  # no slices
        number, top, left, height, width = self._places[index]
        photo = self._read(self._set.photos[number].pixels)
        return photo[top : top + height, left : left + width].copy()

    def lr(self, index: int) -> Pixels | None:
        """LR uint8 (h / s, w / s, 3): of a pair from its LR photo, else by the set's degradation.

        None for a set on plain bicubic. A degradation is drawn by the photo's pixels and the
        image's place in it, so it is the same at every evaluation.
        """
        number, *place = self._places[index]
        photo, config = self._set.photos[number], self._set.config.degradation
        if photo.lr_pixels is not None:
            top, left, height, width = (each // self._scale for each in place)
            lr = self._read(photo.lr_pixels)[top : top + height, left : left + width]
            return as_rgb(lr).copy()
        if config == DegradationConfig():
            return None
        # Imports torch, which costs seconds; flows only prepare sets.
        from srgan.degradation import degrade_photo

        seed = int(photo.pixels[:16], 16)
        first = next(i for i, each in enumerate(self._places) if each[0] == number)
        return degrade_photo(
            as_rgb(self[index]), self._scale, config, seed=seed, place=index - first
        )


def refuse_scale(made: EvaluationSet, scale: int) -> None:
    """Raise `ConfigError` if a set holds pairs of another scale than it would be measured at."""
    if made.scale not in (None, scale):
        raise ConfigError(
            f"evaluation set {made.name!r} holds pairs of scale {made.scale}, and it would be "
            f"measured at scale {scale}; name another set"
        )


def _read_photo(store: ObjectStore, made: EvaluationSet, pixels: str) -> Pixels:
    key = set_photo_key(made.name, pixels)
    photo = decode_in_8_bits(store.get(key), max_pixels=made.config.max_pixels)
    if pixel_digest(photo) != pixels:
        raise StorageError(
            f"{store.uri(key)} was altered; delete it and run prepare-eval for {made.name} again"
        )
    return photo.pixels


def _places(photo: SetPhoto, config: SetConfig, scale: int) -> list[tuple[int, int, int, int]]:
    """Top, left, height and width of each image that is measured of a photo."""
    if config.crop_size is None:
        return [(0, 0, photo.height // scale * scale, photo.width // scale * scale)]
    side = config.crop_size // scale * scale
    return [(y, x, side, side) for y, x in windows(photo.height, photo.width, config.crop_size)]


def prepare_set(
    source: Place,
    store: ObjectStore,
    name: str,
    config: SetConfig,
    progress: OnProgress = silent,
    reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
) -> EvaluationSet:
    """Copy the photos below `source` and publish them as a version.

    The same photos make the same version. `DataError` with an example if no photo is usable. When
    this raises, the set stays as it was.
    """
    objects = list_sources(source)
    photos: dict[str, SetPhoto] = {}
    rejected: dict[str, str] = {}

    def make(info: ObjectInfo, files: Sequence[bytes]) -> tuple[str, Photo | ImageError]:
        try:
            photo = reader.photo(info, files[0], max_pixels=config.max_pixels)
            _refuse_size(photo, config)
        except ImageError as error:
            return info.key, error
        return info.key, photo

    def use(made: tuple[str, Photo | ImageError]) -> None:
        key, found = made
        if isinstance(found, ImageError):
            rejected[key] = str(found)
            return
        kept = _keep(store, name, key, found)
        photos.setdefault(kept.pixels, kept)

    reader.read(
        objects,
        lambda info: [(source.store, info)],
        make,
        use,
        max_pixels=config.max_pixels,
        progress=progress,
    )
    if not photos:
        raise DataError(
            f"no photo among {len(objects)} objects below {source.uri} is usable as evaluation set "
            f"{name!r}{_example(rejected)}"
        )
    listed = tuple(photos[pixels] for pixels in sorted(photos))
    made = EvaluationSet(
        name=name,
        version=set_version(config, listed),
        source=source.uri,
        config=config,
        photos=listed,
        rejected=rejected,
        num_duplicates=len(objects) - len(rejected) - len(photos),
    )
    publish_set(store, made)
    return made


def prepare_paired_set(
    hr: Place,
    lr: Place,
    scale: int,
    store: ObjectStore,
    name: str,
    config: SetConfig,
    progress: OnProgress = silent,
    reader: PhotoReader = PhotoReader(),  # noqa: B008  # frozen
) -> EvaluationSet:
    """Copy pairs of HR and LR photos, matched and compared as those of `data.pairs`.

    The same pairs make the same version. `DataError` with an example if no pair is usable;
    `ConfigError` if `config` does not fit pairs, or one folder lies in the other. When this raises,
    the set stays as it was.
    """
    _check_config(config, scale)
    pairs, lonely = match(hr, lr)
    rejected = {each.key: f"{each.reason}: {each.detail}" for each in lonely}
    photos: dict[tuple[str, str], SetPhoto] = {}
    num_usable = 0

    def make(pair: Pair, files: Sequence[bytes]) -> tuple[str, tuple[Photo, Photo] | ImageError]:
        decode = partial(reader.photo, max_pixels=config.max_pixels)
        check = partial(_refuse_size, config=config)
        try:
            return pair.hr.key, compared(pair, files[0], files[1], decode, check, scale)
        except ImageError as error:
            return pair.hr.key, error

    def use(made: tuple[str, tuple[Photo, Photo] | ImageError]) -> None:
        nonlocal num_usable
        key, found = made
        if isinstance(found, ImageError):
            rejected[key] = str(found)
            return
        lr_pixels = _store(store, name, found[1])
        kept = _keep(store, name, key, found[0], lr_pixels)
        photos.setdefault((kept.pixels, lr_pixels), kept)
        num_usable += 1

    reader.read(
        pairs,
        lambda pair: [(hr.store, pair.hr), (lr.store, pair.lr)],
        make,
        use,
        max_pixels=config.max_pixels,
        progress=progress,
    )
    if not photos:
        raise DataError(
            f"no pair among {len(pairs)} HR photos below {hr.uri} that have an LR photo below "
            f"{lr.uri} is usable as evaluation set {name!r}{_example(rejected)}"
        )
    listed = tuple(photos[pixels] for pixels in sorted(photos))
    made = EvaluationSet(
        name=name,
        version=set_version(config, listed, scale),
        source=hr.uri,
        lr_source=lr.uri,
        scale=scale,
        config=config,
        photos=listed,
        rejected=rejected,
        num_duplicates=num_usable - len(photos),
    )
    publish_set(store, made)
    return made


def _check_config(config: SetConfig, scale: int) -> None:
    if config.degradation != DegradationConfig():
        raise ConfigError(
            "config.degradation does not apply to pairs, whose LR photos are measured as they are; "
            "leave it out"
        )
    if config.crop_size is not None and config.crop_size % scale:
        raise ConfigError(f"config.crop_size {config.crop_size} is not divisible by scale {scale}")


def _refuse_size(photo: Photo, config: SetConfig) -> None:
    """Raise `ImageError` if a photo is too small or too large to be measured."""
    height, width = photo.pixels.shape[:2]
    if min(height, width) < (config.crop_size or _MIN_SIDE):
        raise ImageError("tiny", f"{width} × {height}, needs {config.crop_size or _MIN_SIDE}")
    if config.crop_size is None and height * width > config.max_whole_pixels:
        raise ImageError(
            "large",
            f"{width} × {height} is more than whole photos may have ({config.max_whole_pixels:,} "
            "pixels); set crop_size to measure crops",
        )


def _keep(
    store: ObjectStore, name: str, key: str, photo: Photo, lr_pixels: str | None = None
) -> SetPhoto:
    """Store a photo and describe it."""
    height, width = photo.pixels.shape[:2]
    return SetPhoto(
        name=key,
        pixels=_store(store, name, photo),
        look=look_of(photo.pixels),
        height=height,
        width=width,
        lr_pixels=lr_pixels,
    )


def _store(store: ObjectStore, name: str, photo: Photo) -> str:
    """Store the pixels without metadata, unless they are stored already; return their digest."""
    pixels = pixel_digest(photo)
    target = set_photo_key(name, pixels)
    if store.head(target) is None:
        plain = Photo(photo.pixels)
        store.put(target, encode(plain, format="png", jpeg_quality=100), content_type="image/png")
    return pixels


def _example(rejected: Mapping[str, str]) -> str:
    return next((f"; for example {key}: {why}" for key, why in rejected.items()), "")
