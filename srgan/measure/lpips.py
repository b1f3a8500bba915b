"""LPIPS (Zhang et al. 2018), version 0.1 on AlexNet: a distance that people's judgements taught.

The library is torchmetrics, which carries the judged weights and takes AlexNet with its ImageNet
weights from torchvision. Both are the extra ``lpips``: a torchvision fits one build of torch only.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from srgan.errors import CheckpointError, ConfigError
from srgan.measure.perceptual import image_pair

NAME = "lpips"
MIN_SIDE = 31
"""Smallest side of an image in pixels: below it nothing is left for AlexNet's second pooling."""


class LPIPS:
    """`Distance` named ``lpips``, lower is better.

    The first time, torchvision fetches AlexNet's weights (244 MB) into torch's cache.
    `ConfigError` where the extra is missing or torchvision belongs to another torch,
    `CheckpointError` where the weights cannot be had.
    """

    name = NAME

    def __init__(self, *, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._metric = _load_metric().to(self._device)

    @torch.inference_mode()
    def __call__(self, hr: NDArray[np.uint8], sr: NDArray[np.uint8], *, border: int) -> float:
        """0 for identical images. Both uint8 (H, W, 3) RGB or (H, W) of one shape.

        `border` pixels on each side are left out, as `metrics.psnr` does.
        """
        pair = image_pair(hr, sr, border).to(self._device)
        if min(pair.shape[2:]) < MIN_SIDE:
            raise ValueError(f"LPIPS needs {MIN_SIDE} pixels a side, got {tuple(pair.shape)}")
        return float(self._metric(pair[:1], pair[1:]))


def _load_metric() -> Any:
    """torchmetrics' LPIPS; it has no types of its own here, where it may be missing."""
    try:
        import torchvision  # noqa: F401  # torchmetrics imports it late and says less of it
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    except ImportError as error:
        raise ConfigError(f"LPIPS needs more packages ({error}); pip install 'srgan[lpips]'") from (
            error
        )
    except RuntimeError as error:  # its operators were built for another torch
        raise ConfigError(
            f"the torchvision installed here does not fit torch {torch.__version__} ({error}); "
            "install both from the same index"
        ) from error
    try:
        return LearnedPerceptualImagePatchSimilarity(net_type="alex")
    # An address that does not answer is an OSError, a file that is not whole a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"LPIPS needs AlexNet's ImageNet weights, and torchvision could not get them ({error})"
            f"; put its alexnet-owt-7be5be79.pth into {Path(torch.hub.get_dir()) / 'checkpoints'}"
        ) from error
