"""Geometric self-ensemble: average a network's results for the eight turns of an image."""

import torch
from torch import Tensor

from srgan.models.base import Generator


class SelfEnsemble(Generator):
    """Mean over the eight flips and quarter turns of the LR image, each turned back (EDSR, 2017).

    Takes eight times the work of `generator`, which it wraps. Has no weights to save or train: the
    caller keeps those of `generator`.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.config = None
        self.scale = generator.scale
        # All of it is head, because the image must be turned as a whole before the trunk.
        self.trunk_radius = 0
        self.head_radius = generator.radius
        self.exact_only = generator.exact_only
        self.generator = generator

    def trunk(self, lr: Tensor) -> Tensor:
        return lr

    def head(self, features: Tensor, lr: Tensor) -> Tensor:
        total: Tensor | None = None
        for turns in range(4):
            for flipped in (False, True):
                turned = torch.rot90(lr, turns, (2, 3))
                turned = turned.flip(3) if flipped else turned
                turned = turned.contiguous(memory_format=torch.channels_last)
                # In the precision of `features`, which the engine chose.
                sr = self.generator.head(self.generator.trunk(turned.to(features.dtype)), turned)
                sr = sr.flip(3) if flipped else sr
                sr = torch.rot90(sr, -turns, (2, 3))
                total = sr if total is None else total + sr
        assert total is not None
        return total / 8
