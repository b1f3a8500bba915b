"""The perceptual network that judges a stage's checkpoints, and the best of them."""

from collections.abc import Iterable

import torch

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.config.networks import DISTANCES, MIN_SIDE, FeatureNetwork
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.weights import find_judges, read_weights
from srgan.storage import ObjectStore
from srgan.train import ranks
from srgan.train.checkpoint import Manifest
from srgan.train.content import feature_content


def build_judge(
    store: ObjectStore,
    config: PretrainConfig | AdversarialConfig,
    *,
    crop_size: int,
    device: torch.device,
) -> PerceptualDistance | None:
    """Pick a mirrored network, preferring one that the stage is not trained on; None if there is
    none, or if crops leave it nothing to see.

    Every rank must call it, because rank 0 looks for all of them.
    """
    if crop_size - 2 * config.generator.scale < MIN_SIDE:
        return None
    found = ranks.from_rank_zero(_choose(store, config) if ranks.rank() == 0 else None)
    if found is None:
        return None
    network, sha256 = found
    return PerceptualDistance(network, read_weights(store, network, sha256), device=device)


def best_checkpoint(manifests: Iterable[Manifest]) -> Manifest | None:
    """The checkpoint of a run with the best validation; None if that cannot be told.

    A stage that learns from pixels only is judged by PSNR. One that learns from a discriminator or
    from features is judged by the perceptual distance that its newest validation has, and never by
    PSNR, which would pick its first checkpoint; without a distance none counts as the best.
    """
    measured = [each for each in manifests if each.metrics and each.validated_at == each.step]
    if not measured:
        return None
    newest = max(measured, key=lambda each: each.step)
    if _learns_pixels(newest):
        return max(measured, key=lambda each: each.metrics["psnr"])
    name = next((name for name in DISTANCES.values() if name in newest.metrics), None)
    if name is None:
        return None
    comparable = [each for each in measured if name in each.metrics]
    return min(comparable, key=lambda each: each.metrics[name])


def _choose(
    store: ObjectStore, config: PretrainConfig | AdversarialConfig
) -> tuple[FeatureNetwork, str] | None:
    content = feature_content(config)
    learned = content.network if content else None
    mirrored = sorted(find_judges(store).items(), key=lambda each: each[0] == learned)
    return mirrored[0] if mirrored else None


def _learns_pixels(manifest: Manifest) -> bool:
    return manifest.stage == "pretrain" and isinstance(manifest.config.get("loss"), str)
