"""Find, read and write photos on the local disk, for the commands."""

from collections.abc import Iterator
from pathlib import Path

from srgan.disk import write_atomically
from srgan.errors import DataError, ImageError
from srgan.images.decode import decode_in_8_bits
from srgan.images.encode import COMPRESSION
from srgan.images.photo import Photo
from srgan.images.rows import encode_into

_FORMATS = {
    ".bmp": "bmp",
    ".jpe": "jpeg",
    ".jpeg": "jpeg",
    ".jpg": "jpeg",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
_NOT_READ = {
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".heic", ".heif", ".jp2", ".jxl"),
    *(".nef", ".orf", ".pgm", ".pnm", ".ppm", ".psd", ".raf", ".rw2", ".tga"),
}
"""Photos too, so they are reported instead of skipped."""
_SUFFIX_OF = {"bmp": ".bmp", "jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}
_LOSSLESS = ("bmp", "png", "tiff")
MAX_PIXELS = 100_000_000
"""Limit for photos that a command reads; larger ones are refused as decompression bombs."""
_JPEG_QUALITY = 92


def find_photos(folder: Path) -> dict[str, Path]:
    """Find the photos at any depth of a folder by their stem, in order; skip hidden files.

    The stem is the path in the folder without its suffix. `DataError` if the folder does not exist
    or holds no photos, two files share a stem, or the format of one cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist or is not a folder")
    found: dict[str, Path] = {}
    for path in _photos_below(folder):
        if path.suffix.lower() in _NOT_READ:
            raise DataError(
                f"{path} has a format that cannot be read; convert it, or move it elsewhere"
            )
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise DataError(f"{found[stem]} and {path.name} have the same stem; rename one of them")
        found[stem] = path
    if not found:
        raise DataError(f"{folder} holds no photos ({', '.join(_FORMATS)})")
    return found


def plan_files(
    source: Path, destination: Path, *, format: str = "lossless", rerouted: str = ""
) -> list[tuple[Path, Path]]:
    """List (photo, result) paths for one photo, or for all photos at any depth of a folder.

    Relative paths are kept. `format` of the results is ``same``, a format's name, or ``lossless``
    (JPEG and WebP become PNG). For one photo, the destination may also be a file, whose suffix then
    sets the format. A result that cannot be written in its format gets `rerouted` appended to its
    name. `DataError` before anything is written if a path is missing, a photo would be overwritten,
    the destination lies in the source, or two photos have the same destination.
    """
    if source.is_dir():
        return _plan_folder(source, destination, format, rerouted)
    if not source.is_file():
        raise DataError(f"{source} does not exist")
    if destination.suffix.lower() in _FORMATS and not destination.is_dir():
        named = file_format(destination)
        if format in _SUFFIX_OF and format != named:
            raise DataError(f"{destination} says {named}, not {format}; leave --format out")
        return [_distinct(source, destination)]
    _check_folder(source, destination)
    return [_distinct(source, destination / _result_name(source, format))]


def file_format(path: Path) -> str:
    """Return the format that the suffix of a photo's file names."""
    return _FORMATS[path.suffix.lower()]


def read_photo(path: Path) -> Photo:
    """Decode a file in 8 bits; `ImageError` if it cannot be read or is not one complete photo."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError("unreadable", str(error)) from error
    return decode_in_8_bits(data, max_pixels=MAX_PIXELS)


def write_photo(
    path: Path,
    photo: Photo,
    *,
    format: str | None = None,
    jpeg_quality: int = _JPEG_QUALITY,
    jpeg_subsampling: str = "4:4:4",
    compression: int = COMPRESSION,
) -> tuple[str, ...]:
    """Encode in `format`, or by the suffix, and write atomically; create missing folders.

    Returns the names of what the photo's own file had and this one does not. `DataError` if the
    file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as draft, draft.open("wb") as file:
            return encode_into(
                file,
                photo,
                format=format or file_format(path),
                jpeg_quality=jpeg_quality,
                jpeg_subsampling=jpeg_subsampling,
                compression=compression,
            )
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}") from error


def _plan_folder(
    source: Path, destination: Path, format: str, rerouted: str
) -> list[tuple[Path, Path]]:
    _check_folder(source, destination)
    inside = source.resolve()
    if destination.resolve().is_relative_to(inside):
        raise DataError(
            f"{destination} is {source} or lies inside it, so results would become sources; "
            "choose a folder outside"
        )
    taken: dict[Path, Path] = {}
    for photo in _photos_below(source):
        name = _result_name(photo, format)
        target = destination / photo.relative_to(source).with_name(name)
        if target.resolve().is_relative_to(inside):
            raise DataError(f"the result of {photo} would be {target}, inside {source}")
        if target in taken:
            raise DataError(_both(taken[target], photo, target))
        taken[target] = photo
    if not taken:
        raise DataError(f"{source} holds no photos ({', '.join(_FORMATS)})")
    for target, photo in taken.items():
        elsewhere = target.with_name(target.name + rerouted)
        if rerouted and elsewhere in taken:
            raise DataError(_both(photo, taken[elsewhere], elsewhere))
    return [(photo, target) for target, photo in taken.items()]


def _photos_below(folder: Path) -> Iterator[Path]:
    """Yield photos in order; skip hidden files and folders, and do not follow links to folders.

    Includes formats that cannot be read: an error is better than silence.
    """
    for path in sorted(folder.iterdir()):
        if _is_photo(path):
            yield path
        elif path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            yield from _photos_below(path)


def _is_photo(path: Path) -> bool:
    known = path.suffix.lower() in _FORMATS or path.suffix.lower() in _NOT_READ
    return known and not path.name.startswith(".") and path.is_file()


def _check_folder(source: Path, destination: Path) -> None:
    if destination.is_file():
        raise DataError(f"{destination} is a file; the results of {source} need a folder")


def _result_name(photo: Path, format: str) -> str:
    if photo.suffix.lower() in _NOT_READ:
        return f"{photo.name}.png"  # never written; must not clash with the JPEG beside it
    own = _FORMATS.get(photo.suffix.lower(), "")
    if format == own or (format == "same" and own) or (format == "lossless" and own in _LOSSLESS):
        return photo.name
    return photo.stem + _SUFFIX_OF.get(format, ".png")


def _both(one: Path, other: Path, target: Path) -> str:
    return f"{one} and {other} would both be written to {target}; rename one of them"


def _distinct(source: Path, target: Path) -> tuple[Path, Path]:
    if target.exists() and target.samefile(source):
        raise DataError(f"the result would overwrite {source}; choose another destination")
    return source, target
