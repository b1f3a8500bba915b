"""Evaluation sets: versioned photos that nothing is ever trained on.

``sets/<name>/photos/<pixels>.png`` are the photos, stored without loss and named by their pixels;
``sets/<name>/versions/<version>.json`` says which of them are measured and how they are cut.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from srgan.config import DegradationConfig, SetConfig
from srgan.data.crops import windows
from srgan.data.manifest import move_pointer, read_pointer
from srgan.data.prepare import folder_of, is_source
from srgan.errors import ConflictError, DataError, ImageError, StorageError
from srgan.images import Photo, decode_in_8_bits, encode, pixel_digest
from srgan.images.likeness import look_of
from srgan.keys import newest_set_key, set_photo_key, set_version_key
from srgan.measure.comparison import as_rgb
from srgan.refs import Ref, SetRef, digest
from srgan.storage import ObjectStore, read_document, write_document

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


class EvaluationSet(Ref):
    """One version of an evaluation set."""

    format: Literal["srgan-set-1"] = "srgan-set-1"
    name: str
    version: str
    source: str
    """S3 URI of the prefix that the photos came from."""
    config: SetConfig
    photos: tuple[SetPhoto, ...]
    """Sorted by pixels, without duplicates."""
    rejected: dict[str, str]
    """Reason by key, for objects that are not usable photos."""
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
        )


def set_version(config: SetConfig, photos: Sequence[SetPhoto]) -> str:
    """Return the digest of what is measured: pixels, crop size and degradation if there is one."""
    measured: dict[str, object] = {
        "crop_size": config.crop_size,
        "photos": sorted(p.pixels for p in photos),
    }
    if config.degradation != DegradationConfig():  # bicubic sets keep the versions they have
        measured["degradation"] = config.degradation.model_dump(mode="json")
    return digest(measured)


def read_set(store: ObjectStore, key: str) -> EvaluationSet:
    """Read the version at `key`; `StorageError` if it is missing or unreadable."""
    return read_document(store, key, EvaluationSet, mend="run prepare-eval again")


def newest_set(store: ObjectStore, name: str) -> EvaluationSet:
    """Read the newest version of a set; `DataError` if there is none."""
    version, _ = read_pointer(store, newest_set_key(name))
    if version is None:
        raise DataError(
            f"there is no evaluation set {name!r}; make it with the flow prepare-eval: `prefect "
            f"deployment run prepare-eval/prepare-eval --param name={name} --param source=s3://…`"
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

    The remainder is cut away at the right and the bottom, as benchmarks do. One decoded photo is in
    memory at a time; pixels are verified against their digest.
    """

    def __init__(self, store: ObjectStore, made: EvaluationSet, scale: int) -> None:
        self._store = store
        self._set = made
        self._scale = scale
        self._places = [
            (number, *place)
            for number, photo in enumerate(made.photos)
            for place in _places(photo, made.config, scale)
        ]
        self._loaded: tuple[int, Pixels] | None = None

    @property
    def names(self) -> list[str]:
        """Photo of each image."""
        return [self._set.photos[number].name for number, *_ in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Pixels:  # type: ignore[override]  # no slices
        number, top, left, height, width = self._places[index]
        return self._photo(number)[top : top + height, left : left + width].copy()

    def degraded(self, index: int) -> Pixels | None:
        """LR uint8 (h / s, w / s, 3) by the set's degradation; None for a set on plain bicubic.

        Drawn by the photo's pixels and the image's place in it, so the same at every evaluation.
        """
        config = self._set.config.degradation
        if config == DegradationConfig():
            return None
        # Imports torch, which costs seconds; flows only prepare sets.
        from srgan.degradation import degrade_photo

        number = self._places[index][0]
        seed = int(self._set.photos[number].pixels[:16], 16)
        first = next(i for i, place in enumerate(self._places) if place[0] == number)
        return degrade_photo(
            as_rgb(self[index]), self._scale, config, seed=seed, place=index - first
        )

    def _photo(self, number: int) -> Pixels:
        if self._loaded is None or self._loaded[0] != number:
            self._loaded = (number, _read_photo(self._store, self._set, number))
        return self._loaded[1]


def _read_photo(store: ObjectStore, made: EvaluationSet, number: int) -> Pixels:
    pixels = made.photos[number].pixels
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
    source_store: ObjectStore,
    source_prefix: str,
    store: ObjectStore,
    name: str,
    config: SetConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EvaluationSet:
    """Copy the photos below `source_prefix` and publish them as a version.

    The same photos make the same version. `DataError` with an example if no photo is usable. When
    this raises, the set stays as it was.
    """
    prefix = folder_of(source_prefix)
    uri = source_store.uri(prefix)
    found = (info for info in source_store.list(prefix) if is_source(info, source_store, store))
    objects = sorted(found, key=lambda info: info.key)
    photos: dict[str, SetPhoto] = {}
    rejected: dict[str, str] = {}
    for done, info in enumerate(objects, start=1):
        data = source_store.find(info.key)
        if data is not None:  # None: deleted since it was listed
            try:
                photo = _decode(data, config)
            except ImageError as error:
                rejected[info.key] = str(error)
            else:
                pixels = pixel_digest(photo)
                photos.setdefault(pixels, _keep(store, name, info.key, pixels, photo))
        progress(done, len(objects))
    if not photos:
        example = next((f"; for example {key}: {why}" for key, why in rejected.items()), "")
        raise DataError(
            f"no photo among {len(objects)} objects below {uri} is usable as evaluation set "
            f"{name!r}{example}"
        )
    listed = tuple(photos[pixels] for pixels in sorted(photos))
    made = EvaluationSet(
        name=name,
        version=set_version(config, listed),
        source=uri,
        config=config,
        photos=listed,
        rejected=rejected,
        num_duplicates=len(objects) - len(rejected) - len(photos),
    )
    publish_set(store, made)
    return made


def _decode(data: bytes, config: SetConfig) -> Photo:
    photo = decode_in_8_bits(data, max_pixels=config.max_pixels)
    height, width = photo.pixels.shape[:2]
    if min(height, width) < (config.crop_size or _MIN_SIDE):
        raise ImageError("tiny", f"{width} × {height}, needs {config.crop_size or _MIN_SIDE}")
    if config.crop_size is None and height * width > config.max_whole_pixels:
        raise ImageError(
            "large",
            f"{width} × {height} is more than whole photos may have ({config.max_whole_pixels:,} "
            "pixels); set crop_size to measure crops",
        )
    return photo


def _keep(store: ObjectStore, name: str, key: str, pixels: str, photo: Photo) -> SetPhoto:
    """Store the pixels without metadata, unless they are stored already."""
    target = set_photo_key(name, pixels)
    if store.head(target) is None:
        plain = Photo(photo.pixels)
        store.put(target, encode(plain, format="png", jpeg_quality=100), content_type="image/png")
    height, width = photo.pixels.shape[:2]
    look = look_of(photo.pixels)
    return SetPhoto(name=key, pixels=pixels, look=look, height=height, width=width)
