"""Figures of what raters saw: how far each method's picture is from the original."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from srgan.keys import study_figures_key, study_picture_key
from srgan.measure.figures import in_order
from srgan.mos.agreement import FigureValues, parse_measured
from srgan.mos.ratings import REFERENCE
from srgan.storage import ObjectStore
from srgan.studies.design import StudyDesign, StudyImage

if TYPE_CHECKING:
    from srgan.measure.comparison import Distance

Pixels = NDArray[np.uint8]


def ensure_figures(
    store: ObjectStore, design: StudyDesign, progress: Callable[[int, int], object]
) -> FigureValues:
    """Measure the pictures of a study of ratings, unless it was done; nothing for pairs.

    PSNR, SSIM, NIQE and the distances of each network that is mirrored, within a border of as many
    pixels as the scale. The original itself is left out, so that all figures are about the same
    pictures: its PSNR is infinite.
    """
    found = find_figures(store, design.name)
    if found or design.judging == "pairs":
        return found
    judges = _judges(store)
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for done, image in enumerate(design.images, start=1):
        pictures = pictures_of(store, design, image)
        original = pictures.pop(REFERENCE)
        for method, pixels in pictures.items():
            rows[method, image.name] = _measured(original, pixels, design.scale, judges)
        progress(done, len(design.images))
    key = study_figures_key(design.name)
    store.put(key, table(rows), content_type="text/csv; charset=utf-8")
    return find_figures(store, design.name)


def find_figures(store: ObjectStore, study: str) -> FigureValues:
    """Read the figures of a study; nothing if they were not measured yet."""
    data = store.find(study_figures_key(study))
    return {} if data is None else parse_measured(study_figures_key(study), data)


def pictures_of(store: ObjectStore, design: StudyDesign, image: StudyImage) -> dict[str, Pixels]:
    """Read what each method made of an image: uint8 (H, W, 3), by method."""
    from srgan.images import decode_in_8_bits  # here and below: reading figures needs no pixels

    return {
        method: decode_in_8_bits(
            store.get(study_picture_key(design.name, image.pictures[method])),
            max_pixels=image.height * image.width,
        ).pixels
        for method in design.method_names
    }


def _judges(store: ObjectStore) -> "list[Distance]":
    from srgan.measure.niqe import Naturalness
    from srgan.measure.perceptual import open_distances
    from srgan.models.weights import find_judges, read_weights

    distances: list[Distance] = [
        distance
        for network, sha256 in find_judges(store).items()
        for distance in open_distances(network, read_weights(store, network, sha256))
    ]
    return [*distances, Naturalness()]


def _measured(
    original: Pixels, pixels: Pixels, border: int, judges: "Sequence[Distance]"
) -> dict[str, float]:
    from srgan.measure.metrics import psnr, ssim

    inside = min(original.shape[:2]) - 2 * border
    return {
        "psnr": psnr(original, pixels, border=border),
        "ssim": ssim(original, pixels, border=border),
        **{
            each.name: each(original, pixels, border=border)
            for each in judges
            if each.min_side <= inside
        },
    }


def table(rows: Mapping[tuple[str, str], Mapping[str, float]]) -> bytes:
    """CSV that `srgan mos results --figures` reads."""
    figures = in_order(name for row in rows.values() for name in row)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "image", *figures])
    for (method, image), row in rows.items():
        writer.writerow([method, image, *(row.get(name, "") for name in figures)])
    return text.getvalue().encode()
