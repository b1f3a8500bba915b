"""Check that an LR photo shows the same pixels as an HR photo, `scale` times as small.

Both are compared as luma at the size of LR, where HR is shrunk by bicubic. How one lies on the
other is found by phase correlation (Kuglin and Hines 1975), to a tenth of a pixel: over the whole
photo, and over its quarters, because a photo that is turned or a little too large may be in place
on average.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srgan.errors import ImageError
from srgan.images.photo import luma
from srgan.resize.arrays import imresize

Pixels = NDArray[np.uint8]
Luma = NDArray[np.float64]

MAX_SHIFT = 0.5
"""Largest shift in LR pixels. Half of one is what resizing without care for pixel centres makes."""
MIN_LIKENESS = 0.7
"""Smallest correlation of the two lumas. Blur, noise of 20 levels and JPEG leave 0.95 of it."""

_SMOOTH = 0.15
"""Frequencies in cycles per pixel that count; what lies above is noise and compression."""
_FINE = 20
"""Steps per pixel in which a shift is found."""
_MIN_SIDE = 32
"""LR pixels. Smaller parts of a photo say too little about a shift."""


class Shift(NamedTuple):
    """Shift of LR against HR in LR pixels."""

    down: float
    right: float

    @property
    def largest(self) -> float:
        return max(abs(self.down), abs(self.right))

    def __str__(self) -> str:
        rows = f"{abs(self.down):.1f} {'down' if self.down >= 0 else 'up'}"
        columns = f"{abs(self.right):.1f} {'right' if self.right >= 0 else 'left'}"
        return f"{rows} and {columns}"


IN_PLACE = Shift(0.0, 0.0)


def check_alignment(hr: Pixels, lr: Pixels, scale: int) -> None:
    """Raise `ImageError` if two photos, uint8 (H, W, 3) and (h, w, 3), are not a pair.

    Reasons: ``missized`` (H and W must be `scale` times h and w), ``unlike`` (another photo) and
    ``shifted``. A photo without any detail could lie anywhere and passes.
    """
    (height, width), (h, w) = hr.shape[:2], lr.shape[:2]
    if (height, width) != (scale * h, scale * w):
        raise ImageError(
            "missized",
            f"HR has {width} × {height} pixels, {scale} times the {w} × {h} of LR are "
            f"{scale * w} × {scale * h}",
        )
    one = luma(imresize(hr, scale=1 / scale)).astype(np.float64)
    other = luma(lr).astype(np.float64)
    shift = find_shift(one, other)
    alike = max(likeness(one, other, shift), likeness(one, other, IN_PLACE))
    if alike < MIN_LIKENESS:
        raise ImageError(
            "unlike",
            f"the correlation with HR is {alike:.2f}, less than {MIN_LIKENESS}: another photo",
        )
    if _is_out_of_place(one, other, shift):
        raise ImageError(
            "shifted", f"LR lies {shift} of HR, in LR pixels; at most {MAX_SHIFT} may be"
        )
    for name, rows, columns in _quarters(h, w):
        whole, part = one[rows, columns], other[rows, columns]
        shift = find_shift(whole, part)
        if _is_out_of_place(whole, part, shift):
            raise ImageError(
                "shifted",
                f"the {name} quarter of LR lies {shift} of HR, in LR pixels; at most {MAX_SHIFT} "
                "may be: one of the photos is turned, distorted, or cut before it was resized",
            )


def _is_out_of_place(one: Luma, other: Luma, shift: Shift) -> bool:
    """True if a shift is too large and real: along a single edge, or in the sky, any would do."""
    moved = likeness(one, other, shift)
    too_far = shift.largest > MAX_SHIFT
    return too_far and moved >= MIN_LIKENESS and moved > likeness(one, other, IN_PLACE)


def find_shift(one: Luma, other: Luma) -> Shift:
    """Shift of `other` against `one`, both (h, w); nothing for images without detail."""
    window = np.outer(np.hanning(one.shape[0]), np.hanning(one.shape[1]))
    first, second = (np.fft.fft2(window * (each - each.mean())) for each in (one, other))
    down, right = np.fft.fftfreq(one.shape[0]), np.fft.fftfreq(one.shape[1])
    cross = first.conj() * second
    size = np.abs(cross)
    phase = np.divide(cross, size, out=np.zeros_like(cross), where=size > 1e-9)
    phase *= np.exp(-(down[:, None] ** 2 + right**2) / (2 * _SMOOTH**2))
    peak = np.unravel_index(int(np.fft.ifft2(phase).real.argmax()), phase.shape)
    rows, columns = (_around(int(at), side) for at, side in zip(peak, one.shape, strict=True))
    # The same transform at fractions of a pixel around the peak.
    near = np.exp(2j * np.pi * np.outer(rows, down)) @ phase
    near = near @ np.exp(2j * np.pi * np.outer(right, columns))
    row, column = np.unravel_index(int(near.real.argmax()), near.shape)
    return Shift(float(rows[row]), float(columns[column]))


def likeness(one: Luma, other: Luma, shift: Shift) -> float:
    """Correlation of two (h, w), once `other` is moved back by `shift` to whole pixels.

    1 for images without detail, which differ by their brightness only.
    """
    down, right = round(shift.down), round(shift.right)
    first = one[_kept(-down, one.shape[0]), _kept(-right, one.shape[1])]
    second = other[_kept(down, one.shape[0]), _kept(right, one.shape[1])]
    first, second = first - first.mean(), second - second.mean()
    spread = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / spread) if spread > 0 else 1.0


def _around(at: int, side: int) -> NDArray[np.float64]:
    """Places from one pixel before to one behind, as signed shifts."""
    signed = at - side if at > side // 2 else at
    return signed + np.arange(-_FINE, _FINE + 1) / _FINE


def _kept(shift: int, side: int) -> slice:
    return slice(max(0, shift), side + min(0, shift))


def _quarters(height: int, width: int) -> Iterator[tuple[str, slice, slice]]:
    if min(height, width) < 2 * _MIN_SIDE:
        return
    halves = [("upper", slice(0, height // 2)), ("lower", slice(height // 2, height))]
    for name, rows in halves:
        yield f"{name} left", rows, slice(0, width // 2)
        yield f"{name} right", rows, slice(width // 2, width)
