"""Create a study: render every image by every method once, and fix what people will be asked.

Pictures are equal in form whatever made them: PNG of RGB, cut to the same part of the photo, and
padded to the same number of bytes. Their names are digests.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ConfigError, ConflictError, DataError, ImageError
from srgan.images import Photo, encode
from srgan.images.metadata.png import PADDING_BYTES, padded
from srgan.images.photo import luma
from srgan.keys import design_key, study_picture_key
from srgan.measure.comparison import as_rgb, degrade
from srgan.measure.pictures import densest_window, variance_over
from srgan.measure.sets import EvaluationSet, SetImages
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE, image_name
from srgan.storage import ObjectStore
from srgan.studies.design import (
    Crop,
    Judging,
    Method,
    StudyDesign,
    StudyImage,
    check_name,
    publish_design,
)

Pixels = NDArray[np.uint8]

_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class Subject:
    """One image of a study before any method has worked on it."""

    photo: str
    """Key of the photo."""
    hr: Pixels
    """uint8 (s·h, s·w, 3) or (s·h, s·w): the original."""
    lr: Pixels
    """uint8 (h, w, 3)."""


Make = Callable[[Subject], Pixels]
"""Makes a method's result: uint8 (s·h, s·w, 3) or (s·h, s·w). Sides may be up to s − 1 smaller."""


@dataclass(frozen=True)
class Asked:
    """Decisions of a study's creator."""

    name: str
    judging: Judging
    scale: int
    screen: tuple[int, int]
    """Width and height."""
    num_raters: int
    judgements_per_rater: int | None
    """None: everything."""
    repeats: float
    break_after: int
    seed: int
    enough: int | None = None
    flow_run: str | None = None


def create_study(
    store: ObjectStore,
    asked: Asked,
    on: EvaluationSet,
    methods: Mapping[str, tuple[Method, Make]],
    examples_on: EvaluationSet,
    progress: Callable[[int, int], object],
) -> StudyDesign:
    """Render the images of `on` and publish the design.

    `methods` holds `LOW_ANCHOR` and `REFERENCE` beside what else is judged; for pairs they may
    be missing there, but the training round shows them. `ConfigError` before anything is rendered;
    `DataError` for a result that cannot be shown.
    """
    check_asked(store, asked, methods)
    anchors = {LOW_ANCHOR: nearest(asked.scale), REFERENCE: original}
    subjects = SetImages(store, on, asked.scale)
    others = SetImages(store, examples_on, asked.scale)
    chosen = _examples(len(others), asked.seed)
    total = len(subjects) + len(chosen)
    names = _names(subjects.names)
    images = []
    makers = {name: make for name, (_, make) in methods.items()}
    for index, name in enumerate(names):
        images.append(_image(store, asked, name, _subject(subjects, index, asked.scale), makers))
        progress(index + 1, total)
    examples = []
    for number, index in enumerate(chosen):
        subject = _subject(others, index, asked.scale)
        examples.append(_image(store, asked, others.names[index], subject, anchors))
        progress(len(subjects) + number + 1, total)
    design = StudyDesign(
        name=asked.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        judging=asked.judging,
        scale=asked.scale,
        on=on.ref,
        methods=tuple(method for method, _ in methods.values()),
        images=tuple(images),
        examples=tuple(examples),
        examples_on=examples_on.ref,
        screen=asked.screen,
        num_raters=asked.num_raters,
        judgements_per_rater=_judgements(asked, len(images), len(methods)),
        repeats=asked.repeats,
        break_after=asked.break_after,
        seed=asked.seed,
        enough=asked.enough,
        flow_run=asked.flow_run,
    )
    try:
        publish_design(store, design)
    except ConflictError as error:
        raise _exists(asked.name) from error
    return design


