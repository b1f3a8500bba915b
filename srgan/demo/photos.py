"""The photographs of the demo: those that come with a dependency, or the user's own."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from srgan.config import SetConfig
from srgan.data.manifest import read_latest, read_photos
from srgan.errors import ConfigError, ImageError
from srgan.images import Photo, decode_in_8_bits, encode
from srgan.images.entries import FORMATS
from srgan.keys import newest_set_key
from srgan.measure.sets import prepare_set
from srgan.resize.arrays import imresize
from srgan.storage import ObjectStore, Place

# Only photographs; somebody has looked at each. The right one of the stereo pair is left out:
# images of one scene on both sides of the split would flatter the figures. The gray ones are there
# because the gate needs seven held-out photos.
_SHIPPED = {
    "skimage/data": (
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",
        "retina.jpg",
        "rocket.jpg",
        "brick.png",
        "camera.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "moon.png",
    ),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
    "matplotlib/mpl-data/sample_data": ("grace_hopper.jpg",),
}
_SUFFIXES = {*FORMATS, ".gif"}
_MAX_PHOTOS = 200
_MAX_PIXELS = 200_000_000
_NUM_SMALL = 4
_SMALL_SIDE = 160
_DIGEST = "sha256"
_NUM_NAMED = 5
"""Objects of somebody else that an error names; a look at each takes a request."""


@dataclass(frozen=True)
class Synced:
    """Changes that brought a prefix up to date."""

    num_uploaded: int
    num_unchanged: int
    num_removed: int


def shipped_photos() -> dict[str, Path]:
    """Return files by name from installed packages; no network."""
    found: dict[str, Path] = {}
    for folder, names in _SHIPPED.items():
        package, _, below = folder.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(
                f"{package}, whose photographs the demo uses, is not installed: "
                "pip install -e '.[demo]', or use your own with PHOTOS=folder"
            )
        home = Path(spec.submodule_search_locations[0]) / below
        found |= {name: home / name for name in names}
    missing = [str(path) for path in found.values() if not path.exists()]
    if missing:
        raise ConfigError(f"installed without its photographs: {', '.join(missing)}")
    return found


def photos_in(folder: Path) -> tuple[dict[str, Path], int]:
    """Return the first image files below `folder` by relative path, and how many there are.

    `ConfigError` if there are none. Hidden files and folders are skipped.
    """
    if not folder.is_dir():
        raise ConfigError(f"PHOTOS={folder} is not a folder")
    named = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES and path.is_file()
    }
    photos = {name: path for name, path in named.items() if not f"/{name}".count("/.")}
    if not photos:
        raise ConfigError(f"{folder} holds no photos ({', '.join(sorted(_SUFFIXES))})")
    return dict(list(photos.items())[:_MAX_PHOTOS]), len(photos)


def sync(store: ObjectStore, prefix: str, bodies: Mapping[str, bytes | Path]) -> Synced:
    """Make `prefix` hold exactly these objects; those that are there are not sent again.

    `ConfigError`, before anything is changed, if somebody else has put objects there: it would
    delete them. What stands for a folder is left alone.
    """
    listed = (info for info in store.list(f"{prefix}/") if not info.key.endswith("/"))
    there = {info.key: info.size_bytes for info in listed}
    _refuse_foreign(store, prefix, there)
    num_uploaded = 0
    for name, source in bodies.items():
        body = source.read_bytes() if isinstance(source, Path) else source
        key = f"{prefix}/{name}"
        digest = sha256(body).hexdigest()
        same_size = there.pop(key, None) == len(body)
        if not (same_size and store.metadata(key).get(_DIGEST) == digest):
            store.put(key, body, metadata={_DIGEST: digest})
            num_uploaded += 1
    for key in there:
        store.delete(key)
    return Synced(num_uploaded, len(bodies) - num_uploaded, len(there))


def _refuse_foreign(store: ObjectStore, prefix: str, keys: Iterable[str]) -> None:
    """Raise `ConfigError` if there is an object without the digest that `sync` puts on its own."""
    foreign = (key for key in sorted(keys) if _DIGEST not in store.metadata(key))
    if named := list(islice(foreign, _NUM_NAMED + 1)):
        more = " and more" if len(named) > _NUM_NAMED else ""
        raise ConfigError(
            f"{store.uri(prefix)}/ is the demo's own, and it did not put there: "
            f"{', '.join(named[:_NUM_NAMED])}{more}. It would delete them, so nothing was changed. "
            f"Move them below another prefix, such as {store.uri('raw/mine')}/, which prepare and "
            "retrain take as `source`"
        )


def small_versions(photos: dict[str, Path]) -> dict[str, bytes]:
    """Make PNGs of the first usable photos at a quarter of their size, 160 px at most, to upscale.

    The bicubic operator is the same as for the LR crops of the training.
    """
    small: dict[str, bytes] = {}
    for name, path in photos.items():
        if len(small) == _NUM_SMALL:
            break
        try:
            photo = decode_in_8_bits(path.read_bytes(), max_pixels=_MAX_PIXELS)
        except ImageError:
            continue  # the prepare flow records it with its reason
        scale = min(0.25, _SMALL_SIDE / max(photo.pixels.shape[:2]))
        pixels = imresize(photo.rgb, scale=scale)
        small[f"{Path(name).with_suffix('')}.png"] = encode(
            Photo(pixels), format="png", jpeg_quality=92
        )
    return small


def hold_out(store: ObjectStore, name: str) -> None:
    """Make evaluation set `name` of the photos that the dataset of that name holds out.

    Nothing was trained on them, so people can judge on them. It is made again if they change.
    """
    manifest, _ = read_latest(store, name)
    assert manifest is not None  # a retraining has prepared it
    held = [each.name for each in read_photos(store, manifest) if each.split == "eval"]
    bodies = {key.removeprefix(f"raw/{name}/"): store.get(key) for key in held}
    prefix = f"held-out/{name}"
    synced = sync(store, prefix, bodies)
    is_new = store.head(newest_set_key(name)) is None
    if is_new or synced.num_uploaded or synced.num_removed:
        prepare_set(Place(f"s3://{store.bucket}/{prefix}", store), store, name, SetConfig())
