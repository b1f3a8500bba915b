"""Calculate the time and memory of a training on GPUs, from operations and activations.

    python -m benchmarks.training.planner [PATCH ...]

Counts the cost of a patch in the paper's networks, and the operations of a whole step of our
stages (with optimisers and running statistics, and with autocast's conversions), and multiplies.
Nothing is timed. A step takes as long as its arithmetic at an assumed rate, or as the launches of
its operations, whichever is longer. The output names the assumptions; replace them by measured
rates when there are some.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.steps import drawn_vgg
from srgan.config import (
    AdversarialConfig,
    DiscriminatorConfig,
    FeatureContentConfig,
    GeneratorConfig,
    PretrainConfig,
)
from srgan.config.networks import FEATURE_SCALE
from srgan.models.build import build_discriminator, build_generator
from srgan.models.features import FeatureExtractor
from srgan.train.run import build_stage

GPU_FLOPS = 990e12  # bf16 tensor cores of an H100 SXM, dense, by its data sheet
TF32_FLOPS = 495e12  # by the same data sheet: torch computes convolutions of float32 in TF32
SHARE = 0.25  # of either rate: batches and convolutions are small
LAUNCH_S = 5e-6  # for one operation; limits small batches
PRETRAIN_STEPS, GAN_STEPS, BATCH = 10**6, 2 * 10**5, 16


@dataclass(frozen=True)
class Cost:
    """Work for one patch; operations of a step, whose number does not depend on the batch."""

    flops: float
    kept_bytes: float
    operations: int
    tf32_flops: float = 0.0
    """FLOP of the perceptual network, which computes in float32."""

    def step_s(self, batch: int) -> float:
        """Seconds of a step on one GPU."""
        patch_s = (self.flops / GPU_FLOPS + self.tf32_flops / TF32_FLOPS) / SHARE
        return max(batch * patch_s, self.operations * LAUNCH_S)


def main() -> None:
    """Print a table of both stages for each patch size."""
    print(
        f"one H100, {SHARE:.0%} of {GPU_FLOPS / 1e12:.0f} TFLOP/s (VGG: of "
        f"{TF32_FLOPS / 1e12:.0f}), {LAUNCH_S * 1e6:.0f} µs an "
        "operation; calculated, not measured\n\n"
        "| stage | patch | batch | operations a step | GFLOP a patch | activations | crops/s | "
        "paper's steps |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for patch in [int(each) for each in sys.argv[1:]] or [96, 192]:
        for stage, cost in _stages(patch).items():
            steps = PRETRAIN_STEPS if stage == "pretrain" else GAN_STEPS
            for batch in (16, 128):
                step_s = cost.step_s(batch)
                gflops = (cost.flops + cost.tf32_flops) / 1e9
                print(
                    f"| {stage} | {patch} | {batch} | {cost.operations} | {gflops:.1f} | "
                    f"{batch * cost.kept_bytes / 1e9:.1f} GB | {batch / step_s:,.0f} | "
                    f"{steps * step_s / 3600:.1f} h |"
                )


def _stages(patch: int) -> dict[str, Cost]:
    """Count both stages of the paper's SRGAN-VGG54."""
    lr, hr = torch.rand(2, 3, patch // 4, patch // 4), torch.rand(2, 3, patch, patch)
    vgg = FeatureExtractor("vgg19", ["vgg54"])
    g = _count(build_generator(GeneratorConfig()).train(), lr)
    d = _count(build_discriminator(DiscriminatorConfig(), patch).train(), hr)
    v = _count(lambda images: vgg(images)[0], hr)
    shared = {"generator": GeneratorConfig(), "steps": 1, "batch_size": 2, "patch_size": patch}
    content = FeatureContentConfig(
        network="vgg19", layer="vgg54", feature_scale=FEATURE_SCALE["vgg19"], weights="00000000"
    )
    gan = AdversarialConfig.model_validate({**shared, "precision": "bf16", "content": content})
    # Backward through weights and images costs twice the forward pass, through images alone once.
    # The discriminator's update ends before the generator's begins.
    return {
        "pretrain": Cost(
            3 * g.flops,
            g.kept_bytes,
            operations_of(PretrainConfig.model_validate({**shared, "precision": "bf16"})).total(),
        ),
        "adversarial": Cost(
            3 * g.flops + 8 * d.flops,
            g.kept_bytes + max(2 * d.kept_bytes, d.kept_bytes + 2 * v.kept_bytes),
            operations_of(gan, drawn_vgg()).total(),
            tf32_flops=3 * v.flops,
        ),
    }


def operations_of(
    config: PretrainConfig | AdversarialConfig, perceptual: bytes | None = None
) -> Counter[str]:
    """Count the operations of one training step by name, views left out.

    A GPU launches a kernel or a few for each. Counted on the CPU, in the second step: the first one
    also makes the optimiser's tensors.
    """
    stage = build_stage(config, device=torch.device("cpu"), initial=None, perceptual=perceptual)
    shape = (config.batch_size, 3, stage.window, stage.window)
    windows = torch.randint(0, 256, shape, dtype=torch.uint8)
    stage.step(windows, 0)
    operations = _Operations()
    with operations:
        stage.step(windows, 0)
    return operations.found


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Counts operations that are not views, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own
        if not func.is_view:
            self.found[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


class _Forward(NamedTuple):
    """One image's forward pass."""

    flops: float
    kept_bytes: float


def _count(network: Callable[[Tensor], Tensor], images: Tensor) -> _Forward:
    """Count arithmetic and the activations kept in bf16, for one image.

    The perceptual network computes in fp32, so `_stages` counts its activations twice.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.data_ptr()] = 2 * tensor.numel()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        network(images.requires_grad_())
    num_images = len(images)
    return _Forward(counter.get_total_flops() / num_images, sum(kept.values()) / num_images)


if __name__ == "__main__":
    main()
