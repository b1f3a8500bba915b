"""The second stage: generator and discriminator against each other (sections 2.1 and 3.2)."""

import torch
from torch import Tensor, nn

from srgan.config import AdversarialConfig
from srgan.losses import adversarial_loss, discriminator_loss
from srgan.models.build import build_discriminator
from srgan.models.discriminator import Discriminator
from srgan.train import ranks
from srgan.train.content import build_content_loss
from srgan.train.step import Stage
from srgan.train.update import Update


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
        self,
        config: AdversarialConfig,
        *,
        device: torch.device,
        initial: bytes | None,
        perceptual: bytes | None,
    ) -> None:
        super().__init__(config, device=device, initial=initial)
        self.discriminator = self._place(
            build_discriminator(config.discriminator, config.patch_size)
        )
        self.updates["discriminator"] = Update(
            self.discriminator, config.gradient_clip, scaled=self._scaled
        )
        self._judge = ranks.share_gradients(_Judge(self._compiled(self.discriminator)))
        self._content = build_content_loss(config, device=device, perceptual=perceptual)

    def networks(self) -> dict[str, nn.Module]:
        return {**super().networks(), "discriminator": self.discriminator}

    def step(self, windows: Tensor, step: int) -> dict[str, Tensor]:
        for update in self.updates.values():
            update.begin()
        learning_rate = self.learning_rate(step)
        lr, hr = self._images(windows, step)
        with self._autocast():
            sr = self._generate(lr)
        sr = sr.float()
        judged = self._update_discriminator(hr, sr.detach(), learning_rate)
        generated = self._update_generator(hr, sr, learning_rate)
        skipped = torch.maximum(judged["skipped"], generated["skipped"])
        # Its running statistics also took in the images of the generator's update.
        self.updates["discriminator"].finish(skipped)
        self.updates["generator"].finish(generated["skipped"])
        if self.ema:
            self.ema.update(self.generator, generated["skipped"])
        return {**generated, **judged, "skipped": skipped}

    def _pass_gradients(self) -> None:
        lr, hr = self._blank()
        self._generate(lr).sum().backward()
        real, fake = self._judge(hr, hr)
        (real.sum() + fake.sum()).backward()

    def _update_discriminator(
        self, hr: Tensor, sr: Tensor, learning_rate: float
    ) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(True)
        with self._autocast():
            real, fake = self._judge(hr, sr)
        loss = discriminator_loss(real, fake)
        outcome = self.updates["discriminator"].step(self._weight * loss, learning_rate)
        return {
            "discriminator_loss": loss.detach(),
            "discriminator_real": real.detach().sigmoid().mean(),
            "discriminator_fake": fake.detach().sigmoid().mean(),
            "discriminator_gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }

    def _update_generator(self, hr: Tensor, sr: Tensor, learning_rate: float) -> dict[str, Tensor]:
        """Equation 3, judged by the discriminator after its own update."""
        # Frozen and without its DDP wrapper: its gradients come from its own loss only, and
        # are neither computed nor exchanged here.
        self.discriminator.requires_grad_(False)
        with self._autocast():
            logits = self.discriminator(sr)
        content = self._content(sr, hr)
        adversarial = adversarial_loss(logits)
        loss = content + self.config.adversarial_weight * adversarial
        outcome = self.updates["generator"].step(self._weight * loss, learning_rate)
        return {
            "loss": loss.detach(),
            "content_loss": content.detach(),
            "adversarial_loss": adversarial.detach(),
            "gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }
