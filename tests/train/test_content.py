"""Stages whose content loss is a perceptual network."""

from pathlib import Path

import pytest
import torch

from srgan.config import FeatureContentConfig, GeneratorConfig
from srgan.data.shards import ShardCache
from srgan.errors import CheckpointError
from srgan.models.interchange import dump_generator
from srgan.models.luma import luma_of
from srgan.models.weights import publish_weights
from srgan.refs import DatasetRef
from srgan.services.s3 import S3Store
from srgan.train.adversarial import Adversarial
from srgan.train.content import build_content_loss, read_perceptual, warning_of_scale
from srgan.train.run import StageInputs, build_stage, run_stage
from tests.support.perceptual_weights import drawn_weights
from tests.support.stages import BATCH_NORM, CPU, adversarial, differing, pretrain, windows

DIGITS = "00000000"


def content(weights: str = DIGITS, scale: float = 0.1) -> FeatureContentConfig:
    return FeatureContentConfig(
        network="squeezenet1_1", layer="fire2", feature_scale=scale, weights=weights
    )


def weights_after_a_step(config, initial: bytes) -> dict[str, torch.Tensor]:  # type: ignore[no-untyped-def]
    stage = build_stage(config, device=CPU, initial=initial, perceptual=drawn_weights())
    stage.step(windows(stage), 0)
    return dict(stage.generator.state_dict())


def start(**options: object) -> Adversarial:
    config = adversarial(BATCH_NORM, patch_size=32, content=content(), **options)
    stage = build_stage(config, device=CPU, initial=None, perceptual=drawn_weights())
    assert isinstance(stage, Adversarial)
    return stage


def test_the_gradient_of_the_content_loss_reaches_every_weight_of_the_generator() -> None:
    stage = start(adversarial_weight=0.0)
    losses = stage.step(windows(stage), 0)
    assert losses["content_loss"] == losses["loss"] > 0
    for name, parameter in stage.generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_network_that_says_nothing_of_the_images_teaches_nothing() -> None:
    """The same stage with a content loss of zero, to show that features move the generator."""
    stage = start(adversarial_weight=0.0)
    for parameter in stage._content.args[0].parameters():  # type: ignore[attr-defined]
        parameter.zero_()
    stage.step(windows(stage), 0)
    assert all((p.grad == 0).all() for p in stage.generator.parameters() if p.grad is not None)


def test_without_adversarial_weight_the_gan_learns_features_as_pretraining_does() -> None:
    first = dump_generator(build_stage(pretrain(BATCH_NORM), device=CPU, initial=None).generator)
    gan = adversarial(BATCH_NORM, patch_size=32, content=content(), adversarial_weight=0.0)
    alone = pretrain(BATCH_NORM, patch_size=32, loss=content())
    found = weights_after_a_step(gan, first)
    assert differing(found, weights_after_a_step(alone, first)) == []
    pixels = pretrain(BATCH_NORM, patch_size=32)
    assert differing(found, weights_after_a_step(pixels, first))


def test_the_perceptual_network_is_neither_trained_nor_saved() -> None:
    stage = start()
    before = {k: v.clone() for k, v in stage._content.args[0].state_dict().items()}  # type: ignore[attr-defined]
    stage.step(windows(stage), 0)
    assert differing(before, stage._content.args[0].state_dict()) == []  # type: ignore[attr-defined]
    assert stage.networks().keys() == {"generator", "discriminator"}


def test_a_stage_on_features_without_their_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="squeezenet1_1 needs the network's weights"):
        build_stage(pretrain(patch_size=32, loss=content()), device=CPU, initial=None)


def test_a_job_reads_the_weights_that_its_config_names_from_the_bucket(
    object_store: S3Store, dataset: DatasetRef, tmp_path: Path
) -> None:
    mirrored = publish_weights(object_store, "squeezenet1_1", drawn_weights(), "drawn")
    config = pretrain(loss=content(mirrored.sha256[:8]), steps=2, batch_size=2, patch_size=24)
    inputs = StageInputs(
        run="one",
        config=config,
        dataset=dataset,
        init_from=None,
        numerics_version="c",
        release_version="c",
    )
    cache = ShardCache(object_store, tmp_path / "cache", 2**30)
    final = run_stage(object_store, inputs, cache, device=CPU, reporter=None, stall_s=600)
    assert final.config["loss"]["weights"] == mirrored.sha256[:8]
    assert final.parts.keys() == {"generator", "optimisers"}


def test_a_job_whose_weights_are_not_mirrored_names_the_command(object_store: S3Store) -> None:
    with pytest.raises(CheckpointError, match="srgan weights mirror squeezenet1_1"):
        read_perceptual(object_store, adversarial(patch_size=32, content=content()))
    assert read_perceptual(object_store, adversarial()) is None
    assert read_perceptual(object_store, pretrain()) is None


def test_a_content_loss_far_from_the_size_of_the_pixels_is_told(object_store: S3Store) -> None:
    data = drawn_weights()
    config = adversarial(patch_size=32, content=content())
    assert warning_of_scale(object_store, config) is None, "nothing is mirrored"
    scale = config.content.feature_scale  # type: ignore[union-attr]
    for measured, told in ((1.5 * scale, False), (10 * scale, True), (0.5 * scale, True)):
        scales = {config.content.layer: measured}  # type: ignore[union-attr]
        mirrored = publish_weights(object_store, "squeezenet1_1", data, "drawn", scales)
        config = adversarial(patch_size=32, content=content(mirrored.sha256))
        found = warning_of_scale(object_store, config)
        assert bool(found) == told, found
    assert found is not None
    assert "about 4 times as large as the pixels' MSE" in found
    publish_weights(object_store, "squeezenet1_1", data, "drawn")
    assert warning_of_scale(object_store, config) is None, "nobody measured"
    assert warning_of_scale(object_store, pretrain()) is None, "pixels"


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_a_network_on_luma_learns_luma_whatever_the_colours_are(loss: str) -> None:
    """Bicubic makes the colours: on RGB the network would learn to make up for them."""
    espcn = GeneratorConfig(kind="espcn", scale=2)
    compare = build_content_loss(pretrain(espcn, loss=loss), device=CPU, perceptual=None)
    hr = torch.rand(2, 3, 8, 8) * 2 - 1
    colour = torch.rand(2, 3, 8, 8)
    sr = hr + colour - luma_of(colour)
    assert compare(sr, hr) < 1e-6
    of_rgb = build_content_loss(pretrain(loss=loss), device=CPU, perceptual=None)
    assert of_rgb(sr, hr) > 0.01
    assert compare(hr + 0.5, hr) == pytest.approx(0.25 if loss == "mse" else 0.5)
