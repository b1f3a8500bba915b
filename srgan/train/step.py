"""A training stage: networks, optimisers, learning-rate schedule, steps, parts of checkpoints."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from srgan.config import AdversarialConfig, LearningRate, PretrainConfig
from srgan.data.dataset import share_of, shares_of
from srgan.degradation import build_degradation
from srgan.errors import CheckpointError, ConfigError
from srgan.models.base import Generator
from srgan.models.build import build_generator
from srgan.models.interchange import dump_generator, load_generator
from srgan.precision import autocast
from srgan.resize.tensors import Degradation
from srgan.train import ranks
from srgan.train.batches import Pairs
from srgan.train.update import Ema, Update

Network = TypeVar("Network", bound=nn.Module)

_OPTIMISERS = "optimisers"


class Stage(ABC):
    """Everything that one step changes; the checkpoint is a copy of it.

    `initial` is a generator file (`models.interchange`) to start from; None starts from random
    weights of `config.seed`. A generator of another architecture is a `CheckpointError`.
    """

    def __init__(
        self,
        config: PretrainConfig | AdversarialConfig,
        *,
        device: torch.device,
        initial: bytes | None,
    ) -> None:
        self.config = config
        self.device = device
        self.rate = 1.0
        """Factor on the learning rate, lowered when the stage goes back."""
        torch.manual_seed(config.seed)
        check_device(config, device.type)
        generator = build_generator(config.generator)
        if initial is not None:
            copy_generator(initial, generator)
        self.generator = generator = self._place(generator)
        scale = config.generator.scale
        self.degradation = build_degradation(scale, config.degradation, seed=config.seed).to(device)
        self.ema = Ema(generator, config.ema_decay) if config.ema_decay is not None else None
        self.updates = {
            "generator": Update(
                generator, config.gradient_clip, config.optimizer, scaled=self._scaled
            )
        }
        self._compute = self._compiled(generator)
        self._generate = ranks.share_gradients(self._compute)
        self._share = share_of(config.batch_size, ranks.rank(), ranks.num_ranks())
        self._first = shares_of(
            config.batch_size, config.num_pairs, ranks.rank(), ranks.num_ranks()
        )[1].start
        """Place of this rank's first window among those of the global batch."""
        self._weight = len(self._share) * ranks.num_ranks() / config.batch_size
        """Weight of this rank's losses: gradients are averaged over ranks, whose shares differ in
        size if an elastic stage goes on with a number of workers that does not divide the batch."""

    @property
    def result(self) -> Generator:
        """The generator that validation, evaluation and upscaling use: the average if any."""
        return self.ema.generator if self.ema else self.generator

    @property
    def window(self) -> int:
        """Side of the HR windows that a step takes: the patch and its margin on both sides."""
        return self.config.patch_size + 2 * self.degradation.margin

    def networks(self) -> dict[str, nn.Module]:
        """Networks by the name of their part in a checkpoint."""
        average: dict[str, nn.Module] = {"ema": self.ema.generator} if self.ema else {}
        return {"generator": self.generator, **average}

    def learning_rate(self, step: int) -> float:
        """Learning rate of the generator at `step`."""
        return self.rate * learning_rate_at(self.config.learning_rate, step, self.config.steps)

    def step(self, windows: Tensor, step: int, pairs: Pairs | None = None) -> dict[str, Tensor]:
        """One step on this rank's uint8 windows (N, 3, window, window) and pairs.

        Returns scalars that stay on the device (reading one would wait for it); ``skipped`` is
        1.0 if nothing was changed because gradients were not finite.
        """
        for update in self.updates.values():
            update.begin()
        lr, hr = self._images(windows, step, pairs)
        with timed_kernels(self.device):
            return self._learn(lr, hr, step)

    @abstractmethod
    def _learn(self, lr: Tensor, hr: Tensor, step: int) -> dict[str, Tensor]:
        """The part of a `step` that follows when its images are made."""

    def _images(
        self, windows: Tensor, step: int, pairs: Pairs | None = None
    ) -> tuple[Tensor, Tensor]:
        """LR in [0, 1] and HR in [−1, 1], channels last; pairs come first."""
        found = [] if pairs is None else [(pairs.lr.float() / 255, pairs.hr.float() / 127.5 - 1)]
        if len(windows) and isinstance(self.degradation, Degradation):
            found.append(self.degradation(windows))
        elif len(windows):
            found.append(self.degradation(windows, step=step, first=self._first))
        lr, hr = found[0]
        if len(found) > 1:  # else there is nothing to join, and a copy would cost
            lr, hr = (torch.cat(images) for images in zip(*found, strict=True))
        return (
            lr.contiguous(memory_format=torch.channels_last),
            hr.contiguous(memory_format=torch.channels_last),
        )

    @property
    def _scaled(self) -> bool:
        return self.config.precision == "fp16"

    def _autocast(self) -> torch.autocast:
        return autocast(self.device, self.config.precision)

    def settle_buckets(self) -> None:
        """Make DDP share gradients in their final buckets from the first step on.

        DDP learns a static graph in the first backward pass of a process and rearranges its
        buckets after the second. With three or more ranks that changes the order of sums, so a
        resumed run would differ from one that was never interrupted. Two passes that leave
        nothing behind get this over with. They compute as a step does, because otherwise they
        would take more memory, and further graphs in a compiled stage.
        """
        if not ranks.sums_depend_on_buckets():
            return
        for update in self.updates.values():
            update.begin()
        for _ in range(2):
            self._pass_gradients()
        for update in self.updates.values():
            update.finish(torch.ones((), device=self.device))

    @abstractmethod
    def _pass_gradients(self) -> None:
        """One backward pass through everything that shares gradients."""

    def _blank(self) -> tuple[Tensor, Tensor]:
        """LR and HR images of this rank's share of a batch, all zero, channels last."""
        side, scale = self.config.patch_size, self.config.generator.scale
        lr, hr = (
            torch.zeros(len(self._share), 3, length, length, device=self.device).contiguous(
                memory_format=torch.channels_last
            )
            for length in (side // scale, side)
        )
        return lr, hr

    def _compiled(self, network: nn.Module) -> nn.Module:
        """The network as steps compute it: compiled for their one size if the config says so.

        `network` itself stays as it is, because validations give it images of other sizes: each
        would be compiled, or, worse, a slower graph for any size. Before DDP wraps it: gradients
        are then shared once the whole backward pass is done.
        """
        if not self.config.compile:
            return network
        return cast(nn.Module, torch.compile(network, dynamic=False))

    def _place(self, network: Network) -> Network:
        if self.config.sync_batch_norm:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # torch's
        network.to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs
        return network.train()


@contextmanager
def timed_kernels(device: torch.device) -> Iterator[None]:
    """Let cuDNN time its algorithms for each new shape within this block, and take the fastest.

    Worth it where few shapes come again and again, as those of the networks in a step. Degradations
    and validations have others. The choice may differ from process to process.
    """
    switch = torch.backends.cudnn
    before = switch.benchmark
    switch.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        switch.benchmark = before


def check_device(config: PretrainConfig | AdversarialConfig, device_type: str) -> None:
    """Raise `ConfigError` for settings that a device (``cpu``, ``cuda``) does not support."""
    if config.sync_batch_norm and device_type != "cuda":
        raise ConfigError(
            f"{config.stage}.sync_batch_norm needs GPUs, and this stage trains on "
            f"{device_type}: leave it out, batch norm then normalises each worker's share"
        )


def copy_generator(data: bytes, generator: Generator) -> None:
    """Copy the weights of a generator file; another architecture is a `CheckpointError`."""
    loaded = load_generator(data)
    if loaded.config != generator.config:
        raise CheckpointError(
            f"the checkpoint holds a generator {loaded.config}, the stage trains "
            f"{generator.config}; start from a checkpoint of the same generator"
        )
    generator.load_state_dict(loaded.state_dict())


def learning_rate_at(config: LearningRate, step: int, steps: int) -> float:
    """Learning rate of step `step` (counted from 0) in a stage of `steps`.

    A linear warm-up to `peak`, then constant, a tenth from half of the stage on (section 3.2), or
    half a cosine down to zero.
    """
    if step < config.warmup_steps:
        return config.peak * (step + 1) / config.warmup_steps
    if config.decay == "tenth_at_half":
        return config.peak if 2 * step < steps else config.peak / 10
    if config.decay == "cosine":
        share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
        return config.peak * 0.5 * (1 + math.cos(math.pi * share))
    return config.peak


def dump_stage(stage: Stage) -> dict[str, bytes]:
    """Parts ``generator``, ``ema`` and ``discriminator`` if the stage has them, ``optimisers``.

    Waits for the device, because the copy must be of one moment.
    """
    parts: dict[str, bytes] = {}
    for name, network in stage.networks().items():
        if isinstance(network, Generator):
            parts[name] = dump_generator(network)
        else:
            tensors = network.state_dict().items()
            parts[name] = save({key: value.cpu().contiguous() for key, value in tensors})
    rest: dict[str, Any] = {name: update.state() for name, update in stage.updates.items()}
    if stage.ema:
        rest["ema_updates"] = stage.ema.num_updates
    buffer = BytesIO()
    torch.save(rest, buffer)
    parts[_OPTIMISERS] = buffer.getvalue()
    return parts


def load_stage(stage: Stage, parts: dict[str, bytes]) -> None:
    """Put a stage into the state that `dump_stage` saw; `CheckpointError` names the part."""
    expected = {*stage.networks(), _OPTIMISERS}
    if parts.keys() != expected:
        raise CheckpointError(f"checkpoint has parts {sorted(parts)}, needed: {sorted(expected)}")
    for name, network in stage.networks().items():
        if isinstance(network, Generator):
            copy_generator(parts[name], network)
            continue
        try:
            network.load_state_dict(load(parts[name]))
        except (SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"part {name!r} does not fit its network: {error}") from error
    # Tensors and plain containers only: a checkpoint must not be able to run code.
    rest = torch.load(BytesIO(parts[_OPTIMISERS]), map_location=stage.device, weights_only=True)
    for name, update in stage.updates.items():
        update.load_state(rest[name])
    if stage.ema:
        stage.ema.num_updates.copy_(rest["ema_updates"])
