"""LPIPS (Zhang et al. 2018), version 0.1 on AlexNet: a distance fitted to people's ratings.

It comes from torchmetrics, which ships the fitted layer weights and gets AlexNet with its ImageNet
weights from torchvision. Both packages are in the extra ``lpips``, because a torchvision fits only
one build of torch.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.config.networks import MAX_PIXELS
from srgan.errors import CheckpointError, ConfigError
from srgan.measure.perceptual import image_pair
from srgan.precision import ieee_fp32

NAME = "lpips"
MIN_SIDE = 31
"""Smallest side of an image in pixels; below it AlexNet's second pooling has no input left."""


class LPIPS:
    """`Distance` named ``lpips``; lower is better.

    On first use torchvision downloads AlexNet's weights (244 MB) into torch's cache. `ConfigError`
    if the extra is missing or torchvision was built for another torch, `CheckpointError` if the
    weights cannot be downloaded.
    """

    name = NAME
    min_side = MIN_SIDE
    max_pixels = MAX_PIXELS

    def __init__(self, *, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._metric = _load_metric().to(self._device)

    @torch.inference_mode()
    @ieee_fp32()
    def __call__(self, hr: NDArray[np.uint8], sr: NDArray[np.uint8], *, border: int) -> float:
        """0 for identical images. Both are uint8, (H, W, 3) RGB or (H, W), of the same shape.

        `border` pixels on each side are left out, as in `metrics.psnr`.
        """
        pair = image_pair(hr, sr, border).to(self._device)
        if min(pair.shape[2:]) < MIN_SIDE:
            raise ValueError(f"LPIPS needs {MIN_SIDE} pixels a side, got {tuple(pair.shape)}")
        return float(self._metric(pair[:1], pair[1:]))


def _load_metric() -> Any:
    """Return torchmetrics' LPIPS; `Any`, because the package may be missing."""
    try:
        import torchvision  # noqa: F401  # torchmetrics imports it late, with a vaguer error
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ImportError as error:
        raise ConfigError(f"LPIPS needs more packages ({error}); pip install -e '.[lpips]'") from (
            error
        )
    except RuntimeError as error:  # its operators were built for another torch
        raise ConfigError(
            f"the torchvision installed here does not fit torch {torch.__version__} ({error}); "
            "install both from the same index"
        ) from error
    try:
        return LearnedPerceptualImagePatchSimilarity(net_type="alex")
    # A failed download is an OSError, an incomplete file a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"LPIPS needs AlexNet's ImageNet weights, and torchvision could not get them ({error})"
            f"; put its alexnet-owt-7be5be79.pth into {Path(torch.hub.get_dir()) / 'checkpoints'}"
        ) from error
