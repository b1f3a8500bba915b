"""The second stage: generator and discriminator against each other (sections 2.1 and 3.2)."""

import torch
from torch import Tensor, nn

from srgan.config import AdversarialConfig
from srgan.losses import adversarial_loss, content_loss, discriminator_loss
from srgan.models.build import build_discriminator
from srgan.models.discriminator import Discriminator
from srgan.train import ranks
from srgan.train.step import Stage


class _Judge(nn.Module):
    """Real and generated images in one call, so that gradients are shared once for both.

    Two batches, not one of both: batch norm must not mix their statistics.
    """

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, hr: Tensor, sr: Tensor) -> tuple[Tensor, Tensor]:
        return self.discriminator(hr), self.discriminator(sr)


class Adversarial(Stage):
    """Alternating updates of equation 2; the generator computes its images once per step."""

    config: AdversarialConfig

    def __init__(
        self, config: AdversarialConfig, *, device: torch.device, initial: bytes | None
    ) -> None:
        super().__init__(config, device=device, initial=initial)
        self.discriminator = self._place(
            build_discriminator(config.discriminator, config.patch_size)
        )
        self.updates["discriminator"] = Update(self.discriminator, config.gradient_clip)
        self._judge = ranks.share_gradients(_Judge(self.discriminator))
        self._content = content_loss(config.content)

    def networks(self) -> dict[str, nn.Module]:
        return {**super().networks(), "discriminator": self.discriminator}

    def step(self, windows: Tensor, step: int) -> dict[str, Tensor]:
        for update in self.updates.values():
            update.begin()
        learning_rate = self.learning_rate(step)
        lr, hr = self._images(windows)
        with self._autocast():
            sr = self._generate(lr)
        sr = sr.float()
        judged = self._update_discriminator(hr, sr.detach(), learning_rate)
        generated = self._update_generator(hr, sr, learning_rate)
        skipped = torch.maximum(judged.pop("skipped"), generated.pop("skipped"))
        if self.ema:
            self.ema.update(self.generator, skipped)
        return {**generated, **judged, "skipped": skipped}
