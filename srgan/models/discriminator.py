"""The discriminator of the paper (section 2.1, figure 4)."""

from torch import Tensor, nn

from srgan.config import DiscriminatorConfig

_WIDTHS = (1, 1, 2, 2, 4, 4, 8, 8)
"""Multiples of `num_channels`; every second convolution halves the sides, without pooling."""
_SMALLEST_ALONE = 16
"""Side of a patch that four halvings reduce to one pixel."""


class Discriminator(nn.Module):
    """HR or SR float (N, 3, P, P), nominally [−1, 1] → logits float32 (N,): real is positive.

    Eight 3×3 convolutions with LeakyReLU 0.2, batch norm after all but the first, then two dense
    layers. The losses apply the paper's sigmoid, because only on logits are they numerically safe.

    The first dense layer sees every position, so a network fits one patch size P, which may be any:
    its input is the ⌈P/16⌉² positions that four halvings leave. The paper's P = 96 leaves 6×6. Use
    ``broadcast_buffers=False`` under DistributedDataParallel: a step calls this network several
    times, and broadcasting the running statistics in between would overwrite tensors that the
    backward pass still needs.
    """

    def __init__(self, config: DiscriminatorConfig, patch_size: int) -> None:
        super().__init__()
        if patch_size < 1:
            raise ValueError(f"patch_size must be positive, got {patch_size}")
        self.patch_size = patch_size
        layers: list[nn.Module] = []
        before, side = 3, patch_size
        for index, multiple in enumerate(_WIDTHS):
            channels, stride = config.num_channels * multiple, 1 + index % 2
            first = index == 0
            layers.append(nn.Conv2d(before, channels, 3, stride, padding=1, bias=first))
            if not first:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            before, side = channels, -(-side // stride)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(before * side**2, config.dense_size),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(config.dense_size, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        expected = (3, self.patch_size, self.patch_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"this discriminator was built for patches (N, {', '.join(map(str, expected))}), "
                f"got shape {tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ValueError(f"expected patches as floats in [−1, 1], got {images.dtype}")
        if self.training and len(images) == 1 and self.patch_size <= _SMALLEST_ALONE:
            raise ValueError(
                f"one patch of {self.patch_size} pixels a side leaves batch norm a single value "
                f"per channel; take two patches, or more than {_SMALLEST_ALONE} pixels a side"
            )
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits.squeeze(1).float()
