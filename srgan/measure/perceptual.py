"""Perceptual distance of two images in the features of a network (a judge); lower is better.

Zhang et al. 2018 call this the uncalibrated distance of a network. In each layer the features are
divided by their length at each position, and the squared difference is averaged over the positions;
the distance is the sum over the layers. A calibrated one (ST-LPIPS, Ghildyal & Liu 2022) weights
the channels by what it learned from people's judgements. Figures are comparable only within one
network, one weights file and one definition, so they carry the network's name. They are computed in
IEEE float32, because TF32 of a GPU would move them.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgan.config.networks import (
    CALIBRATED_DISTANCES,
    DISTANCES,
    MAX_PIXELS,
    MIN_SIDE,
    FeatureNetwork,
)
from srgan.models.features import load_calibration, load_extractor
from srgan.precision import ieee_fp32

_LAYERS: dict[FeatureNetwork, tuple[str, ...]] = {
    "efficientnet_lite0": ("block1", "block3", "block5", "block11", "block16"),
    "efficientnet_lite1": ("block1", "block4", "block7", "block15", "block21"),
    "squeezenet1_1": ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9"),
    "vgg19": ("vgg12", "vgg22", "vgg34", "vgg44", "vgg54"),
    "vgg16_st": ("vgg12", "vgg22", "vgg33", "vgg43", "vgg53"),
    "alexnet_st": ("conv1", "conv2", "conv3", "conv4", "conv5"),
}
"""The last layer before each pooling or stride (in AlexNet and SqueezeNet also the layers after the
last one), and the deepest."""
_CHANNELS: dict[FeatureNetwork, tuple[int, ...]] = {
    "vgg16_st": (64, 128, 256, 512, 512),
    "alexnet_st": (64, 192, 384, 256, 256),
}
"""Channels of these layers where the weights file calibrates them."""
_EPSILON = 1e-10


class PerceptualDistance:
    """Distance in the features of one network; `data` is the content of its weights file.

    Calibrated ones are `CALIBRATED_DISTANCES`, plain ones `DISTANCES`. With `shared`, a distance of
    the same network, both compute the features of an image once. Several results of one original
    in a row cost its features once.
    """

    min_side = MIN_SIDE
    max_pixels = MAX_PIXELS

    def __init__(
        self,
        network: FeatureNetwork,
        data: bytes,
        *,
        is_calibrated: bool = False,
        device: torch.device | None = None,
        shared: "PerceptualDistance | None" = None,
    ) -> None:
        self.name = (CALIBRATED_DISTANCES if is_calibrated else DISTANCES)[network]
        self.weights_sha256 = hashlib.sha256(data).hexdigest()
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._features: _Features = (
            shared._features if shared else _Features(network, data, self._device)
        )
        self._weights: Sequence[Tensor | None] = [None] * len(_LAYERS[network])
        if is_calibrated:
            calibration = load_calibration(data, network, _CHANNELS[network])
            self._weights = [weights.to(self._device) for weights in calibration]

    @torch.inference_mode()
    @ieee_fp32()
    def __call__(self, hr: NDArray[np.uint8], sr: NDArray[np.uint8], *, border: int) -> float:
        """0 for identical images. Both are uint8, (H, W, 3) RGB or (H, W), of the same shape.

        `border` pixels on each side are left out, as in `metrics.psnr`.
        """
        pair = image_pair(hr, sr, border)
        original = self._features.of(pair[:1], "hr")
        result = self._features.of(pair[1:], "sr")
        layers = zip(original, result, self._weights, strict=True)
        return float(sum(_layer_distance(one, other, weights) for one, other, weights in layers))


class _Features:
    """Features of the original and of the result that were asked for last."""

    def __init__(self, network: FeatureNetwork, data: bytes, device: torch.device) -> None:
        self._extractor = load_extractor(data, network, _LAYERS[network]).to(device)
        self._device = device
        self._last: dict[str, tuple[Tensor, Sequence[Tensor]] | None] = {}

    def of(self, image: Tensor, role: str) -> Sequence[Tensor]:
        """Features (1, C, h, w) of each layer; those of the last image in a `role` are kept."""
        kept = self._last.get(role)
        if kept is None or not torch.equal(image, kept[0]):
            kept = self._last[role] = None  # frees them before others take as much memory
            kept = self._last[role] = image, self._extractor(image.to(self._device))
        return kept[1]


def open_distances(
    network: FeatureNetwork, data: bytes, *, device: torch.device | None = None
) -> list[PerceptualDistance]:
    """Open every distance of a network; `CheckpointError` if the weights file does not fit."""
    distances = [PerceptualDistance(network, data, device=device)]
    if network in CALIBRATED_DISTANCES:
        calibrated = PerceptualDistance(
            network, data, is_calibrated=True, device=device, shared=distances[0]
        )
        distances.append(calibrated)
    return distances


def image_pair(hr: NDArray[np.uint8], sr: NDArray[np.uint8], border: int) -> Tensor:
    """Convert two uint8 images (H, W, 3) or (H, W) to float (2, 3, H − 2·border, W − 2·border).

    Values are in [−1, 1]; gray becomes three equal channels. `ValueError` if the shapes differ.
    """
    if hr.shape != sr.shape or hr.dtype != np.uint8 or sr.dtype != np.uint8:
        raise ValueError(
            "hr and sr must be uint8 images of the same shape, "
            f"got hr {hr.dtype} {hr.shape} and sr {sr.dtype} {sr.shape}"
        )
    pair = np.stack([hr, sr])
    rgb = pair if pair.ndim == 4 else np.repeat(pair[..., None], 3, axis=3)
    height, width = hr.shape[:2]
    inside = np.ascontiguousarray(rgb[:, border : height - border, border : width - border])
    return torch.from_numpy(inside).permute(0, 3, 1, 2).float() / 127.5 - 1


def _layer_distance(original: Tensor, result: Tensor, weights: Tensor | None) -> float:
    """Distance in one layer's features (1, C, h, w); `weights` (C, 1, 1) of its channels."""
    difference = (_unit(original) - _unit(result)).square()
    if weights is not None:
        difference = difference * weights
    return float(difference.sum(dim=1).mean())


def _unit(features: Tensor) -> Tensor:
    length = features.square().sum(dim=1, keepdim=True).sqrt()
    return features / (length + _EPSILON)
