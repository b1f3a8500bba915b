"""The first stage: SRResNet on a content loss (section 3.2)."""

import torch
from torch import Tensor

from srgan.config import PretrainConfig
from srgan.train.content import build_content_loss
from srgan.train.step import Stage


class Pretrain(Stage):
    """A generator without an opponent."""

    def __init__(
        self,
        config: PretrainConfig,
        *,
        device: torch.device,
        initial: bytes | None,
        perceptual: bytes | None,
    ) -> None:
        super().__init__(config, device=device, initial=initial)
        self._content = build_content_loss(config, device=device, perceptual=perceptual)

    def _learn(self, lr: Tensor, hr: Tensor, step: int) -> dict[str, Tensor]:
        update = self.updates["generator"]
        with self._autocast():
            sr = self._generate(lr)
        loss = self._content(sr.float(), hr)
        outcome = update.step(self._weight * loss, self.learning_rate(step))
        update.finish(outcome.skipped)
        if self.ema:
            self.ema.update(self.generator, outcome.skipped)
        return {
            "loss": loss.detach(),
            "gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }

    def _pass_gradients(self) -> None:
        lr, _ = self._blank()
        with self._autocast():
            sr = self._generate(lr)
        sr.sum().backward()
