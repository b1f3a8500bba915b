"""One training from its recipe to its generator file, resumable wherever it was stopped."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.quality.contestants import Contestant, Given
from benchmarks.quality.judges import Weights
from benchmarks.quality.measuring import mean_psnr
from benchmarks.quality.photos import Pair, open_training_crops
from srgan.data.dataset import Patches
from srgan.disk import write_atomically
from srgan.errors import ConfigError
from srgan.models.base import Generator
from srgan.models.interchange import dump_generator
from srgan.progress import StageProgress
from srgan.train.batches import Batches
from srgan.train.content import feature_content
from srgan.train.course import Course
from srgan.train.loop import run_steps
from srgan.train.run import build_stage
from srgan.train.step import Stage, dump_stage, load_stage
from srgan.train.validation import Measured, Validated

logger = logging.getLogger(__name__)

GENERATOR = "generator.safetensors"
RAW = "generator-without-ema.safetensors"
CURVE = "curve.json"
_STATE = "state"
_JUDGED = ("discriminator_real", "discriminator_fake")
"""Mean opinions of the discriminator on originals and on generated images, as probabilities."""
_CPU = torch.device("cpu")


@dataclass
class Lab:
    """Places of the inputs and results of trainings."""

    out: Path
    photos: list[Path]
    """Files of the training photos."""
    watched: list[Pair]
    """Held-out training photos, on which trainings are followed and choices are made."""
    weights: Weights
    """Weights files of perceptual networks that teach."""

    def folder(self, one: Contestant | Given) -> Path:
        return self.out / one.folder

    def is_trained(self, contestant: Contestant) -> bool:
        return (self.folder(contestant) / GENERATOR).exists()

    def generator(self, one: Contestant | Given) -> bytes:
        """Return the generator file; `ConfigError` if it is not trained yet."""
        if isinstance(one, Given):
            return one.data
        if not self.is_trained(one):
            raise ConfigError(
                f"{one.name} is not trained yet, and others start from it: add it to --only, or "
                "give another start by --start FILE"
            )
        return (self.folder(one) / GENERATOR).read_bytes()


def train(lab: Lab, contestant: Contestant) -> None:
    """Train to the end from where an earlier call stopped; a finished training stays as it is."""
    folder = lab.folder(contestant)
    if lab.is_trained(contestant):
        return
    config = contestant.stage
    content = feature_content(config)
    initial = lab.generator(contestant.start) if contestant.start else None
    perceptual = lab.weights[content.network] if content else None
    stage = build_stage(config, device=_CPU, initial=initial, perceptual=perceptual)
    folder.mkdir(parents=True, exist_ok=True)
    journal = _Journal(folder, contestant)
    step = journal.restore(stage)
    patches = Patches(
        open_training_crops(lab.photos, lab.out, contestant.data),
        batch_size=config.batch_size,
        window=stage.window,
        seed=config.seed,
        augment=config.augment,
        shuffle_colours=config.shuffle_colours,
    )
    with Batches(patches, _CPU) as batches:
        run_steps(
            stage,
            batches,
            _SetValidation(lab.watched),  # type: ignore[arg-type]  # on a set instead of crops
            start=step,
            validated=Validated(step, {}),
            course=None,  # every contestant trains to its end
            reporter=journal,
            keeper=journal,
            watch=_Unwatched(),  # type: ignore[arg-type]  # one rank on this machine
        )
    if stage.ema:
        _write(folder / RAW, dump_generator(stage.generator))
    _write(folder / GENERATOR, dump_generator(stage.result))


class _Unwatched:
    """Takes the place of the watch over stalled ranks."""

    def step(self, done: int) -> None:
        """Do nothing."""


class _SetValidation:
    """Takes the place of the stage's validation: measures mean PSNR on whole images of a set."""

    def __init__(self, pairs: list[Pair]) -> None:
        self._pairs = pairs

    def measure(self, generator: Generator) -> Measured:
        return Measured({"psnr": mean_psnr(generator, self._pairs)}, {})

    def pictures(self, generator: Generator) -> Iterator[tuple[str, bytes]]:
        return iter(())


class _Journal:
    """The curve of one training, and its state at each checkpoint."""

    def __init__(self, folder: Path, contestant: Contestant) -> None:
        self._folder = folder
        self._name = contestant.name
        self._curve: list[dict[str, float]] = []
        self._judged: list[float] = []

    def begin(self, step: int) -> None:
        """Do nothing."""

    def progress(self, progress: StageProgress) -> None:
        logger.info("%s: %s", self._name, progress.line())
        self._judged = [progress.losses[name] for name in _JUDGED if name in progress.losses]

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        self._curve.append({"step": step, **metrics})
        logger.info("%s: step %d, %.3f dB", self._name, step, metrics["psnr"])

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Do nothing: there are no pictures."""

    def note(self, step: int, text: str) -> None:
        """Do nothing: a stage without a course decides nothing."""

    def go_back(self, stage: Stage, course: Course) -> Validated:
        raise NotImplementedError("a stage without a course does not go back")

    def save(
        self,
        stage: Stage,
        step: int,
        validated: Validated,
        course: Course | None,
        *,
        final: bool,
    ) -> None:
        """Write the parts of this step, then the file that points to them."""
        parts = self._folder / f"{_STATE}-{step}"
        parts.mkdir(exist_ok=True)
        for name, data in dump_stage(stage).items():
            (parts / name).write_bytes(data)
        found = {"step": step, "curve": self._curve, "judged": self._judged}
        _write(self._folder / CURVE, json.dumps(found).encode())
        for old in self._folder.glob(f"{_STATE}-*"):
            if old != parts:
                for file in old.iterdir():
                    file.unlink()
                old.rmdir()

    def restore(self, stage: Stage) -> int:
        """Load the newest state into the stage; return the number of steps already done."""
        if not (self._folder / CURVE).exists():
            return 0
        found = json.loads((self._folder / CURVE).read_text())
        parts = self._folder / f"{_STATE}-{found['step']}"
        load_stage(stage, {path.name: path.read_bytes() for path in parts.iterdir()})
        self._curve, self._judged = found["curve"], found["judged"]
        logger.info("%s: resuming at step %d", self._name, found["step"])
        return int(found["step"])


def _write(path: Path, data: bytes) -> None:
    with write_atomically(path) as draft:
        draft.write_bytes(data)
