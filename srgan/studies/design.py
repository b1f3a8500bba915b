"""The design of a study: everything that is fixed before the first rating.

``studies/<name>/study.json`` is the design, ``studies/<name>/shown/<sha256>.png`` are the
pictures. The design is written last and never changes.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from srgan.errors import ConfigError, DataError
from srgan.keys import design_key, study_end_key
from srgan.refs import ModelRef, Ref, SetRef
from srgan.storage import ObjectStore, find_document, read_document, write_document

Judging = Literal["ratings", "pairs"]
"""``ratings``: one picture at a time from 1 to 5; ``pairs``: which of two pictures is better."""

# Defaults, the same for the command and the flow.
SCREENS = {"ratings": (960, 540), "pairs": (624, 540)}
"""Largest picture, width and height, by the way of judging."""
RATERS = 24
REPEATS = 0.05
BREAK_AFTER = 100
SEED = 0

_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"


class Method(Ref):
    """One way to make pictures, under the name that its ratings carry."""

    name: str
    source: str
    """Address as it was given, such as ``models:/pets@champion`` or ``/data/results``."""
    version: ModelRef | None = None
    """The registered version; None for anything else."""


class Crop(Ref):
    """The part of a photo that is shown, because the whole is larger than a screen."""

    top: int
    left: int
    photo_height: int
    photo_width: int
    difference: float
    """How far the methods are apart in the part: standard deviation over methods, root mean square
    over its pixels, in levels of 255."""
    photo_difference: float
    """The same over the whole photo; the part was chosen because it has more."""


class StudyImage(Ref):
    """One image that people judge, by every method."""

    name: str
    """Key of the photo in its evaluation set; crops of one photo have a number behind it."""
    height: int
    width: int
    """Pixels as they are shown."""
    crop: Crop | None = None
    pictures: dict[str, str]
    """SHA-256 of each method's file by the method's name; all files are of equal length."""


class StudyDesign(Ref):
    """A whole study; two servers of the same design ask the same questions."""

    format: Literal["srgan-study-1"] = "srgan-study-1"
    name: str
    created_at: str
    """UTC, as text."""
    judging: Judging
    scale: int
    on: SetRef
    """Evaluation set of the images."""
    methods: tuple[Method, ...]
    images: tuple[StudyImage, ...]
    examples: tuple[StudyImage, ...]
    """Images of the training round, with the two anchors as their pictures."""
    examples_on: SetRef
    """Evaluation set of the examples; if it is that of the images, examples are rated too."""
    screen: tuple[int, int]
    """Largest picture in pixels, width and height."""
    num_raters: Annotated[int, Field(ge=1)]
    judgements_per_rater: Annotated[int, Field(ge=1)]
    """Without repeats; for ratings whole images, since a rater sees all methods of an image."""
    repeats: Annotated[float, Field(ge=0, le=0.5)]
    """Further share of judgements that ask the same again."""
    break_after: Annotated[int, Field(ge=1)]
    """Judgements until a break is offered."""
    seed: int
    enough: Annotated[int, Field(ge=1)] | None = None
    """Raters who have judged everything when the server closes the study; None: somebody does."""
    flow_run: str | None = None
    """Prefect's flow run that waits for the end; None if none does."""

    @property
    def method_names(self) -> list[str]:
        return [each.name for each in self.methods]

    @property
    def pictures(self) -> Iterator[str]:
        """SHA-256 of every picture, also of the examples."""
        for image in (*self.images, *self.examples):
            yield from image.pictures.values()

    @property
    def models(self) -> list[str]:
        """Registered models whose versions are judged."""
        return sorted({each.version.name for each in self.methods if each.version})


class Closed(Ref):
    """The end of a study."""

    closed_at: str
    num_raters: int
    num_judgements: int
    """Repeats among them."""


def check_name(name: str) -> None:
    """Raise `ConfigError` for a name that cannot be part of keys, folders and addresses."""
    if not re.fullmatch(_NAME, name):
        raise ConfigError(
            f"{name!r} cannot name a study: use a-z, 0-9, - and _, at most 63, the first one a "
            "letter or a digit"
        )


def find_design(store: ObjectStore, name: str) -> StudyDesign | None:
    """The design of a study; None if there is no such study."""
    check_name(name)
    return find_document(store, design_key(name), StudyDesign)


def read_design(store: ObjectStore, name: str) -> StudyDesign:
    """Read the design of a study; `DataError` names those that there are."""
    found = find_design(store, name)
    if found is None:
        known = ", ".join(each.name for each in designs(store)) or "none yet"
        raise DataError(f"there is no study {name!r}; there are: {known}. See `srgan mos create`")
    return found


def designs(store: ObjectStore) -> Iterator[StudyDesign]:
    """Yield every study of the bucket by name."""
    keys = (info.key for info in store.list(design_key.below()))
    for key in sorted(key for key in keys if design_key.names(key)):
        yield read_document(store, key, StudyDesign)


def publish_design(store: ObjectStore, design: StudyDesign) -> None:
    """Write the design; `ConflictError` if a study of that name exists."""
    write_document(store, design_key(design.name), design, if_absent=True)


def find_end(store: ObjectStore, name: str) -> Closed | None:
    """The end of a study; None while people can rate."""
    return find_document(store, study_end_key(name), Closed)
