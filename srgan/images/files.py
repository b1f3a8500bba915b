"""Find, read and write photos on the local disk, for the commands."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from srgan.disk import write_atomically
from srgan.errors import ConfigError, DataError, ImageError, first_few
from srgan.images.decode import decode_in_8_bits
from srgan.images.encode import COMPRESSION
from srgan.images.entries import (
    FOREIGN,
    FORMATS,
    INSTEAD,
    NOT_A_FILE,
    Entries,
    explain,
    look_through,
    mode_of,
    read_file,
    stem_of,
)
from srgan.images.photo import Photo
from srgan.images.rows import encode_into
from srgan.readable import printable

_SUFFIX_OF = {
    **{"avif": ".avif", "bmp": ".bmp", "heic": ".heic", "jpeg": ".jpg"},
    **{"png": ".png", "tiff": ".tif", "webp": ".webp"},
}
_LOSSLESS = ("bmp", "png", "tiff")
MAX_PIXELS = 100_000_000
"""Limit for photos that a command reads; larger ones are refused as decompression bombs."""
_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class FilePlan:
    """Work of a command, and what it leaves out."""

    files: list[tuple[Path, Path]]
    """Photos and their results."""
    passed_over: Sequence[Path] = ()
    """Files and folders in the source that are not photos."""
    failed: Mapping[Path, str] = field(default_factory=dict)
    """Entries of the source that cannot be read, with the reason."""
    format: str = "same"
    """Format of the results as it was asked for: its name, ``same`` or ``lossless``."""
    in_folder: bool = True
    """False if the destination is the file of the only result."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """Result of one photo of a plan."""

    path: Path
    """Beside the planned one if the format was too small for it."""
    lost: tuple[str, ...] = ()
    """Names of what the photo has and the result does not."""
    kept: bool = False
    """True if an earlier run had made it."""


def find_photos(folder: Path) -> dict[str, Path]:
    """Find the photos at any depth of a folder by their stem, in order.

    The stem is the path in the folder without its suffix. `DataError` if the folder does not exist
    or holds no photos, two files share a stem, or an entry cannot be read.
    """
    found = look_in(folder)
    for path, reason in found.failed.items():
        raise DataError(f"{path}: {reason}")
    return by_stem(folder, found.photos)


def look_in(folder: Path) -> Entries:
    """`look_through` a folder; `DataError` if it does not exist, or holds no photos."""
    if not stat.S_ISDIR(mode_of(folder)):
        raise DataError(f"{folder} does not exist or is not a folder")
    found = look_through(folder)
    if not found.photos and not found.failed:
        others = [str(path.relative_to(folder)) for path in found.passed_over]
        also = f"; not photos: {first_few(others, ', ')}" if others else ""
        raise DataError(f"{folder} holds no photos ({', '.join(sorted(FORMATS))}){also}")
    return found


def by_stem(folder: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Paths by their stem, in order; `DataError` if two files share a stem."""
    found: dict[str, Path] = {}
    for path in paths:
        stem = printable(stem_of(path.relative_to(folder).as_posix()))
        if stem in found:
            raise DataError(f"{found[stem]} and {path.name} have the same stem; rename one of them")
        found[stem] = path
    return found


def plan_files(
    source: Path, destination: Path, *, format: str = "lossless", rerouted: str = ""
) -> FilePlan:
    """Plan (photo, result) paths for one photo, or for all photos at any depth of a folder.

    Relative paths are kept. `format` of the results is ``same``, a format's name, or ``lossless``
    (those that lose something become PNG). For one photo, the destination may also be a file, whose
    suffix then sets the format. A result that cannot be written in its format gets a suffix
    appended to its name: `rerouted`, or one of `INSTEAD`. Before anything is written, `ConfigError`
    if a path is missing, a photo would be overwritten or the destination lies in the source, and
    `DataError` if the source holds no photos or two photos have the same destination.
    """
    if stat.S_ISDIR(mode_of(source)):
        return _plan_folder(source, destination, format, rerouted)
    try:
        mode = source.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENOENT and not source.is_symlink():
            raise ConfigError(f"{source} does not exist") from error
        raise DataError(f"{source}: unreadable: {explain(source, error)}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{source} is {NOT_A_FILE}")
    named = file_format(destination)
    if named and not stat.S_ISDIR(mode_of(destination)):
        if format in _SUFFIX_OF and format != named:
            raise ConfigError(f"{destination} says {named}, not {format}; leave --format out")
        return FilePlan([_distinct(source, destination)], format=named, in_folder=False)
    _check_folder(source, destination)
    files = [_distinct(source, destination / _result_name(source, format))]
    return FilePlan(files, format=format)


