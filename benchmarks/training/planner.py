"""Calculate the time and memory of a training on GPUs, from operations and activations.

    python -m benchmarks.training.planner [PATCH ...]

Counts the cost of a patch in the paper's networks (nothing is timed) and multiplies. A step takes
as long as its operations at an assumed rate, or as the launches of its kernels, whichever is
longer. The output names the assumptions; replace them by measured rates when there are some.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from srgan.config import DiscriminatorConfig, GeneratorConfig
from srgan.models.build import build_discriminator, build_generator
from srgan.models.features import FeatureExtractor

GPU_FLOPS = 990e12  # bf16 tensor cores of an H100 SXM, dense, by its data sheet
TF32_FLOPS = 495e12  # by the same data sheet: torch computes convolutions of float32 in TF32
SHARE = 0.25  # of either rate: batches and convolutions are small
LAUNCH_S = 5e-6  # for one kernel; limits small batches
PRETRAIN_STEPS, GAN_STEPS, BATCH = 10**6, 2 * 10**5, 16


@dataclass(frozen=True)
class Cost:
    """Work for one patch; the kernels of a step, whose number does not depend on the batch."""

    flops: float
    kept_bytes: float
    kernels: float
    tf32_flops: float = 0.0
    """FLOP of the perceptual network, which computes in float32."""

    def step_s(self, batch: int) -> float:
        """Seconds of a step on one GPU."""
        patch_s = (self.flops / GPU_FLOPS + self.tf32_flops / TF32_FLOPS) / SHARE
        return max(batch * patch_s, self.kernels * LAUNCH_S)


def main() -> None:
    """Print a table of both stages for each patch size."""
    print(
        f"one H100, {SHARE:.0%} of {GPU_FLOPS / 1e12:.0f} TFLOP/s (VGG: of "
        f"{TF32_FLOPS / 1e12:.0f}), {LAUNCH_S * 1e6:.0f} µs a "
        "kernel; calculated, not measured\n\n"
        "| stage | patch | batch | GFLOP a patch | activations | crops/s | paper's steps |\n"
        "|---|---|---|---|---|---|---|"
    )
    for patch in [int(each) for each in sys.argv[1:]] or [96, 192]:
        for stage, cost in _stages(patch).items():
            steps = PRETRAIN_STEPS if stage == "pretrain" else GAN_STEPS
            for batch in (16, 128):
                step_s = cost.step_s(batch)
                print(
                    f"| {stage} | {patch} | {batch} | {(cost.flops + cost.tf32_flops) / 1e9:.1f} | "
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
    # Backward through weights and images costs twice the forward pass, through images alone once.
    # The discriminator's update ends before the generator's begins.
    return {
        "pretrain": Cost(3 * g.flops, g.kept_bytes, 3 * g.kernels),
        "adversarial": Cost(
            3 * g.flops + 8 * d.flops,
            g.kept_bytes + max(2 * d.kept_bytes, d.kept_bytes + 2 * v.kept_bytes),
            3 * g.kernels + 8 * d.kernels + 3 * v.kernels,
            tf32_flops=3 * v.flops,
        ),
    }


class _Kernels(TorchDispatchMode):
    """Counts operations that are not views."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # torch's own
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def _count(network: Callable[[Tensor], Tensor], images: Tensor) -> Cost:
    """Count a forward pass: operations, and activations kept in bf16, for one image.

    The perceptual network computes in fp32, so `_stages` counts its activations twice.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.data_ptr()] = 2 * tensor.numel()
        return tensor

    images = images.requires_grad_()
    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        network(images)
    with _Kernels() as kernels:
        network(images)
    num_images = len(images)
    return Cost(
        counter.get_total_flops() / num_images, sum(kept.values()) / num_images, kernels.count
    )


if __name__ == "__main__":
    main()
