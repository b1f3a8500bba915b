"""PSNR and SSIM as in the paper's tables (section 3.1): on luma, without the border.

Checked against Table 2: PSNR of nearest and bicubic ×4 on Set5 and Set14 agrees within 0.02 dB.
SSIM is that of Wang's script ``ssim_index.m``, the usual one of the field (bicubic: 0.811 and
0.703): windows that lie within the image only. MATLAB's function ``ssim`` is another one, because
it pads the image, and the paper's SSIM figures come from a third program.
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([65.481, 128.553, 24.966]) / 255  # BT.601 studio range, MATLAB's rgb2ycbcr
_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(hr: NDArray[np.uint8], sr: NDArray[np.uint8], border: int = 4) -> float:
    """Peak signal-to-noise ratio of luma in dB; infinite for identical images.

    Both images are uint8, (H, W, 3) RGB or (H, W) used as it is. `border` pixels on each side are
    left out: 4 in the paper's tables, which are for scale 4.
    """
    reference, image = _luma_pair(hr, sr, border)
    error = float(np.mean((reference - image) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def mean_psnr(values: Iterable[float]) -> float:
    """Mean in dB without identical pairs, as the field reports it; infinite if all are identical.

    A single infinite value would be the mean of every set that contains it.
    """
    finite = [value for value in values if value != math.inf]
    return float(np.mean(finite)) if finite else math.inf


def ssim(hr: NDArray[np.uint8], sr: NDArray[np.uint8], border: int = 4) -> float:
    """Mean structural similarity (Wang 2004) of luma, 1 for identical images.

    Images and border as in `psnr`. Gaussian window of 11×11 with σ 1.5 and population statistics,
    at the positions where the window lies within the image.
    """
    x, y = _luma_pair(hr, sr, border)
    if min(x.shape) < _WINDOW:
        raise ValueError(
            f"SSIM needs {_WINDOW} pixels a side, got {x.shape} within a border of {border}"
        )
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    return float(similarity.mean())


def _luma_pair(
    hr: NDArray[np.uint8], sr: NDArray[np.uint8], border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if hr.shape != sr.shape or hr.dtype != np.uint8 or sr.dtype != np.uint8:
        raise ValueError(
            "hr and sr must be uint8 images of the same shape, "
            f"got hr {hr.dtype} {hr.shape} and sr {sr.dtype} {sr.shape}"
        )
    if not (hr.ndim == 2 or (hr.ndim == 3 and hr.shape[2] == 3)):
        raise ValueError(f"expected images (H, W, 3) or (H, W), got {hr.shape}")
    height, width = hr.shape[:2]
    if border < 0 or min(height, width) <= 2 * border:
        raise ValueError(f"a border of {border} leaves nothing of {height}×{width} pixels")
    inside = np.s_[border : height - border, border : width - border]
    return _luma(hr[inside]), _luma(sr[inside])


def _luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = image.astype(np.float64)
    return values if values.ndim == 2 else values @ _LUMA + 16


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian mean over each window that lies within the image."""
    offset = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(offset**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    rows, columns = image.shape[0] - _WINDOW + 1, image.shape[1] - _WINDOW + 1
    tall = sum(w * image[i : i + rows] for i, w in enumerate(weights))
    wide = sum(w * tall[:, i : i + columns] for i, w in enumerate(weights))
    return np.asarray(wide)