def file_format(path: Path) -> str | None:
    """Return the format that the suffix of a photo's file names; None for any other suffix."""
    return FORMATS.get(path.suffix.lower())


def read_photo(path: Path) -> Photo:
    """Decode a file in 8 bits; `ImageError` if it cannot be read or is not one complete photo."""
    return decode_in_8_bits(read_bytes(path), max_pixels=MAX_PIXELS)


def size_bytes(path: Path) -> int:
    """Return the size of a file; `ImageError` (``unreadable``) if that is not possible."""
    with _unreadable(path):
        return path.stat().st_size


def read_bytes(path: Path) -> bytes:
    """Read a whole file; `ImageError` (``unreadable``) if that is not possible."""
    with _unreadable(path):
        return read_file(path)


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError("unreadable", f"{path}: {explain(path, error)}") from error


def write_photo(
    path: Path,
    photo: Photo,
    *,
    format: str | None = None,
    jpeg_quality: int = _JPEG_QUALITY,
    jpeg_subsampling: str = "4:4:4",
    compression: int = COMPRESSION,
    before: Callable[[Path], None] = lambda draft: None,
) -> tuple[str, ...]:
    """Encode and write atomically; create missing folders.

    The format is that of the suffix unless one is named. `before` is called with the whole draft,
    which replaces `path` afterwards. Returns the names of what the photo's own file had and this
    one does not. `DataError` if the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as draft:
            with draft.open("wb") as file:
                lost = encode_into(
                    file,
                    photo,
                    format=format or file_format(path) or photo.format,
                    jpeg_quality=jpeg_quality,
                    jpeg_subsampling=jpeg_subsampling,
                    compression=compression,
                )
            before(draft)
        return lost
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _plan_folder(source: Path, destination: Path, format: str, rerouted: str) -> FilePlan:
    _check_folder(source, destination)
    # Not `Path.resolve`, which fails on links that lead back to themselves.
    inside = os.path.realpath(source)
    if _is_inside(destination, inside):
        raise ConfigError(
            f"{destination} is {source} or lies inside it, so results would become sources; "
            "choose a folder outside"
        )
    found = look_in(source)
    taken: dict[Path, Path] = {}
    for photo in found.photos:
        name = _result_name(photo, format)
        target = destination / photo.relative_to(source).with_name(name)
        if _is_inside(target, inside):
            raise ConfigError(f"the result of {photo} would be {target}, inside {source}")
        if target in taken:
            raise DataError(_both(taken[target], photo, target))
        taken[target] = photo
    for target, photo in taken.items():
        for suffix in (rerouted, *(INSTEAD if target.suffix.lower() in FOREIGN else ())):
            elsewhere = target.with_name(target.name + suffix)
            if suffix and elsewhere in taken:
                raise DataError(_both(photo, taken[elsewhere], elsewhere))
    files = [(photo, target) for target, photo in taken.items()]
    return FilePlan(files, found.passed_over, found.failed, format)


def _is_inside(path: Path, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _check_folder(source: Path, destination: Path) -> None:
    if stat.S_ISREG(mode_of(destination)):
        raise ConfigError(f"{destination} is a file; the results of {source} need a folder")


def _result_name(photo: Path, format: str) -> str:
    own = file_format(photo)
    if format in ("same", own) or (format == "lossless" and own in _LOSSLESS):
        return photo.name
    # Without an own format the suffix is kept: a camera's raw file must not clash with its JPEG.
    return (photo.stem if own else photo.name) + _SUFFIX_OF.get(format, ".png")


def _both(one: Path, other: Path, target: Path) -> str:
    return f"{one} and {other} would both be written to {target}; rename one of them"


def _distinct(source: Path, target: Path) -> tuple[Path, Path]:
    if mode_of(target) and target.samefile(source):
        raise ConfigError(f"the result would overwrite {source}; choose another destination")
    return source, target
