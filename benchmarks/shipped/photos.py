"""Photographs of the shipped generators: who made each, and where its package keeps it."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from srgan.errors import DataError

PHOTOS = Path(__file__).with_name("photos.csv")


@dataclass(frozen=True)
class Credit:
    """A photograph with its author and licence, as its Debian package states them."""

    package: str
    file: str
    """Path inside the package."""
    author: str
    licence: str


def read_credits() -> list[Credit]:
    """Read the list of photographs. Somebody has looked at each; drawings are left out."""
    with PHOTOS.open(encoding="utf-8", newline="") as lines:
        return [Credit(**row) for row in csv.DictReader(lines)]


def credits_table() -> str:
    """Write the photographers, their photographs and licences as Markdown, for the model card."""
    photos: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for credit in read_credits():
        path = Path(credit.file)
        # Plasma keeps each wallpaper in a folder of its name, by its size.
        name = path.parts[-4] if path.parent.name == "images" else path.stem
        photos[credit.package, credit.author, credit.licence].append(name)
    rows = [
        f"| {author} | {', '.join(names)} | `{package}` | {licence} |"
        for (package, author, licence), names in sorted(photos.items())
    ]
    heads = ["| photographer | photographs | package | licence |", "|---|---|---|---|"]
    return "\n".join([*heads, *rows])


def unpacked(folder: Path) -> list[Path]:
    """Return the photographs below `folder`, which holds a folder for each unpacked package.

    Raises:
        DataError: one is missing; the message says how to get it.
    """
    paths = [folder / credit.package / credit.file for credit in read_credits()]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        packages = " ".join(sorted({credit.package for credit in read_credits()}))
        raise DataError(
            f"{missing[0]} is missing ({len(missing)} of {len(paths)}); on Debian 12: "
            f"cd {folder} && apt-get download {packages} && "
            "for each in *.deb; do dpkg-deb -x $each ${each%%_*}; done"
        )
    return paths
