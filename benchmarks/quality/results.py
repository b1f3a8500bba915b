"""Figures of every method, measured once for each generator file and kept next to it."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.quality.ablations import WHOLE, Without
from benchmarks.quality.contestants import Contestant, Given
from benchmarks.quality.judges import Panel
from benchmarks.quality.measuring import Row, Sets, mean_figures, mean_psnr, measure, method
from benchmarks.quality.photos import SCALE, Pair
from benchmarks.quality.training import CURVE, GENERATOR, RAW, Lab
from srgan.inference.ensemble import SelfEnsemble
from srgan.models.base import Generator
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Bicubic, Nearest
from srgan.refs import digest

logger = logging.getLogger(__name__)

BASELINES = {"nearest": Nearest, "bicubic": Bicubic}
_FIGURES = "figures.json"
_WITHOUT_EMA = "the average of weights (EMA)"


@dataclass(frozen=True)
class Training:
    """Values for a trained network's table row and curve."""

    contestant: Contestant
    row: Row
    num_parameters: int
    curve: list[tuple[float, float]]
    """Minutes of training on this machine, PSNR in dB on the held-out photos; of the first seed."""
    step_s: float
    """Median seconds per step, measured separately."""
    judged: list[float]
    """D(real) and D(fake) at the end of the first seed's GAN; empty for other trainings."""

    @property
    def minutes(self) -> float:
        return self.contestant.stage.steps * self.step_s / 60


@dataclass(frozen=True)
class Ablation:
    """PSNR in dB on the held-out photos without one choice of the fast recipe, one per seed."""

    without: str
    steps: int
    scores: list[float]


@dataclass(frozen=True)
class GanAblation:
    """Figures on the held-out photos without one choice of the GAN stage, one per seed."""

    without: str
    steps: int
    figures: list[dict[str, float]]
    judged: list[list[float]]
    """D(real) and D(fake) at the end."""


class Measurements:
    """Figures of generators on the evaluation sets by every judge, kept in the lab's folder."""

    def __init__(self, lab: Lab, sets: Mapping[str, Sequence[Pair]], panel: Panel) -> None:
        self._lab = lab
        self._sets = sets
        self._panel = panel

    def baselines(self) -> list[Row]:
        """Measure nearest and bicubic."""
        out = self._lab.out
        return [
            Row(name, [self._kept(out / f"{name}-{_FIGURES}", name, partial(build, SCALE))])
            for name, build in BASELINES.items()
        ]

    def given(self, one: Given) -> Row:
        """Measure a generator that was trained elsewhere."""
        return Row(one.title, [self._measured(one)], one.teachers)

    def ensemble(self, contestant: Contestant) -> Row:
        """Measure the self-ensemble of a trained network: eight turned images."""
        data = self._lab.generator(contestant)
        path = self._lab.folder(contestant) / f"ensemble-{_FIGURES}"
        figures = self._kept(path, _sha256(data), lambda: SelfEnsemble(load_generator(data)))
        return Row(f"{contestant.title}, self-ensemble", [figures], contestant.teachers)

    def training(self, seeds: Sequence[Contestant], step_s: float) -> Training:
        """Measure the finished trainings of one network."""
        first = seeds[0]
        generator = load_generator(self._lab.generator(first))
        journal = json.loads((self._lab.folder(first) / CURVE).read_text())
        return Training(
            contestant=first,
            row=Row(first.title, [self._measured(each) for each in seeds], first.teachers),
            num_parameters=sum(p.numel() for p in generator.parameters()),
            curve=[(entry["step"] * step_s / 60, entry["psnr"]) for entry in journal["curve"]],
            step_s=step_s,
            judged=journal["judged"],
        )

    def _measured(self, one: Contestant | Given) -> Sets:
        data = self._lab.generator(one)
        path = self._lab.folder(one) / _FIGURES
        return self._kept(path, _sha256(data), lambda: load_generator(data))

    def _kept(self, path: Path, generator: str, build: Callable[[], Generator]) -> Sets:
        """Measure once: the figures of the same generator, judges and sets are read."""
        images = {name: [pair.name for pair in pairs] for name, pairs in self._sets.items()}
        inputs = digest([generator, self._panel.digest, images])
        found = json.loads(path.read_text()) if path.exists() else {}
        if found.get("inputs") != inputs:
            logger.info("measuring for %s", path)
            upscale = method(build())
            figures = {
                name: measure(upscale, pairs, self._panel.distances)
                for name, pairs in self._sets.items()
            }
            found = {"inputs": inputs, "figures": figures}
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(found, indent=1))
        kept: Sets = found["figures"]
        return kept


def read_ablations(lab: Lab, groups: Sequence[Without]) -> list[Ablation]:
    """Read the scores of every ablation; runs of the whole recipe also give those without EMA."""
    found = []
    for each in groups:
        folders = [lab.folder(one) for one in each.contestants]
        steps = each.contestants[0].stage.steps
        found.append(Ablation(each.choice, steps, [_last_psnr(folder) for folder in folders]))
        if each.choice == WHOLE:
            raw = [mean_psnr(_generator(folder / RAW), lab.watched) for folder in folders]
            found.append(Ablation(_WITHOUT_EMA, steps, raw))
    return found


def read_gan_ablations(lab: Lab, groups: Sequence[Without], panel: Panel) -> list[GanAblation]:
    """Measure the ablations of the GAN stage, where PSNR alone would say little."""

    def measured(choice: str, contestants: list[Contestant], file: str) -> GanAblation:
        figures = []
        for each in contestants:
            upscale = method(_generator(lab.folder(each) / file))
            images = measure(upscale, lab.watched, panel.distances)
            figures.append(mean_figures(images.values()))
        judged = [json.loads((lab.folder(c) / CURVE).read_text())["judged"] for c in contestants]
        return GanAblation(choice, contestants[0].stage.steps, figures, judged)

    found = []
    for each in groups:
        found.append(measured(each.choice, each.contestants, GENERATOR))
        if each.choice == WHOLE:
            found.append(measured(_WITHOUT_EMA, each.contestants, RAW))
    return found


def _last_psnr(folder: Path) -> float:
    return float(json.loads((folder / CURVE).read_text())["curve"][-1]["psnr"])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _generator(path: Path) -> Generator:
    return load_generator(path.read_bytes())
