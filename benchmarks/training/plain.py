"""A straightforward training script: eager, fp32, NCHW, layers of torch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from srgan.config import AdversarialConfig, PretrainConfig
from srgan.losses import adversarial_loss, discriminator_loss
from srgan.models.build import build_discriminator, build_generator
from srgan.models.srresnet import SharedPReLU


def plain_generator(config: PretrainConfig | AdversarialConfig) -> nn.Module:
    """Build the generator with torch's PReLU."""
    generator = build_generator(config.generator).train()
    for module in list(generator.modules()):
        for name, child in module.named_children():
            if isinstance(child, SharedPReLU):
                setattr(module, name, nn.PReLU())
    return generator


class PlainPretrain:
    """SRResNet on MSE."""

    def __init__(self, config: PretrainConfig) -> None:
        self.generator = plain_generator(config)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=1e-4)
        self.loss = nn.MSELoss()

    def step(self, lr: Tensor, hr: Tensor) -> None:
        """Forward, backward, Adam."""
        self.optimizer.zero_grad()
        self.loss(self.generator(lr), hr).backward()
        self.optimizer.step()


class PlainAdversarial:
    """SRGAN: first the discriminator on real and generated images, then the generator."""

    def __init__(
        self, config: AdversarialConfig, content: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self.generator = plain_generator(config)
        self.discriminator = build_discriminator(config.discriminator, config.patch_size).train()
        self.of_generator = torch.optim.Adam(self.generator.parameters(), lr=1e-4)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), lr=1e-4)
        self.content = content

    def step(self, lr: Tensor, hr: Tensor) -> None:
        """Run both updates; the generator computes its images once."""
        sr = self.generator(lr)
        self.of_discriminator.zero_grad()
        loss = discriminator_loss(self.discriminator(hr), self.discriminator(sr.detach()))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        self.of_discriminator.step()
        self.of_generator.zero_grad()
        loss = self.content(sr, hr) + 1e-3 * adversarial_loss(self.discriminator(sr))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        self.of_generator.step()
