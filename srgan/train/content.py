"""The content loss of a stage, and the weights that it needs."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from srgan.config import AdversarialConfig, FeatureContentConfig, PretrainConfig
from srgan.losses import content_loss, pixel_loss
from srgan.models.features import load_extractor
from srgan.models.luma import luma_of
from srgan.models.weights import find_mirrored, read_weights
from srgan.storage import ObjectStore

_FAR = 3.0
"""How far a loss on features may be from the size of the pixels' MSE."""


def feature_content(config: PretrainConfig | AdversarialConfig) -> FeatureContentConfig | None:
    """The perceptual network that a stage learns from; None if its content is pixels."""
    content = config.content if isinstance(config, AdversarialConfig) else config.loss
    return content if isinstance(content, FeatureContentConfig) else None


def read_perceptual(store: ObjectStore, config: PretrainConfig | AdversarialConfig) -> bytes | None:
    """The mirrored weights of that network, verified; None if there is none."""
    content = feature_content(config)
    return read_weights(store, content.network, content.weights) if content else None


def warning_of_scale(store: ObjectStore, config: PretrainConfig | AdversarialConfig) -> str | None:
    """Say that a content loss on features is far from the size of the pixels' MSE.

    The paper's weights of the other terms mean something only beside a loss of that size. None if
    it is within a factor of three, or was not measured when the weights were mirrored.
    """
    content = feature_content(config)
    mirrored = find_mirrored(store, content.network) if content else None
    if not content or not mirrored or not mirrored.sha256.startswith(content.weights):
        return None
    measured = mirrored.feature_scales.get(content.layer)
    if not measured:
        return None
    size = (content.feature_scale / measured) ** 2
    if 1 / _FAR < size < _FAR:
        return None
    return (
        f"the content loss on {content.network} {content.layer} is about {size:.2g} times as "
        "large as the pixels' MSE, so the weights beside it do not mean what they do in the paper: "
        f"feature_scale is 1/{1 / content.feature_scale:.4g}, and 1/{1 / measured:.4g} was "
        "measured for these weights"
    )


def build_content_loss(
    config: PretrainConfig | AdversarialConfig, *, device: torch.device, perceptual: bytes | None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Loss of (sr, hr), both float (N, 3, P, P) in [−1, 1]; `perceptual` is a weights file.

    A network on luma has a pixel loss of luma only, as SRCNN, FSRCNN and ESPCN had it.
    """
    content = feature_content(config)
    if content is not None:
        if perceptual is None:
            raise ValueError(f"a content loss on {content.network} needs the network's weights")
        extractor = load_extractor(perceptual, content.network, [content.layer]).to(device)
        extractor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        return content_loss(content, extractor)
    if isinstance(config, AdversarialConfig):
        return content_loss(config.content)
    assert not isinstance(config.loss, FeatureContentConfig)  # that is `content` above
    loss = partial(pixel_loss, config.loss)
    return partial(_of_luma, loss) if config.generator.on_luma else loss


def _of_luma(loss: Callable[[Tensor, Tensor], Tensor], sr: Tensor, hr: Tensor) -> Tensor:
    """Compare luma only: on RGB the network would learn to make up for bicubic's colours."""
    return loss(luma_of(sr), luma_of(hr))
