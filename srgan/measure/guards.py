"""Guards against broken outputs that a good mean hides, measured on every crop.

Each sign compares an output with the original or with bicubic's result, and has a limit that no
crop may pass. The limits are wide: what they catch is broken, whatever its figures are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srgan.refs import Ref

Pixels = NDArray[np.uint8]

# Full-range BT.601: rows give Y, Cb and Cr in levels of 255.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_CONTRAST_FLOOR = 1.0


class Signs(Ref):
    """What a broken output shows. Levels are those of 8 bits, 0 to 255."""

    finite: bool
    """False when the network gave values that are no numbers; the rest is 0 then."""
    contrast: float
    """Deviation of luma relative to bicubic's, each plus one level: near 0 for a constant."""
    brightness_shift: float
    """Mean luma minus the original's, in levels."""
    colour_shift: float
    """The larger change of mean Cb and Cr against the original, in levels."""
    checkerboard: float
    """Amplitude of a pattern that repeats every `scale` pixels, in levels above the original's."""


NOT_FINITE = Signs(
    finite=False, contrast=0.0, brightness_shift=0.0, colour_shift=0.0, checkerboard=0.0
)


MIN_CONTRAST = 0.25
MAX_BRIGHTNESS_SHIFT = 8.0
MAX_COLOUR_SHIFT = 5.0
MAX_CHECKERBOARD = 3.0


class Guard(NamedTuple):
    """One sign, and when it says that an output is broken."""

    sign: str
    passes: Callable[[float], bool]
    text: str
    """What the worst value means."""


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


def faults(crops: Sequence[tuple[str, Signs]]) -> list[str]:
    """What is broken, in words: one phrase for each guard that a crop does not pass.

    `crops` are the photo and the signs of each.
    """
    finite = [(photo, signs) for photo, signs in crops if signs.finite]
    found = []
    if len(finite) < len(crops):
        photo = next(photo for photo, signs in crops if not signs.finite)
        count = len(crops) - len(finite)
        found.append(f"values that are no numbers on {count} of {len(crops)} crops, as of {photo}")
    for guard in GUARDS:
        values = [(getattr(signs, guard.sign), photo) for photo, signs in finite]
        caught = [(value, photo) for value, photo in values if not guard.passes(value)]
        if caught:
            # Contrast is broken near 0, the others far from it.
            worst, photo = (min if guard.sign == "contrast" else max)(
                caught, key=lambda each: abs(each[0])
            )
            where = f"on {len(caught)} of {len(crops)} crops, the worst of {photo}"
            found.append(f"{guard.text.format(worst)} {where}")
    return found


def measure_signs(hr: Pixels, sr: Pixels, bicubic: Pixels, *, scale: int) -> Signs:
    """Signs of `sr`; all three are uint8 RGB (H, W, 3), `scale` pixels of border are left out."""
    original, output, baseline = (_ycbcr(image, scale) for image in (hr, sr, bicubic))
    shift = (output - original).mean(axis=(1, 2))
    return Signs(
        finite=True,
        contrast=_deviation(output[0]) / _deviation(baseline[0]),
        brightness_shift=float(shift[0]),
        colour_shift=float(max(shift[1:], key=abs)),
        checkerboard=_checkerboard(output[0], scale) - _checkerboard(original[0], scale),
    )


def _ycbcr(image: Pixels, border: int) -> NDArray[np.float64]:
    """(H, W, 3) → (3, H − 2·border, W − 2·border)."""
    inside = image[border : image.shape[0] - border, border : image.shape[1] - border]
    return np.moveaxis(inside @ _YCBCR.T, -1, 0)


def _deviation(luma: NDArray[np.float64]) -> float:
    """Plus a level, so that the noise of an almost flat crop is no contrast to be lost."""
    return float(luma.std()) + _CONTRAST_FLOOR


def _checkerboard(luma: NDArray[np.float64], scale: int) -> float:
    """RMS over the `scale`² positions modulo `scale` of what all pixels there have in common.

    First each pixel's neighbourhood of `scale` pixels is taken off: an average over one period
    holds nothing of a pattern with that period, and all of what varies slowly.
    """
    detail = luma - _box(_box(luma, scale).T, scale).T
    rows, columns = (side // scale * scale for side in detail.shape)
    blocks = detail[:rows, :columns].reshape(rows // scale, scale, columns // scale, scale)
    return float(blocks.mean(axis=(0, 2)).std())


def _box(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over `width` rows, the edge repeated; of the same shape."""
    before = (width - 1) // 2
    padded = np.pad(values, ((before, width - 1 - before), (0, 0)), mode="edge")
    sums = np.pad(padded.cumsum(axis=0), ((1, 0), (0, 0)))
    box: NDArray[np.float64] = (sums[width:] - sums[:-width]) / width
    return box
