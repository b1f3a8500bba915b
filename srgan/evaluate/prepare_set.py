"""Photos below a prefix → a version of an evaluation set."""

from collections.abc import Callable

from srgan.config import SetConfig
from srgan.data.prepare import folder_of, is_source
from srgan.errors import DataError, ImageError
from srgan.evaluate.sets import EvaluationSet, SetPhoto, publish_set, set_version
from srgan.images import Photo, decode_in_8_bits, encode, pixel_digest
from srgan.images.likeness import look_of
from srgan.keys import set_photo_key
from srgan.storage import ObjectStore

_MIN_SIDE = 32
"""Below it a perceptual network has nothing to see."""


def prepare_set(
    source_store: ObjectStore,
    source_prefix: str,
    store: ObjectStore,
    name: str,
    config: SetConfig,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EvaluationSet:
    """Copy the photos below `source_prefix` and publish the version that they make.

    The same photos make the same version. `DataError` where there are none, with the reasons;
    whatever it raises, the set stays as it was.
    """
    prefix = folder_of(source_prefix)
    uri = source_store.uri(prefix)
    found = (info for info in source_store.list(prefix) if is_source(info, source_store, store))
    objects = sorted(found, key=lambda info: info.key)
    photos: dict[str, SetPhoto] = {}
    rejected: dict[str, str] = {}
    for done, info in enumerate(objects, start=1):
        data = source_store.find(info.key)
        if data is not None:  # else deleted since it was listed
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
    """Store the pixels alone, unless they are there."""
    target = set_photo_key(name, pixels)
    if store.head(target) is None:
        plain = Photo(photo.pixels)
        store.put(target, encode(plain, format="png", jpeg_quality=100), content_type="image/png")
    height, width = photo.pixels.shape[:2]
    look = look_of(photo.pixels)
    return SetPhoto(name=key, pixels=pixels, look=look, height=height, width=width)
