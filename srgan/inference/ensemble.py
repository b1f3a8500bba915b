"""Geometric self-ensemble: one network's answers to the eight turns of an image, averaged."""

import torch
from torch import Tensor

from srgan.models.base import Generator


class SelfEnsemble(Generator):
    """Mean over the eight flips and quarter turns of the LR image, each turned back (EDSR, 2017).

    Eight times the work of `generator`, which it wraps and which stays the caller's to train; no
    weights of its own, so nothing to save.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.config = None
        self.scale = generator.scale
        # All of it is head: what the trunk sees must be turned as a whole.
        self.trunk_radius = 0
        self.head_radius = generator.radius
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
                # In the precision that the engine asks for, which `features` came in.
                sr = self.generator.head(self.generator.trunk(turned.to(features.dtype)), turned)
                sr = sr.flip(3) if flipped else sr
                sr = torch.rot90(sr, -turns, (2, 3))
                total = sr if total is None else total + sr
        assert total is not None
        return total / 8
