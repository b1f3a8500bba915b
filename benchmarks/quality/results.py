"""Figures of every method, measured once for each generator file and kept next to it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.quality.contestants import WHOLE, Contestant
from benchmarks.quality.measuring import Figures, mean_figures, mean_psnr, measure, method
from benchmarks.quality.photos import SCALE, Pair
from benchmarks.quality.training import CURVE, GENERATOR, RAW, Lab
from srgan.inference.ensemble import SelfEnsemble
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Bicubic, Nearest

BASELINES = {"nearest": Nearest, "bicubic": Bicubic}
_FIGURES = "figures.json"
_WITHOUT_EMA = "the average of weights (EMA)"


@dataclass(frozen=True)
class Training:
    """Values for a trained network's table row and curve."""

    contestant: Contestant
    num_parameters: int
    seeds: dict[str, list[Figures]]
    """By evaluation set: one for each seed."""
    curve: list[tuple[float, float]]
    """Minutes of training on this machine, PSNR in dB on the held-out photos; of the first seed."""
    step_s: float
    """Median seconds per step, measured separately."""
    judged: list[float]
    """D(real) and D(fake) at the end of the first seed's GAN; empty for other trainings."""

    @property
    def minutes(self) -> float:
        return self.contestant.stage.steps * self.step_s / 60

    @property
    def figures(self) -> dict[str, Figures]:
        """Means over the seeds by evaluation set."""
        return {name: mean_figures(each) for name, each in self.seeds.items()}


@dataclass(frozen=True)
class Ablation:
    """PSNR in dB on the held-out photos without one choice of the fast recipe, one per seed."""

    without: str
    scores: list[float]


@dataclass(frozen=True)
class GanAblation:
    """Figures on the held-out photos without one choice of the GAN stage, one per seed."""

    without: str
    distances: list[float]
    psnrs: list[float]
    judged: list[list[float]]
    """D(real) and D(fake) at the end."""


def measure_baselines(
    sets: Mapping[str, list[Pair]], distance: PerceptualDistance
) -> dict[str, dict[str, Figures]]:
    """Measure nearest and bicubic; return figures by name and set."""
    return {
        name: {each: measure(method(build(SCALE)), pairs, distance) for each, pairs in sets.items()}
        for name, build in BASELINES.items()
    }


def measure_ensemble(
    lab: Lab, contestant: Contestant, sets: Mapping[str, list[Pair]], distance: PerceptualDistance
) -> dict[str, Figures]:
    """Measure the self-ensemble of a trained network: eight turned images; figures by set."""
    upscale = method(SelfEnsemble(_generator(lab.folder(contestant) / GENERATOR)))
    return {name: measure(upscale, pairs, distance) for name, pairs in sets.items()}


def read_training(
    lab: Lab,
    seeds: list[Contestant],
    sets: Mapping[str, list[Pair]],
    distance: PerceptualDistance,
    step_s: float,
) -> Training:
    """Measure the finished trainings of one network, or read the figures of the same files."""
    measured = [_measured(lab.folder(each), sets, distance) for each in seeds]
    folder = lab.folder(seeds[0])
    journal = json.loads((folder / CURVE).read_text())
    return Training(
        contestant=seeds[0],
        num_parameters=sum(p.numel() for p in _generator(folder / GENERATOR).parameters()),
        seeds={name: [each[name] for each in measured] for name in sets},
        curve=[(entry["step"] * step_s / 60, entry["psnr"]) for entry in journal["curve"]],
        step_s=step_s,
        judged=journal["judged"],
    )


def _measured(
    folder: Path, sets: Mapping[str, list[Pair]], distance: PerceptualDistance
) -> dict[str, Figures]:
    """Measure a generator once; its figures are kept next to it."""
    data = (folder / GENERATOR).read_bytes()
    kept = folder / _FIGURES
    digest = hashlib.sha256(data).hexdigest()
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("generator") != digest:
        upscale = method(load_generator(data))
        figures = {name: asdict(measure(upscale, p, distance)) for name, p in sets.items()}
        found = {"generator": digest, "figures": figures}
        kept.write_text(json.dumps(found, indent=1))
    return {name: Figures(**values) for name, values in found["figures"].items()}


def read_ablations(lab: Lab, groups: list[tuple[str, list[Contestant]]]) -> list[Ablation]:
    """Read the scores of every ablation; runs of the whole recipe also give those without EMA."""
    found = []
    for without, contestants in groups:
        folders = [lab.folder(each) for each in contestants]
        found.append(Ablation(without, [_last_psnr(folder) for folder in folders]))
        if without == WHOLE:
            raw = [mean_psnr(_generator(folder / RAW), lab.watched) for folder in folders]
            found.append(Ablation(_WITHOUT_EMA, raw))
    return found


def read_gan_ablations(
    lab: Lab, groups: list[tuple[str, list[Contestant]]], distance: PerceptualDistance
) -> list[GanAblation]:
    """Measure the ablations of the GAN stage, where PSNR alone would say little."""

    def measured(without: str, contestants: list[Contestant], file: str) -> GanAblation:
        figures = [
            measure(method(_generator(lab.folder(each) / file)), lab.watched, distance)
            for each in contestants
        ]
        judged = [json.loads((lab.folder(c) / CURVE).read_text())["judged"] for c in contestants]
        return GanAblation(
            without, [f.distance for f in figures], [f.psnr for f in figures], judged
        )

    found = []
    for without, contestants in groups:
        found.append(measured(without, contestants, GENERATOR))
        if without == WHOLE:
            found.append(measured(_WITHOUT_EMA, contestants, RAW))
    return found


def _last_psnr(folder: Path) -> float:
    return float(json.loads((folder / CURVE).read_text())["curve"][-1]["psnr"])


def _generator(path: Path) -> Generator:
    return load_generator(path.read_bytes())
