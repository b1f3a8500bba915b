"""The second stage: generator and discriminator against each other (sections 2.1 and 3.2)."""

import torch
from torch import Tensor, nn

from srgan.config import AdversarialConfig
from srgan.degradation.chance import Chance
from srgan.losses import adversarial_loss, discriminator_loss, grid_loss
from srgan.models.build import build_discriminator
from srgan.train import ranks
from srgan.train.content import build_content_loss
from srgan.train.step import Stage, learning_rate_at
from srgan.train.update import Update

_STRIDES = 16
"""Product of the discriminator's strides: an image moved by this looks the same to it."""
_SMALLEST = 1e-30
"""Keeps divisions finite; far below the square of any norm that matters."""


class _Judge(nn.Module):
    """Real and generated images in one call, so that gradients are shared once for both.

    Two batches, not one of both: batch norm must not mix their statistics.
    """

    def __init__(self, discriminator: nn.Module) -> None:
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
        self._discriminate = self._compiled(self.discriminator)
        self._judge = ranks.share_gradients(_Judge(self._discriminate))
        self._content = build_content_loss(config, device=device, perceptual=perceptual)

    def networks(self) -> dict[str, nn.Module]:
        return {**super().networks(), "discriminator": self.discriminator}

    def learning_rate(self, step: int) -> float:
        """Learning rate of the generator, whose schedule begins with its own first step.

        Before that, the discriminator's, which learns alone.
        """
        alone = self.config.discriminator_warmup
        if step < alone:
            return self._discriminators_rate(step)
        schedule = self.config.learning_rate
        return self.rate * learning_rate_at(schedule, step - alone, self.config.steps - alone)

    def _learn(self, lr: Tensor, hr: Tensor, step: int) -> dict[str, Tensor]:
        if step < self.config.discriminator_warmup:
            return self._warm_up(lr, hr, step)
        with self._autocast():
            sr = self._generate(lr)
        sr = sr.float()
        judged = self._update_discriminator(hr, sr.detach(), step)
        generated = self._update_generator(hr, sr, step)
        skipped = torch.maximum(judged["skipped"], generated["skipped"])
        # Its running statistics also took in the images of the generator's update.
        self.updates["discriminator"].finish(skipped)
        self.updates["generator"].finish(generated["skipped"])
        if self.ema:
            self.ema.update(self.generator, generated["skipped"])
        return {**generated, **judged, "skipped": skipped}

    def _pass_gradients(self) -> None:
        lr, hr = self._blank()
        with self._autocast():
            sr = self._generate(lr)
        sr.sum().backward()
        with self._autocast():
            real, fake = self._judge(hr, hr)
        (real.sum() + fake.sum()).backward()

    def _discriminators_rate(self, step: int) -> float:
        return super().learning_rate(step)

    def _update_discriminator(self, hr: Tensor, sr: Tensor, step: int) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(True)
        with self._autocast():
            real, fake = self._judge(self._shifted(hr, step), self._shifted(sr, step))
        loss = discriminator_loss(real, fake)
        rate = self._discriminators_rate(step)
        outcome = self.updates["discriminator"].step(self._weight * loss, rate)
        return {
            "discriminator_loss": loss.detach(),
            "discriminator_real": real.detach().sigmoid().mean(),
            "discriminator_fake": fake.detach().sigmoid().mean(),
            "discriminator_gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }

    def _warm_up(self, lr: Tensor, hr: Tensor, step: int) -> dict[str, Tensor]:
        """A step of the discriminator alone; the generator keeps weights and statistics."""
        # Not through DDP, which waits for a backward pass after each of its forward passes.
        with torch.no_grad(), self._autocast():
            sr = self._compute(lr).float()
        judged = self._update_discriminator(hr, sr, step)
        with torch.no_grad():
            with self._autocast():
                logits = self._discriminate(self._shifted(sr, step))
            content, adversarial = self._content_of(sr, hr), adversarial_loss(logits)
        self.updates["discriminator"].finish(judged["skipped"])
        self.updates["generator"].finish(torch.ones_like(content))
        nothing = torch.zeros_like(content)
        return {
            "loss": content,
            "content_loss": content,
            "adversarial_loss": adversarial,
            "adversarial_weight": nothing,
            "adversarial_share": nothing,
            "gradient_norm": nothing,
            **judged,
        }

    def _update_generator(self, hr: Tensor, sr: Tensor, step: int) -> dict[str, Tensor]:
        """Equation 3, judged by the discriminator after its own update.

        The two losses meet at the images: their gradients there are compared and added, and pass
        through the generator once.
        """
        # Frozen and without its DDP wrapper: its gradients come from its own loss only, and
        # are neither computed nor exchanged here.
        self.discriminator.requires_grad_(False)
        update = self.updates["generator"]
        images = sr.detach().requires_grad_(True)
        with self._autocast():
            logits = self._discriminate(self._shifted(images, step))
        content, adversarial = self._content_of(images, hr), adversarial_loss(logits)
        of_content = update.gradient(content, images)
        of_adversarial = update.gradient(adversarial, images)
        weight, share = self._balance(of_content, of_adversarial)
        gradient = of_content + weight * of_adversarial
        # Its derivative by `sr` is `gradient`.
        outcome = update.step(self._weight * (sr * gradient).sum(), self.learning_rate(step))
        return {
            "loss": (content + weight * adversarial).detach(),
            "content_loss": content.detach(),
            "adversarial_loss": adversarial.detach(),
            "adversarial_weight": weight,
            "adversarial_share": share,
            "gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }

    def _shifted(self, images: Tensor, step: int) -> Tensor:
        """Images (N, 3, P, P) as the discriminator sees them in this step.

        All ranks roll by the same numbers of pixels, so their number changes nothing.
        """
        if not self.config.discriminator_shift:
            return images
        # The batch's places draw their degradations; this is the place after the last.
        chance = Chance(self.config.seed, step, self.config.batch_size)
        down, right = (chance.whole(0, _STRIDES - 1) for _ in range(2))
        return images.roll((down, right), dims=(2, 3))

    def _content_of(self, sr: Tensor, hr: Tensor) -> Tensor:
        content = self._content(sr, hr)
        if self.config.grid_weight:
            scale = self.config.generator.scale
            content = content + self.config.grid_weight * grid_loss(sr, hr, scale)
        return content

    def _balance(self, of_content: Tensor, of_adversarial: Tensor) -> tuple[Tensor, Tensor]:
        """Weight of the adversarial loss, and the share of its gradient in the content's.

        The ratio of the two gradients' norms at the images of this rank; with a wished share at
        those of all ranks, because all must use the same weight.
        """
        config = self.config
        squares = torch.stack([of_content.square().sum(), of_adversarial.square().sum()])
        if config.adversarial_share is not None:
            squares = ranks.sum_over_ranks(squares)
        # Without a content gradient the share has no meaning, and is very large.
        ratio = (squares[1] / squares[0].clamp(min=_SMALLEST)).sqrt()
        weight = torch.full_like(ratio, config.largest_weight)
        if config.adversarial_share is not None:
            weight = torch.minimum(weight, config.adversarial_share / ratio.clamp(min=_SMALLEST))
        return weight, weight * ratio
