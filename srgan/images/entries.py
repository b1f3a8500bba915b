"""Tell photos from everything else in a folder or bucket: one rule for commands and bulk runs.

A name that begins with a dot, and names and suffixes of what systems and programs put beside
photos, are not photos. A photo's suffix says that there is a photo, so anything else in the file is
a failure. The first bytes decide about any other name. A file that is
too large for any image within the limit of pixels is not read.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from srgan.errors import ImageError
from srgan.images.containers import recognise
from srgan.keys import is_ours
from srgan.readable import printable, size

FORMATS = {
    ".apng": "png",
    ".avif": "avif",
    ".bmp": "bmp",
    ".dib": "bmp",
    ".heic": "heic",
    ".heif": "heic",
    ".hif": "heic",
    ".jfif": "jpeg",
    ".jpe": "jpeg",
    ".jpeg": "jpeg",
    ".jpg": "jpeg",
    ".mpo": "jpeg",
    ".pjp": "jpeg",
    ".pjpeg": "jpeg",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}
"""Suffixes of photos, and the formats that are written under them."""
INSTEAD = (".png", ".webp")
"""Appended to results whose own format cannot be written: of stills and of animations."""
FOREIGN = {
    *(".avifs", ".exr", ".gif", ".heics", ".heifs", ".j2k", ".jp2"),
    *(".jpf", ".jxl", ".jxr", ".pbm", ".pgm", ".pnm", ".ppm", ".psb", ".psd", ".qoi", ".tga"),
    # Cameras' raw files.
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
    *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    ".x3f",
}
"""Photos too, whose formats are not written; those that cannot be read are failures."""
_SIDECARS = {
    *(".aae", ".cos", ".dop", ".on1", ".pp3", ".thm", ".xmp"),
    *(".csv", ".db", ".htm", ".html", ".ini", ".json", ".jsonl", ".lnk", ".log", ".md", ".md5"),
    *(".nfo", ".parquet", ".pdf", ".sha1", ".sha256", ".svg", ".toml", ".tsv", ".txt", ".url"),
    *(".xml", ".yaml", ".yml"),
    *(".7z", ".gz", ".rar", ".tar", ".zip"),
    *(".3gp", ".aac", ".avi", ".lrv", ".m2ts", ".m4a", ".m4v", ".mkv", ".mov", ".mp3", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".wav", ".webm", ".wmv"),
}
SUFFIXES = {*FORMATS, *FOREIGN, *_SIDECARS}
"""Every suffix that says something."""
_NOT_PHOTOS = {"@eadir", "__macosx", "icon\r"}
"""Names of files and folders, in lower case, that systems make."""

NOT_A_FILE = "a pipe, socket or device instead of a file"
"""Problem of an entry that is a photo only if its name says so."""

BEGINNING_BYTES = 64
"""How many first bytes `holds_photo` needs."""

_FILE_PIXEL_BYTES = 8
"""RGB with alpha in 16 bits, not compressed; other formats that are read take less."""
_FILE_SPARE_BYTES = 64 * 2**20
"""For what lies beside the pixels: profile, EXIF, texts, previews."""

Kind = Literal["photo", "unknown", "other"]


def kind_of(name: str) -> Kind:
    """Tell what a relative path says: a photo, something else, or nothing (``unknown``).

    A key that ends in a slash is a folder of S3 and so something else.
    """
    for part in name.split("/"):
        is_hidden = part.startswith(".") and part not in (".", "..")
        if is_hidden or part.lower() in _NOT_PHOTOS:
            return "other"
    _, dot, end = name.rpartition(".")  # a listing has millions, and a path takes longer
    suffix = dot + end.lower()
    if name.endswith("/") or suffix in _SIDECARS:
        return "other"
    return "photo" if suffix in SUFFIXES else "unknown"


def holds_photo(beginning: bytes) -> bool:
    """Tell by the first `BEGINNING_BYTES` of a file whether it is a photo, readable or not."""
    try:
        recognise(beginning)
    except ImageError as error:
        return error.reason == "unsupported"
    return True


def largest_bytes(max_pixels: int) -> int:
    """Size of the largest file whose image could still have `max_pixels`."""
    return _FILE_PIXEL_BYTES * max_pixels + _FILE_SPARE_BYTES


def check_file_size(size_bytes: int, max_pixels: int) -> None:
    """Refuse a file before it is read: `ImageError` (``too_large``)."""
    largest = largest_bytes(max_pixels)
    if size_bytes > largest:
        raise ImageError(
            "too_large",
            f"the file has {size(size_bytes)}, but an image of max_pixels {max_pixels} has at "
            f"most {size(largest)}; it was not read",
        )


def stem_of(name: str) -> str:
    """Relative path without the suffix of a photo; any other suffix is part of the stem.

    In Unicode's composed form (NFC), because older disks of macOS decompose the names of files: an
    ``é`` of theirs looks like any other and is two characters.
    """
    path = PurePosixPath(name)
    stem = str(path.with_suffix("")) if kind_of(path.name) == "photo" else name
    return unicodedata.normalize("NFC", stem)


@dataclass(frozen=True, slots=True)
class Entries:
    """All entries at any depth of a folder, each kind in the order of paths."""

    photos: tuple[Path, ...]
    passed_over: tuple[Path, ...]
    """Files and folders that are not photos."""
    failed: Mapping[Path, str]
    """Photos, folders and unknown files that cannot be read, with the reason."""


def look_through(folder: Path) -> Entries:
    """Find the photos at any depth of a folder; links to folders are not followed.

    Never fails and never waits: what cannot be read is in `failed`. If a name says nothing, the
    first bytes are read. Records of bulk runs below ``_srgan`` do not count.
    """
    photos, passed_over, failed = list[Path](), list[Path](), dict[Path, str]()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        name = "" if path == folder else path.name
        if kind_of(name) == "other":
            passed_over.append(path)
            continue
        try:
            if not name or stat.S_ISDIR(path.lstat().st_mode):
                found = (Path(each) for each in os.scandir(path) if not is_ours(each.name))
                waiting += sorted(found, reverse=True)
            elif _is_photo(path):
                photos.append(path)
            else:
                passed_over.append(path)
        except OSError as error:
            failed[path] = f"unreadable: {explain(path, error)}"
    return Entries(tuple(photos), tuple(passed_over), failed)


def _is_photo(path: Path) -> bool:
    mode = path.stat().st_mode
    known = kind_of(path.name) == "photo"
    if stat.S_ISDIR(mode):
        return False  # a link to a folder
    if not stat.S_ISREG(mode):
        if known:
            raise OSError(errno.EINVAL, NOT_A_FILE)
        return False
    return known or holds_photo(read_file(path, BEGINNING_BYTES))


def mode_of(path: Path) -> int:
    """Kind of an entry for the tests of `stat`, links followed; 0 if it cannot be told."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def read_file(path: Path, num_bytes: int = -1) -> bytes:
    """Read a file, or its first bytes; `OSError` instead of waiting for the writer of a pipe."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, NOT_A_FILE, str(path))
        return stream.read(num_bytes)


def explain(path: Path, error: OSError) -> str:
    """Say why an entry cannot be read; of a link also where it leads."""
    text = error.strerror or str(error)
    if error.errno == errno.ELOOP:
        text = "a link that leads back to itself"
    elif error.errno == errno.ENOENT and path.is_symlink():
        text = f"a link to {printable(path.readlink())}, which does not exist"
    return text
