"""Losses over images in [−1, 1] and over logits, in float32 even under autocast.

Shapes and types are checked, and on the CPU also the range of HR. On a GPU the caller promises the
range, because a check would wait for the device at every step. SR has no bounds.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srgan.config import FeatureContentConfig, MseContentConfig
from srgan.models.features import FeatureExtractor

_CHANNELS = (1, 3)
_SMOOTH = 1e-12
"""Added under the square root, whose slope at 0 is infinite."""
_ROUNDING = 1e-3
_GRID_WINDOW = 8


def pixel_loss(kind: Literal["mse", "l1"], sr: Tensor, hr: Tensor) -> Tensor:
    """Mean over all values of two batches (N, C, H, W) in [−1, 1]: equation 4, or the same in L1.

    On [0, 1] the MSE would be four times smaller, so the paper's 1e-3 would weigh four times as
    much.
    """
    _check_pair(sr, hr)
    losses = {"mse": F.mse_loss, "l1": F.l1_loss}
    if kind not in losses:
        raise ValueError(f"no pixel loss {kind!r}; there are: {', '.join(losses)}")
    return losses[kind](sr.float(), hr.float())


def total_variation(sr: Tensor) -> Tensor:
    """Mean over the batch of each image's sum of |∇SR| = √(down² + right²); images (N, C, H, W).

    The sum is over channels and over all positions with a neighbour below and to the right: the
    isotropic total variation of Rudin, Osher and Fatemi 1992. Section 3.4 adds it to SRResNet-VGG22
    with a weight of 2e-8 and gives no formula. Only a sum gives that weight a meaning: beside an
    untrained network's MSE its gradient is then about 1e-3, as a mean over the values 1e-8.
    """
    sr = sr.float()
    inside = sr[..., :-1, :-1]
    squares = (sr[..., 1:, :-1] - inside).square() + (sr[..., :-1, 1:] - inside).square()
    return (squares + _SMOOTH).sqrt().sum() / len(sr)


def grid_loss(sr: Tensor, hr: Tensor, scale: int) -> Tensor:
    """Mean square of the pattern of period `scale` that SR adds to HR, both (N, C, H, W).

    For each of the `scale`² places of a pixel modulo `scale`, the mean of SR − HR over windows of
    8×8 such pixels, less the mean of all places. Not from the paper: a generator has separate
    weights for each place, so it can add the same texture everywhere, which deep features take for
    detail. The pixels' MSE hardly weighs it, because it is small at every pixel.
    """
    _check_pair(sr, hr)
    places = F.pixel_unshuffle(sr.float() - hr.float(), scale)
    window = min(_GRID_WINDOW, *places.shape[2:])
    means = F.avg_pool2d(places, window, stride=max(1, window // 2))
    by_place = means.view(len(means), -1, scale**2, *means.shape[2:])
    pattern: Tensor = by_place - by_place.mean(dim=2, keepdim=True)
    return pattern.square().mean()


def feature_loss(extractor: FeatureExtractor, scale: float, sr: Tensor, hr: Tensor) -> Tensor:
    """Mean square of `scale` · (φ(sr) − φ(hr)) over all values of the extractor's one layer.

    Equation 5 for two batches (N, 3, H, W) in [−1, 1], channels averaged like those of
    `pixel_loss`. The gradient reaches only `sr`: `hr` is a constant and gets no graph.
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

    A loss over features needs the extractor of its network and layer, on the device of the images.
    """
    if isinstance(config, MseContentConfig):
        return partial(pixel_loss, "mse")
    wanted = (config.network, (config.layer,))
    if extractor is None or (extractor.network, extractor.layers) != wanted:
        given = extractor and (extractor.network, extractor.layers)
        raise ValueError(f"the content loss needs an extractor of {wanted}, got {given}")
    of_features = partial(feature_loss, extractor, config.feature_scale)
    if not (config.pixel_weight or config.total_variation_weight):
        return of_features

    def with_terms(sr: Tensor, hr: Tensor) -> Tensor:
        loss = of_features(sr, hr)
        if config.pixel_weight:
            loss = loss + config.pixel_weight * pixel_loss("mse", sr, hr)
        if config.total_variation_weight:
            loss = loss + config.total_variation_weight * total_variation(sr)
        return loss

    return with_terms


def adversarial_loss(fake_logits: Tensor) -> Tensor:
    """Mean of −log D(G(x)) over the batch (equation 6); D is the sigmoid of the logits (N,)."""
    _check_logits(fake_logits)
    return F.softplus(-fake_logits.float()).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Mean of −log D(hr) plus mean of −log(1 − D(G(lr))): equation 2, negated to minimise."""
    _check_logits(real_logits)
    _check_logits(fake_logits)
    return F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()


def _check_pair(sr: Tensor, hr: Tensor) -> None:
    if sr.shape != hr.shape:
        # torch would broadcast, and a loss of the wrong pairs looks like bad training.
        raise ValueError(f"sr {tuple(sr.shape)} and hr {tuple(hr.shape)} differ in shape")
    if sr.ndim != 4 or sr.shape[1] not in _CHANNELS or sr.numel() == 0:
        raise ValueError(f"expected images (N, 3, H, W), 1 channel for luma, got {tuple(sr.shape)}")
    for name, images in (("sr", sr), ("hr", hr)):
        if not images.is_floating_point():
            raise ValueError(f"expected {name} as floats in [−1, 1], got {images.dtype}")
    if hr.device.type == "cpu":
        least, most = (float(value) for value in hr.detach().aminmax())
        # NaN passes: a training step skips values that are not finite, and reports them.
        if least < -1 - _ROUNDING or most > 1 + _ROUNDING:
            raise ValueError(f"expected hr in [−1, 1], got values from {least:g} to {most:g}")


def _check_logits(logits: Tensor) -> None:
    if logits.ndim != 1 or logits.numel() == 0 or not logits.is_floating_point():
        raise ValueError(
            f"expected logits (N,) as floats, got {logits.dtype} {tuple(logits.shape)}"
        )
