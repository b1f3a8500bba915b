"""Guards against broken outputs that a good mean hides.

Artifacts are measured on every crop, against the original or bicubic's result. Each has a limit
that no crop may exceed. The limits are wide: an output beyond them is broken, however good its
figures are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srgan.refs import Ref

Pixels = NDArray[np.uint8]
Levels = Pixels | NDArray[np.floating]
"""Values of 0 to 255."""

# Full-range BT.601: rows give Y, Cb and Cr in levels of 255.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_CONTRAST_FLOOR = 1.0
# A block that a change of sign cuts in half reads nothing. If the sign changes every 32 pixels, a
# quarter of such blocks are whole wherever the changes lie; blocks of 32 pixels may all be cut.
_BLOCK = 16


class Artifacts(Ref):
    """Measures of typical faults of an output, in levels of 8 bits (0 to 255)."""

    finite: bool
    """False if the output had NaN or infinite values; all other fields are 0 then."""
    contrast: float
    """Standard deviation of luma over bicubic's, each plus one level; near 0 for a flat output."""
    brightness_shift: float
    """Mean luma minus the original's."""
    colour_shift: float
    """Change of mean Cb or Cr against the original, whichever is larger."""
    checkerboard: float
    """Amplitude of the pattern that repeats every `scale` pixels, above the original's: see the
    function `checkerboard`."""


NOT_FINITE = Artifacts(
    finite=False, contrast=0.0, brightness_shift=0.0, colour_shift=0.0, checkerboard=0.0
)


MIN_CONTRAST = 0.25
MAX_BRIGHTNESS_SHIFT = 8.0
MAX_COLOUR_SHIFT = 5.0
MAX_CHECKERBOARD = 1.5
"""Bicubic reads at most 0.13, noise of 12 levels 0.53, a grid of 2 levels 1.8 in the median."""


class Guard(NamedTuple):
    """An artifact and its limit."""

    artifact: str
    passes: Callable[[float], bool]
    text: str
    """Words for the fault, with a place for the worst value."""


GUARDS = (
    Guard(
        "contrast",
        lambda value: value >= MIN_CONTRAST,
        f"contrast is {{:.2f}} of bicubic's, less than {MIN_CONTRAST}",
    ),
    Guard(
        "brightness_shift",
        lambda value: abs(value) <= MAX_BRIGHTNESS_SHIFT,
        f"brightness is off by {{:+.1f}} levels, more than {MAX_BRIGHTNESS_SHIFT:g}",
    ),
    Guard(
        "colour_shift",
        lambda value: abs(value) <= MAX_COLOUR_SHIFT,
        f"colours are off by {{:+.1f}} levels, more than {MAX_COLOUR_SHIFT:g}",
    ),
    Guard(
        "checkerboard",
        lambda value: value <= MAX_CHECKERBOARD,
        f"a checkerboard of {{:.1f}} levels, more than {MAX_CHECKERBOARD:g}",
    ),
)


class Fault(NamedTuple):
    """A guard that some crop did not pass."""

    text: str
    """The fault in words."""
    size: float
    """How bad the worst crop is; above 0, and larger is worse. The artifact's amount in its unit,
    for a lost contrast 1 / contrast, for values that are not finite the number of crops."""


def faults(crops: Sequence[tuple[str, Artifacts]]) -> dict[str, Fault]:
    """Return the fault of each guard that some crop does not pass, by the guard's artifact.

    `crops` are pairs of photo and artifacts.
    """
    finite = [(photo, artifacts) for photo, artifacts in crops if artifacts.finite]
    found: dict[str, Fault] = {}
    if len(finite) < len(crops):
        photo = next(photo for photo, artifacts in crops if not artifacts.finite)
        count = len(crops) - len(finite)
        found["finite"] = Fault(
            f"NaN or infinite values on {count} of {len(crops)} crops, such as {photo}", count
        )
    for guard in GUARDS:
        values = [(getattr(artifacts, guard.artifact), photo) for photo, artifacts in finite]
        caught = [(value, photo) for value, photo in values if not guard.passes(value)]
        if caught:
            # A low contrast is a fault; the others are faults when far from 0.
            is_low = guard.artifact == "contrast"
            worst, photo = (min if is_low else max)(caught, key=lambda each: abs(each[0]))
            size = 1 / worst if is_low else abs(worst)
            where = f"on {len(caught)} of {len(crops)} crops, the worst of {photo}"
            found[guard.artifact] = Fault(f"{guard.text.format(worst)} {where}", size)
    return found


