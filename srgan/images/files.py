"""Photos in files and folders of a disk, for commands that people run on them."""

import os
from pathlib import Path

from srgan.errors import DataError, ImageError
from srgan.images.decode import decode
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
_LOSSLESS = ("bmp", "png", "tiff")
_MAX_PIXELS = 100_000_000
_JPEG_QUALITY = 95


def find_photos(folder: Path) -> dict[str, Path]:
    """Photos directly in a folder by their stem, in order; hidden files are passed over.

    `DataError` if there is no such folder, nothing in it, or two files share a stem.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in _FORMATS or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(
                f"{found[path.stem]} and {path.name} have the same stem; rename one of them"
            )
        found[path.stem] = path
    if not found:
        raise DataError(f"{folder} holds no photos ({', '.join(_FORMATS)})")
    return found


def plan_files(source: Path, destination: Path) -> list[tuple[Path, Path]]:
    """What to read and where its result goes, for one photo or all directly in a folder.

    Stems stay. PNG, TIFF and BMP stay what they are, JPEG and WebP become PNG: results keep every
    level. One photo's destination may also be a file, whose suffix then says the format.
    `DataError` if something is missing or a photo would be overwritten.
    """
    if source.is_dir():
        photos = list(find_photos(source).values())
    elif source.is_file():
        photos = [source]
        if destination.suffix.lower() in _FORMATS and not destination.is_dir():
            return [_distinct(source, destination)]
    else:
        raise DataError(f"{source} does not exist")
    if destination.is_file():
        raise DataError(f"{destination} is a file; the results of {source} need a folder")
    return [_distinct(photo, destination / _result_name(photo)) for photo in photos]


def read_photo(path: Path) -> Photo:
    """Decode a file; `ImageError` if it cannot be read or is no whole photo."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError("unreadable", str(error)) from error
    return decode(data, max_pixels=_MAX_PIXELS)


def write_photo(path: Path, photo: Photo) -> None:
    """Encode as the suffix says and put it there whole or not at all, with the folders above."""
    format = _FORMATS[path.suffix.lower()]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            encode_into(file, photo, format=format, jpeg_quality=_JPEG_QUALITY)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _result_name(photo: Path) -> str:
    lossless = _FORMATS.get(photo.suffix.lower()) in _LOSSLESS
    return photo.name if lossless else f"{photo.stem}.png"


def _distinct(source: Path, target: Path) -> tuple[Path, Path]:
    if target.exists() and target.samefile(source):
        raise DataError(f"the result would overwrite {source}; choose another destination")
    return source, target
