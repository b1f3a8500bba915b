"""Collect what the report of a study shows: results, a few of its pictures, how it was made."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from srgan.measure.figures import OPINION, figure_text
from srgan.measure.pictures import base64_png, densest_window, variance_over
from srgan.mos.columns import LEFT, SAME, Choices, Columns, Reals
from srgan.mos.ratings import LOW_ANCHOR, REFERENCE
from srgan.mos.results import Results
from srgan.readable import moment
from srgan.report.study import Frame, ShownImage, StudyContent
from srgan.storage import ObjectStore
from srgan.studies.design import Closed, StudyDesign, StudyImage
from srgan.studies.figures import pictures_of
from srgan.studies.parts import Part

_NUM_IMAGES = 3
_SIDE = 216
"""Pixels a side of what is shown: four beside each other on the page of a desktop."""


def study_content(
    store: ObjectStore,
    design: StudyDesign,
    parts: Sequence[Part],
    judged: Columns | Choices,
    results: Results,
    end: Closed | None,
) -> StudyContent:
    """Collect the report of a study that may still be open; reads the pictures that it shows.

    `judged` and `results` are those of the parts.
    """
    counted = judged.first.without(results.rejected)
    shares = _judged_by_image(counted)
    by_name = {image.name: image for image in design.images}
    return StudyContent(
        title=design.name,
        made_at=moment(datetime.now(UTC)),
        results=results,
        facts=_facts(design, parts, end),
        sources={each.name: each.source for each in design.methods},
        images=[
            _shown(store, design, by_name[name], _said(counted, shares, name))
            for name in _most_different(counted, shares)
        ],
    )


def _judged_by_image(judged: Columns | Choices) -> Reals:
    """Mean score, or share of comparisons in which it was better, shape (images, methods).

    NaN for what nobody judged.
    """
    num_images, num_methods = len(judged.images), len(judged.methods)
    if isinstance(judged, Columns):
        cell, value = judged.stimulus, judged.score
    else:
        cell = np.concatenate([judged.image * num_methods + m for m in (judged.left, judged.right)])
        value = _wins(judged)
    counts = np.bincount(cell, minlength=num_images * num_methods)
    with np.errstate(invalid="ignore"):
        found = np.bincount(cell, value, num_images * num_methods) / counts
    return np.asarray(found.reshape(num_images, num_methods))


def _wins(judged: Choices) -> Reals:
    """1 where the left one was better, then 1 where the right one was, shape (2n,)."""
    left = judged.outcome == LEFT
    right = ~left & (judged.outcome != SAME)
    return np.concatenate([left, right]).astype(np.float64)


def _most_different(judged: Columns | Choices, shares: Reals) -> list[str]:
    """Images on which people's judgements of the methods are furthest apart, without the anchors.

    Anchors count where nothing else is judged.
    """
    own = np.array([name not in (LOW_ANCHOR, REFERENCE) for name in judged.methods])
    chosen = shares[:, own] if own.sum() > 1 else shares
    known = np.isfinite(chosen).sum(axis=1) > 1
    spread = np.array([np.nanstd(row) if k else -1 for row, k in zip(chosen, known, strict=True)])
    ranked = np.argsort(-spread, kind="stable")
    return [judged.images[code] for code in ranked[:_NUM_IMAGES] if known[code]]


def _said(judged: Columns | Choices, shares: Reals, image: str) -> dict[str, str]:
    """How people judged each method's picture of an image, in a few words."""
    found = {}
    row = shares[judged.images.index(image)]
    for method, value in zip(judged.methods, row.tolist(), strict=True):
        if not np.isfinite(value):
            continue
        is_score = isinstance(judged, Columns)
        found[method] = (
            f"score {figure_text(OPINION, value)}" if is_score else f"better in {value:.0%}"
        )
    return found


def _shown(
    store: ObjectStore, design: StudyDesign, image: StudyImage, said: Mapping[str, str]
) -> ShownImage:
    pictures = pictures_of(store, design, image)
    # As for a crop of a large photo: the low anchor differs at every edge.
    judged = [pixels for method, pixels in pictures.items() if method != LOW_ANCHOR]
    energy = variance_over(judged if len(judged) > 1 else list(pictures.values()))
    rows, columns = densest_window(energy, height=_SIDE, width=_SIDE)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return ShownImage(
        name=image.name,
        part=(
            f"{width}×{height} pixels at {columns.start}, {rows.start} of the "
            f"{image.width}×{image.height} that raters saw"
        ),
        frames=[
            Frame(method, said.get(method, ""), base64_png(pixels[rows, columns]), width, height)
            for method, pixels in pictures.items()
        ],
    )


def _facts(design: StudyDesign, parts: Sequence[Part], end: Closed | None) -> dict[str, str]:
    cropped = sum(image.crop is not None for image in design.images)
    width, height = design.screen
    screens = [part.screen for part in parts if part.screen]
    question = "ratings from 1 to 5" if design.judging == "ratings" else "which of two is better"
    return {
        "Question": question,
        "Images": (
            f"{len(design.images)} of evaluation set {design.on.name}, version "
            f"{design.on.version[:12]}; {cropped} cut to {width}×{height} where methods differ most"
        ),
        "Scale": f"{design.scale}",
        "Asked of each rater": (
            f"{design.judgements_per_rater} judgements and {design.repeats:.0%} repeats"
        ),
        "Raters planned": f"{design.num_raters}",
        "Screens": (
            f"{sum(each.touch for each in screens)} of {len(screens)} to be touched; fine lines "
            f"even on {sum(each.sharp for each in screens)}"
        ),
        "Order": f"by seed {design.seed}",
        "Created": moment(datetime.fromisoformat(design.created_at)),
        "Closed": moment(datetime.fromisoformat(end.closed_at)) if end else "still open",
    }
