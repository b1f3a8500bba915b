"""The first stage: SRResNet on a pixel loss (section 3.2)."""

import torch
from torch import Tensor

from srgan.config import PretrainConfig
from srgan.losses import pixel_loss
from srgan.train.step import Stage


class Pretrain(Stage):
    """A generator alone."""

    def __init__(
        self, config: PretrainConfig, *, device: torch.device, initial: bytes | None
    ) -> None:
        super().__init__(config, device=device, initial=initial)
        self._loss = config.loss

    def step(self, windows: Tensor, step: int) -> dict[str, Tensor]:
        update = self.updates["generator"]
        update.begin()
        lr, hr = self._images(windows)
        with self._autocast():
            sr = self._generate(lr)
        loss = pixel_loss(self._loss, sr.float(), hr)
        outcome = update.step(loss, self.learning_rate(step))
        update.finish(outcome.skipped)
        if self.ema:
            self.ema.update(self.generator, outcome.skipped)
        return {
            "loss": loss.detach(),
            "gradient_norm": outcome.gradient_norm,
            "skipped": outcome.skipped,
        }
