"""The paper's figures: its Tables 1 and 2, ×4 (Ledig et al. 2017)."""

from typing import NamedTuple


class PaperRow(NamedTuple):
    """One method on one set."""

    psnr: float
    """dB."""
    ssim: float
    """By the daala tools, not by Wang's script."""
    mos: float
    """Mean opinion score, 1 to 5."""


_ORIGINAL = PaperRow(float("inf"), 1.0, 4.32)

TABLES: dict[str, dict[str, PaperRow]] = {
    "Set5": {
        "nearest": PaperRow(26.26, 0.7552, 1.28),
        "bicubic": PaperRow(28.43, 0.8211, 1.97),
        "SRCNN": PaperRow(30.07, 0.8627, 2.57),
        "SelfExSR": PaperRow(30.33, 0.872, 2.65),
        "DRCN": PaperRow(31.52, 0.8938, 3.26),
        "ESPCN": PaperRow(30.76, 0.8784, 2.89),
        "SRResNet-MSE": PaperRow(32.05, 0.9019, 3.37),
        "SRResNet-VGG22": PaperRow(30.51, 0.8803, 3.46),
        "SRGAN-MSE": PaperRow(30.64, 0.8701, 3.77),
        "SRGAN-VGG22": PaperRow(29.84, 0.8468, 3.78),
        "SRGAN-VGG54": PaperRow(29.40, 0.8472, 3.58),
        "original": _ORIGINAL,
    },
    "Set14": {
        "nearest": PaperRow(24.64, 0.7100, 1.20),
        "bicubic": PaperRow(25.99, 0.7486, 1.80),
        "SRCNN": PaperRow(27.18, 0.7861, 2.26),
        "SelfExSR": PaperRow(27.45, 0.7972, 2.34),
        "DRCN": PaperRow(28.02, 0.8074, 2.84),
        "ESPCN": PaperRow(27.66, 0.8004, 2.52),
        "SRResNet-MSE": PaperRow(28.49, 0.8184, 2.98),
        "SRResNet-VGG22": PaperRow(27.19, 0.7807, 3.15),
        "SRGAN-MSE": PaperRow(26.92, 0.7611, 3.43),
        "SRGAN-VGG22": PaperRow(26.44, 0.7518, 3.57),
        "SRGAN-VGG54": PaperRow(26.02, 0.7397, 3.72),
        "original": _ORIGINAL,
    },
}