def measure_artifacts(hr: Pixels, sr: Pixels, bicubic: Pixels, *, scale: int) -> Artifacts:
    """Measure `sr`; all three images are uint8 RGB (H, W, 3).

    `scale` pixels of border are left out, but not of the checkerboard: its blocks lie from the
    corner on, and its limit was found on whole crops.
    """
    original, output, baseline = (_ycbcr(image, scale) for image in (hr, sr, bicubic))
    shift = (output - original).mean(axis=(1, 2))
    return Artifacts(
        finite=True,
        contrast=_deviation(output[0]) / _deviation(baseline[0]),
        brightness_shift=float(shift[0]),
        colour_shift=float(max(shift[1:], key=abs)),
        checkerboard=float(checkerboard(hr, sr, scale=scale)),
    )


def _ycbcr(image: Pixels, border: int) -> NDArray[np.float64]:
    """(H, W, 3) → (3, H − 2·border, W − 2·border)."""
    inside = image[border : image.shape[0] - border, border : image.shape[1] - border]
    return np.moveaxis(inside @ _YCBCR.T, -1, 0)


def _deviation(luma: NDArray[np.float64]) -> float:
    """Deviation plus one level, so that noise in a nearly flat crop does not count as contrast."""
    return float(luma.std()) + _CONTRAST_FLOOR


def checkerboard(hr: Levels, sr: Levels, *, scale: int) -> NDArray[np.float64]:
    """Amplitude (RMS) of a pattern of `scale` pixels in `sr`, above that in `hr`, in levels.

    Both are uint8, or floats in levels of 0 to 255, (..., H, W, 3) RGB; the result has the leading
    shape. The pattern may change its sign from block to block, because each block of 16 pixels is
    measured by itself. What chance makes of a pattern in so few pixels is taken off, so the result
    is near 0 for an output without a pattern, and may be below 0.
    """
    if hr.shape != sr.shape or hr.shape[-1] != 3:
        raise ValueError(f"expected two images (..., H, W, 3), got {hr.shape} and {sr.shape}")
    original, output = (_pattern(image @ _YCBCR[0], scale) for image in (hr, sr))
    # Stripes of the original hide a pattern; a lack of pattern, which is chance, excuses none.
    return np.asarray(output - original.clip(min=0))


def _pattern(luma: NDArray[np.floating], scale: int) -> NDArray[np.float64]:
    """(..., H, W) → (...): root of the pattern's mean power over blocks, with the power's sign.

    First the mean over a neighbourhood of `scale` pixels is subtracted: it contains all that
    varies slowly, and nothing of a pattern with that period. The power in a block is the variance
    of the means at its `scale`² positions modulo `scale`, without what is expected of such means
    of unrelated values: the variance at one position divided by the number of its values. Both
    lack the same share, which the neighbourhood took from unrelated values.
    """
    detail = luma - _box(_box(luma, scale, axis=-2), scale, axis=-1)
    *batch, height, width = detail.shape
    cells = min(_BLOCK, height, width) // scale
    side = cells * scale
    rows, columns = height // side, width // side
    blocks = detail[..., : rows * side, : columns * side].reshape(
        *batch, rows, cells, scale, columns, cells, scale
    )
    means = blocks.mean(axis=(-5, -2))
    chance = blocks.var(axis=(-5, -2)).mean(axis=(-3, -1)) / (cells**2 - 1)
    power = (means.var(axis=(-3, -1)) - chance).mean(axis=(-2, -1))
    return np.asarray(np.sign(power) * np.sqrt(np.abs(power)))


def _box(values: NDArray[np.floating], width: int, axis: int) -> NDArray[np.float64]:
    """Mean over `width` values along an axis with the edge repeated; the shape stays."""
    moved = np.moveaxis(values, axis, 0)
    before = (width - 1) // 2
    ends = [(before, width - 1 - before), *[(0, 0)] * (moved.ndim - 1)]
    sums = np.pad(moved, ends, mode="edge").cumsum(axis=0)
    sums = np.pad(sums, [(1, 0), *[(0, 0)] * (moved.ndim - 1)])
    return np.moveaxis((sums[width:] - sums[:-width]) / width, 0, axis)
