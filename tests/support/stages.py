"""Small stages and batches that the tests of this folder share."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from srgan.config import (
    AdversarialConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LearningRate,
    PretrainConfig,
)
from srgan.models.base import Generator
from srgan.progress import StageProgress
from srgan.train.run import build_stage
from srgan.train.step import Stage
from srgan.train.validation import Measured, Validation

PLAIN = GeneratorConfig(kind="bicubic_resnet", scale=2, num_blocks=1, num_channels=4)
BATCH_NORM = GeneratorConfig(kind="srresnet", scale=2, num_blocks=1, num_channels=4)
CPU = torch.device("cpu")


def pretrain(generator: GeneratorConfig = PLAIN, **options: object) -> PretrainConfig:
    """A stage of seconds."""
    values: dict[str, object] = {
        "steps": 8,
        "batch_size": 4,
        "patch_size": 16,
        "learning_rate": LearningRate(peak=1e-3),
        "checkpoint_every": 2,
        "validate_every": 4,
        "log_every": 2,
    }
    return PretrainConfig.model_validate({"generator": generator, **values, **options})


def adversarial(generator: GeneratorConfig = PLAIN, **options: object) -> AdversarialConfig:
    """The same for the second stage."""
    shared = pretrain(generator).model_dump(exclude={"stage", "loss"})
    judge = DiscriminatorConfig(num_channels=2, dense_size=4)
    return AdversarialConfig.model_validate({**shared, "discriminator": judge, **options})


def start(config: PretrainConfig | AdversarialConfig, initial: bytes | None = None) -> Stage:
    """The stage on the CPU."""
    return build_stage(config, device=CPU, initial=initial)


def unguarded() -> Callable[[Validation, Generator], Measured]:
    """`Validation.measure`, which finds no fault: random weights make broken images anyway."""
    measure = Validation.measure
    return lambda validation, generator: measure(validation, generator)._replace(faults={})


def windows(stage: Stage, step: int = 0) -> Tensor:
    """The uint8 windows of one step, drawn from its number."""
    random = np.random.default_rng(step)
    shape = (stage.config.batch_size, 3, stage.window, stage.window)
    return torch.from_numpy(random.integers(0, 256, shape, dtype=np.uint8))


def everything(stage: Stage) -> dict[str, Tensor]:
    """Copies of all parameters, buffers and optimiser tensors by name."""
    found = {
        f"{part}.{name}": tensor
        for part, network in stage.networks().items()
        for name, tensor in network.state_dict().items()
    }
    if stage.ema:
        found["ema.num_updates"] = stage.ema.num_updates
    for part, update in stage.updates.items():
        state = update.state()
        for kind, moments in (("adam", state), ("muon", state.get("muon", {"state": {}}))):
            for number, of_one in moments["state"].items():
                found |= {f"{part}.{kind}.{number}.{name}": of_one[name] for name in of_one}
    return {name: tensor.clone() for name, tensor in found.items()}


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Names whose values are not equal to the bit."""
    names = sorted(one.keys() | other.keys())
    return [n for n in names if n not in one or n not in other or not torch.equal(one[n], other[n])]


class Notes:
    """A reporter that remembers, and can break off at a step like a killed process."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.begun_at: list[int] = []
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.validations: dict[int, dict[str, float]] = {}
        self.pictures: list[tuple[str, int]] = []
        self.notes: list[str] = []
        self._stop_at = stop_at

    def begin(self, step: int) -> None:
        self.begun_at.append(step)

    def progress(self, progress: StageProgress) -> None:
        self.steps.append(progress.step)
        self.rates.append(progress.learning_rate)
        if progress.step == self._stop_at:
            raise KeyboardInterrupt

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        self.validations[step] = metrics

    def picture(self, name: str, png: bytes, step: int) -> None:
        assert png.startswith(b"\x89PNG")
        self.pictures.append((name, step))

    def note(self, step: int, text: str) -> None:
        self.notes.append(text)
