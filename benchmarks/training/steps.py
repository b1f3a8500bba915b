"""Compare training steps of both stages with plain ones; split the time of a GAN step."""

import time

import torch
from safetensors.torch import save
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.measure import Size, Split, gemm, in_turn
from benchmarks.training.plain import PlainAdversarial, PlainPretrain
from srgan.config import (
    AdversarialConfig,
    FeatureContentConfig,
    GeneratorConfig,
    PretrainConfig,
)
from srgan.config.networks import FEATURE_LAYERS, FEATURE_SCALE
from srgan.losses import content_loss
from srgan.models.features import FeatureExtractor, load_extractor
from srgan.train.adversarial import Adversarial
from srgan.train.run import build_stage
from srgan.train.step import Stage

CPU = torch.device("cpu")


def options(size: Size) -> dict[str, object]:
    """Return fields of a stage config: the paper's, at the machine's best precision."""
    generator = GeneratorConfig(num_blocks=size.num_blocks, num_channels=size.num_channels)
    return {
        "generator": generator,
        "steps": 10**6,
        "batch_size": size.batch,
        "patch_size": size.patch,
        "precision": "auto",
    }


def windows(stage: Stage, size: Size) -> Tensor:
    """Draw noise in place of a batch."""
    shape = (size.batch, 3, stage.window, stage.window)
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def pretrain_step(size: Size) -> None:
    """Measure SRResNet's step, its ratio to a plain one and its share of the machine's limit."""
    config = PretrainConfig.model_validate(options(size))
    stage = build_stage(config, device=CPU, initial=None)
    batch = windows(stage, size)
    lr, hr = stage.degradation(batch)
    plain = PlainPretrain(config)
    with FlopCounterMode(display=False) as counter:
        plain.step(lr, hr)
    flops = counter.get_total_flops()
    product, product_flops = gemm(size, torch.bfloat16)
    found = in_turn(
        {
            "plain": lambda _: plain.step(lr, hr),
            "ours": lambda step: stage.step(batch, step),
            "gemm": product,
        },
        size,
    )
    rate, limit = flops / found["ours"], product_flops / found["gemm"]
    for name in ("plain", "ours"):
        print(f"SRResNet step, {name}: {found[name]:.3f} s, {size.batch / found[name]:.1f} crops/s")
    print(f"SRResNet step, ratio: {found['plain'] / found['ours']:.2f}")
    print(
        f"SRResNet step, share of the bf16 GEMM rate: {rate / limit:.2f} "
        f"({rate / 1e9:.0f} of {limit / 1e9:.0f} GFLOP/s, {flops / 1e9:.1f} GFLOP a step)"
    )


def gan_step(size: Size) -> None:
    """Measure the GAN step on MSE and on VGG54, each against a plain one; split ours."""
    vgg = FeatureContentConfig(
        network="vgg19",
        layer="vgg54",
        feature_scale=FEATURE_SCALE["vgg19"],
        weights="00000000",
    )
    weights = drawn_vgg()
    for name, config in (
        ("MSE", AdversarialConfig.model_validate(options(size))),
        ("VGG54", AdversarialConfig.model_validate({**options(size), "content": vgg})),
    ):
        perceptual = weights if name == "VGG54" else None
        stage = build_stage(config, device=CPU, initial=None, perceptual=perceptual)
        extractor = load_extractor(weights, "vgg19", ["vgg54"]) if perceptual else None
        plain = PlainAdversarial(config, content_loss(config.content, extractor))
        _compare(f"GAN step on {name}", stage, plain, size)


def _compare(name: str, stage: Stage, plain: PlainAdversarial, size: Size) -> None:
    assert isinstance(stage, Adversarial)
    batch = windows(stage, size)
    lr, hr = stage.degradation(batch)
    sides = {
        "plain": lambda _: plain.step(lr, hr),
        "ours": lambda step: stage.step(batch, step),
    }
    found = in_turn(sides, size)
    for side in sides:
        print(f"{name}, {side}: {found[side]:.3f} s, {size.batch / found[side]:.1f} crops/s")
    print(f"{name}, ratio: {found['plain'] / found['ours']:.2f}")
    split = split_of(stage, batch, size)
    parts = ", ".join(f"{part} {share:.0%}" for part, share in split.items())
    print(f"{name}, split: {parts}")


def split_of(stage: Adversarial, batch: Tensor, size: Size) -> dict[str, float]:
    """Return each part's share of a step; optimisers, norms and averages are the rest."""
    num_steps = size.rounds * size.steps
    with Split() as split:
        stage._generate = split.watch("G forward", stage._generate)  # type: ignore[assignment]
        stage._judge = split.watch("D forward", stage._judge)  # type: ignore[assignment]
        stage._content = split.watch("content loss", stage._content)  # type: ignore[assignment]
        stage._images = split.watch("degradation", stage._images)  # type: ignore[method-assign,assignment]
        judge = stage.discriminator.forward
        stage.discriminator.forward = split.watch("D forward", judge)  # type: ignore[method-assign,assignment]
        begun = time.perf_counter()
        for step in range(num_steps):
            stage.step(batch, step)
        total = time.perf_counter() - begun
    rest = total - sum(split.seconds.values())
    return {name: took / total for name, took in {**split.seconds, "the rest": rest}.items()}


def drawn_vgg() -> bytes:
    """Draw a VGG19 with random weights, because its time does not depend on them."""
    with torch.device("meta"):
        expected = FeatureExtractor("vgg19", FEATURE_LAYERS["vgg19"]).backbone.state_dict()
    drawn = {name: torch.randn(each.shape) * 0.02 for name, each in expected.items()}
    return save(drawn)
