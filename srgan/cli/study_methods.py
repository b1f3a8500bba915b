"""Methods of a study by what `srgan mos create --methods` takes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from srgan.cli.services import services_for
from srgan.config import SetConfig
from srgan.errors import ConfigError, DataError
from srgan.images import decode_in_8_bits
from srgan.images.entries import BEGINNING_BYTES, holds_photo, kind_of, stem_of
from srgan.keys import is_ours
from srgan.models.interchange import load_generator
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE
from srgan.refs import ModelRef
from srgan.services.folder import open_place
from srgan.settings import Settings
from srgan.storage import Place
from srgan.studies.create import Make, Pixels, Subject, nearest, original
from srgan.studies.design import Method
from srgan.studies.methods import Methods, by_network, method_of
from srgan.upscaling import load

_ORIGINALS = (REFERENCE, "hr")
_INTERPOLATIONS = ("bilinear", "bicubic")


@contextmanager
def open_methods(
    given: str, settings: Settings, scale: int, config: SetConfig
) -> Iterator[Methods]:
    """Methods by name, in their order; `ConfigError` for one that is not there or is there twice.

    Versions keep their number, also if an alias moves while the study is made.
    """
    found: Methods = {}
    with ExitStack() as stack:
        version: Callable[[str], tuple[ModelRef, bytes]] | None = None
        for part in filter(None, map(str.strip, given.split(","))):
            named, address = _split(part)
            if address.startswith("models:/"):
                version = version or stack.enter_context(_versions())
                ref, data = version(address)
                source = method_of(ref, address)
                make = by_network(load_generator(data), address, scale)
            else:
                source = Method(name=_name(address), source=address)
                make = _make(address, settings, scale, config)
            method = source.model_copy(update={"name": named}) if named is not None else source
            _check_name(part, method.name, address)
            _check_new(part, method, (each for each, _ in found.values()))
            found[method.name] = method, make
        yield found


def _split(part: str) -> tuple[str | None, str]:
    """Name and address of a method. A ``=`` within an address is not the end of a name."""
    name, found, address = part.partition("=")
    is_name = found and not {"/", ":"} & set(name)
    return (name, address) if is_name else (None, part)


def _check_name(part: str, name: str, address: str) -> None:
    if not name.strip() or name.isdecimal():
        raise ConfigError(f"--methods {part}: a name is text, not a number")
    if name != name.strip():
        raise ConfigError(f"--methods {part}: leave out the spaces around the name {name!r}")
    anchors = {LOW_ANCHOR: (LOW_ANCHOR,), REFERENCE: _ORIGINALS}
    if address not in anchors.get(name, (address,)):
        raise ConfigError(
            f"--methods {part}: {name} is the name of an anchor that finds careless raters; "
            f"write another NAME={address}"
        )


def _check_new(part: str, method: Method, before: Iterable[Method]) -> None:
    for each in before:
        if each.name == method.name:
            raise ConfigError(
                f"--methods: {method.name} is there twice; write NAME={method.source}"
            )
        if method.version and each.version and method.version.uri == each.version.uri:
            raise ConfigError(
                f"--methods {part}: {method.version.uri} is there already, as {each.name}"
            )


@contextmanager
def _versions() -> Iterator[Callable[[str], tuple[ModelRef, bytes]]]:
    """Opens the registry; finds versions and their weights."""
    with services_for() as services:

        def find(address: str) -> tuple[ModelRef, bytes]:
            ref = services.version(address)
            return ref, services.registry.load_generator_bytes(ref)

        yield find


def _name(address: str) -> str:
    """Name of a method that has none: the address, or the last part of a path."""
    if address in _ORIGINALS:
        return REFERENCE
    is_path = "/" in address or Path(address).exists()
    return PurePosixPath(address.rstrip("/")).stem if is_path else address


def _make(address: str, settings: Settings, scale: int, config: SetConfig) -> Make:
    if address in _ORIGINALS:
        return original
    if address == LOW_ANCHOR:
        return nearest(scale)
    if address.startswith("s3://") or Path(address).is_dir():
        if config.crop_size is not None:
            raise ConfigError(
                f"--methods {address}: results of whole photos cannot be compared on an "
                "evaluation set of crops; take one without crop_size"
            )
        return _rendered(address, settings, config.max_pixels)
    is_free = address in _INTERPOLATIONS
    return by_network(load(address, scale=scale if is_free else None), address, scale)


def _rendered(address: str, settings: Settings, max_pixels: int) -> Make:
    """Results that are there, matched to the photos by the names of files without suffix."""
    place = open_place(
        settings, address if address.startswith("s3://") else str(Path(address).absolute())
    )
    keys: dict[str, str] = {}
    for key in _results(place):
        stem = _stem(key)
        if stem in keys:
            raise DataError(f"{address} has {keys[stem]} and {key}; one name is one photo")
        keys[stem] = key

    def make(subject: Subject) -> Pixels:
        key = keys.get(_stem(subject.photo))
        if key is None:
            raise DataError(f"{address} has no result of {subject.photo}")
        return decode_in_8_bits(place.store.get(key), max_pixels=max_pixels).pixels

    return make


def _results(place: Place) -> Iterator[str]:
    """Keys of all pictures of a place, without the records that a bulk run leaves beside them."""
    for info in place.store.list(place.prefix):
        kind = kind_of(info.key[len(place.prefix) :])
        if info.problem or kind == "other" or is_ours(info.key, own_prefix=place.own_prefix):
            continue
        if kind == "photo" or holds_photo(place.store.beginning(info.key, BEGINNING_BYTES) or b""):
            yield info.key


def _stem(key: str) -> str:
    return stem_of(PurePosixPath(key).name)