def check_asked(store: ObjectStore, asked: Asked, methods: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for what cannot be a study, before it costs anything."""
    check_name(asked.name)
    if store.head(design_key(asked.name)):
        raise _exists(asked.name)
    least = 2 if asked.judging == "pairs" else 3
    if len(methods) < least:
        raise ConfigError(
            f"--methods: {len(methods)} with the anchors; a study of {asked.judging} compares "
            f"at least {least}"
        )
    per_rater = len(methods) if asked.judgements_per_rater is None else asked.judgements_per_rater
    if asked.judging == "ratings" and per_rater < len(methods):
        raise ConfigError(
            f"--per-rater {per_rater}: a rater sees all {len(methods)} methods "
            "of an image, so it takes at least as many"
        )


def _exists(name: str) -> ConfigError:
    return ConfigError(
        f"there is a study {name!r} already, and studies do not change; take another name"
    )


def nearest(scale: int) -> Make:
    """The low anchor: every LR pixel becomes a square."""

    def make(subject: Subject) -> Pixels:
        return subject.lr.repeat(scale, axis=0).repeat(scale, axis=1)

    return make


def original(subject: Subject) -> Pixels:
    """The hidden reference."""
    return subject.hr


def _subject(images: SetImages, index: int, scale: int) -> Subject:
    hr = images[index]
    found = images.lr(index)
    lr = as_rgb(degrade(hr, scale)) if found is None else found
    return Subject(images.names[index], hr, lr)


def _names(photos: Sequence[str]) -> list[str]:
    """Names of images: that of the photo, with a number where a photo has several."""
    counts, seen = Counter(photos), Counter[str]()
    names = []
    for photo in photos:
        seen[photo] += 1
        names.append(photo if counts[photo] == 1 else image_name(photo, seen[photo]))
    return names


def _examples(num_images: int, seed: int) -> list[int]:
    chosen = np.random.default_rng(seed).permutation(num_images)[:_NUM_EXAMPLES]
    return sorted(int(each) for each in chosen)


def _judgements(asked: Asked, num_images: int, num_methods: int) -> int:
    if asked.judging == "ratings":
        images = num_images
        if asked.judgements_per_rater is not None:
            images = min(images, asked.judgements_per_rater // num_methods)
        return images * num_methods
    everything = num_images * num_methods * (num_methods - 1) // 2
    return min(everything, asked.judgements_per_rater or everything)


def _image(
    store: ObjectStore, asked: Asked, name: str, subject: Subject, makers: Mapping[str, Make]
) -> StudyImage:
    """Render one image by every method, cut it, and store the pictures."""
    results = _equal_sides(name, subject, _rendered(name, subject, makers), asked.scale)
    crop = _crop(results, asked.screen)
    if crop is not None:
        width, height = asked.screen
        cut = np.s_[crop.top : crop.top + height, crop.left : crop.left + width]
        results = {method: pixels[cut] for method, pixels in results.items()}
    height, width = next(iter(results.values())).shape[:2]
    files = {
        method: encode(Photo(np.ascontiguousarray(pixels)), format="png", jpeg_quality=100)
        for method, pixels in results.items()
    }
    size_bytes = max(map(len, files.values())) + PADDING_BYTES
    pictures = {}
    for method, data in files.items():
        # By its place in the study and not at random, so that a repeated command finds its files.
        filling = _filling(f"{asked.name}/{asked.seed}/{name}/{method}", size_bytes)
        file = padded(data, size_bytes, filling)
        pictures[method] = hashlib.sha256(file).hexdigest()
        key = study_picture_key(asked.name, pictures[method])
        if store.head(key) is None:
            store.put(key, file, content_type="image/png")
    return StudyImage(name=name, height=height, width=width, crop=crop, pictures=pictures)


def _filling(place: str, size_bytes: int) -> bytes:
    """Bytes that do not compress, other for each picture: a proxy may compress files."""
    return hashlib.shake_256(place.encode()).digest(size_bytes)


def _rendered(name: str, subject: Subject, makers: Mapping[str, Make]) -> dict[str, Pixels]:
    results = {}
    for method, make in makers.items():
        try:
            pixels = make(subject)
        except ImageError as error:
            raise DataError(f"{method} on {name}: {error}") from error
        # A gray photo stays gray, as in bulk upscaling.
        results[method] = as_rgb(luma(pixels) if subject.hr.ndim < pixels.ndim else pixels)
    return results


def _equal_sides(
    name: str, subject: Subject, results: Mapping[str, Pixels], scale: int
) -> dict[str, Pixels]:
    """Cut all results to the smallest, at the right and the bottom."""
    height, width = subject.hr.shape[:2]
    for method, pixels in results.items():
        rows, columns = pixels.shape[:2]
        if not (abs(height - rows) < scale and abs(width - columns) < scale):
            raise DataError(
                f"{method} on {name} has {columns}×{rows} pixels, the original {width}×{height}; "
                f"at scale {scale} they may differ by {scale - 1} at most"
            )
    rows, columns = (min(each.shape[axis] for each in results.values()) for axis in (0, 1))
    return {method: pixels[:rows, :columns] for method, pixels in results.items()}


def _crop(results: Mapping[str, Pixels], screen: tuple[int, int]) -> Crop | None:
    """The part as large as the screen in which the methods differ most; None if all fits.

    The low anchor counts only among the examples: it differs at every edge.
    """
    height, width = next(iter(results.values())).shape[:2]
    if width <= screen[0] and height <= screen[1]:
        return None
    judged = [pixels for method, pixels in results.items() if method != LOW_ANCHOR]
    energy = variance_over(judged if len(judged) > 1 else list(results.values()))
    rows, columns = densest_window(energy, height=screen[1], width=screen[0])
    return Crop(
        top=rows.start,
        left=columns.start,
        photo_height=height,
        photo_width=width,
        difference=float(np.sqrt(energy[rows, columns].mean())),
        photo_difference=float(np.sqrt(energy.mean())),
    )
