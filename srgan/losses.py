"""Losses over images in [−1, 1] and over logits; all in float32, also under autocast."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srgan.config import FeatureContentConfig, MseContentConfig
from srgan.models.features import FeatureExtractor


def pixel_loss(kind: Literal["mse", "l1"], sr: Tensor, hr: Tensor) -> Tensor:
    """Mean over all values of two batches (N, C, H, W) in [−1, 1]: equation 4, or its L1 sibling.

    On [0, 1] the MSE would be four times smaller and the paper's 1e-3 weigh four times too much.
    """
    _check_pair(sr, hr)
    loss = {"mse": F.mse_loss, "l1": F.l1_loss}[kind]
    return loss(sr.float(), hr.float())


def feature_loss(extractor: FeatureExtractor, scale: float, sr: Tensor, hr: Tensor) -> Tensor:
    """Mean square of `scale` · (φ(sr) − φ(hr)) over all values of the extractor's one layer.

    Equation 5 for two batches (N, 3, H, W) in [−1, 1], channels averaged like those of
    `pixel_loss`. The gradient reaches `sr` alone: `hr` is a constant and gets no graph.
    """
    _check_pair(sr, hr)
    with torch.no_grad():
        (target,) = extractor(hr)
    (features,) = extractor(sr)
    return F.mse_loss(scale * features, scale * target)


def content_loss(
    config: MseContentConfig | FeatureContentConfig, extractor: FeatureExtractor | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Content loss of section 2.2.1 as a function of (sr, hr), both (N, 3, H, W) in [−1, 1].

    One on features needs the extractor of its network and layer, on the device of the images.
    """
    if isinstance(config, MseContentConfig):
        return partial(pixel_loss, "mse")
    wanted = (config.network, (config.layer,))
    if extractor is None or (extractor.network, extractor.layers) != wanted:
        given = extractor and (extractor.network, extractor.layers)
        raise ValueError(f"the content loss needs an extractor of {wanted}, got {given}")
    if not config.pixel_weight:
        return partial(feature_loss, extractor, config.feature_scale)
    chosen = extractor

    def of_features_and_pixels(sr: Tensor, hr: Tensor) -> Tensor:
        features = feature_loss(chosen, config.feature_scale, sr, hr)
        return features + config.pixel_weight * pixel_loss("mse", sr, hr)

    return of_features_and_pixels


def adversarial_loss(fake_logits: Tensor) -> Tensor:
    """Mean of −log D(G(x)) over the batch (equation 6), D being the sigmoid of the logits (N,)."""
    return F.softplus(-fake_logits.float()).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of −log D(hr) plus mean of −log(1 − D(G(lr))): equation 2, negated to minimise."""
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def _check_pair(sr: Tensor, hr: Tensor) -> None:
    if sr.shape != hr.shape:
        # torch would broadcast, and the loss of the wrong pair looks like bad training.
        raise ValueError(f"sr {tuple(sr.shape)} and hr {tuple(hr.shape)} differ in shape")
