"""The paper's own figures: its Table 2, ×4 (Ledig et al. 2017)."""

from typing import NamedTuple


class PaperRow(NamedTuple):
    """One method on one set."""

    psnr: float
    """dB."""
    ssim: float
    """By the daala tools, not MATLAB's."""
    mos: float
    """Mean opinion score, 1 to 5."""


NOT_CHECKED = ("SRCNN", "ESPCN", "DRCN")
"""Rows that were quoted from a copy and not compared with the paper's text."""

_ORIGINAL = PaperRow(float("inf"), 1.0, 4.32)

TABLE_2: dict[str, dict[str, PaperRow]] = {
    "Set5": {
        "nearest": PaperRow(26.26, 0.7552, 1.28),
        "bicubic": PaperRow(28.43, 0.8211, 1.97),
        "SRCNN": PaperRow(30.07, 0.8627, 2.57),
        "ESPCN": PaperRow(30.76, 0.8784, 2.89),
        "DRCN": PaperRow(31.52, 0.8938, 3.26),
        "SRResNet-MSE": PaperRow(32.05, 0.9019, 3.37),
        "SRGAN (VGG54)": PaperRow(29.40, 0.8472, 3.58),
        "original": _ORIGINAL,
    },
    "Set14": {
        "nearest": PaperRow(24.64, 0.7100, 1.20),
        "bicubic": PaperRow(25.99, 0.7486, 1.80),
        "SRCNN": PaperRow(27.18, 0.7861, 2.26),
        "ESPCN": PaperRow(27.66, 0.8004, 2.52),
        "DRCN": PaperRow(28.02, 0.8074, 2.84),
        "SRResNet-MSE": PaperRow(28.49, 0.8184, 2.98),
        "SRGAN (VGG54)": PaperRow(26.02, 0.7397, 3.72),
        "original": _ORIGINAL,
    },
}
