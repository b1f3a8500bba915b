"""Figures and pictures on a fixed choice of held-out crops, during training, and their judge."""

import hashlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srgan.config import AdversarialConfig, DegradationConfig, PretrainConfig
from srgan.config.networks import DISTANCES, JUDGES, MIN_SIDE, FeatureNetwork, deciding_judges
from srgan.data.dataset import Crops
from srgan.degradation import degrade_photo
from srgan.errors import CheckpointError
from srgan.images import strip
from srgan.measure.guards import NOT_FINITE, Artifacts, Fault, faults, measure_artifacts
from srgan.measure.metrics import psnr
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.base import Generator
from srgan.models.weights import find_judges, read_weights
from srgan.precision import ieee_fp32
from srgan.refs import CheckpointRef
from srgan.resize.arrays import imresize
from srgan.storage import ObjectStore
from srgan.train import ranks
from srgan.train.checkpoint import history_of
from srgan.train.content import feature_content
from srgan.train.course import Course

_NUM_CROPS = 32
_NUM_PICTURES = 3
_SEED_DIGITS = 16
_ARTIFACTS = tuple(Artifacts.model_fields)
_MAX_PSNR = 100.0  # a plain black crop comes out exact, and one infinity would spoil the mean

Image = NDArray[np.uint8]


class Validated(NamedTuple):
    """Figures of a validation, and its step."""

    step: int
    metrics: dict[str, float]


class Measured(NamedTuple):
    """Mean figures of a validation, and what the guards of the promotion gate found."""

    metrics: dict[str, float]
    faults: dict[str, Fault]
    """By the guard that a crop did not pass (`measure.guards.faults`)."""


class Validation:
    """Mean figures of a generator next to bicubic's (border = scale), shared by all ranks.

    The same evenly spread crops every time; measured in IEEE float32 whatever the training uses.
    Their LR images are made by `degradation`, drawn by the pixels of each crop. With `pairs`, a
    share of the crops is pairs.
    """

    def __init__(
        self,
        crops: Crops,
        scale: int,
        device: torch.device,
        judge: PerceptualDistance | None = None,
        *,
        degradation: DegradationConfig | None = None,
        pairs: Crops | None = None,
        pair_share: float = 0.0,
    ) -> None:
        self._scale = scale
        self._device = device
        num_pairs = round(pair_share * _NUM_CROPS)
        self._chosen = [] if pairs is None else _spread(pairs, num_pairs)
        self._chosen += _spread(crops, _NUM_CROPS - num_pairs)
        self._judge = judge
        self._degradation = degradation or DegradationConfig()
        self._pairs: dict[int, tuple[Image, Image]] = {}
        self._bicubic: dict[str, float] | None = None

    def measure(self, generator: Generator) -> Measured:
        """Metrics ``psnr`` in dB, the judge's distance, the same for bicubic as ``bicubic_…``, and
        the ``checkerboard`` in levels; and the faults.

        Every rank must call it and gets the same.
        """
        ranks.share_buffers(generator)
        if self._bicubic is None:
            of_bicubic = self._rows(None).mean(dim=0).tolist()
            self._bicubic = {
                f"bicubic_{name}": value
                for name, value in zip(self._figures, of_bicubic, strict=False)
            }
        rows = self._rows(generator)
        means = dict(zip([*self._figures, *_ARTIFACTS], rows.mean(dim=0).tolist(), strict=True))
        shown = [*self._figures, "checkerboard"]
        artifacts = [
            (
                crops.names[index],
                Artifacts.model_validate(dict(zip(_ARTIFACTS, row, strict=True))),
            )
            for (crops, index), row in zip(
                self._chosen, rows[:, len(self._figures) :].tolist(), strict=True
            )
        ]
        return Measured({name: means[name] for name in shown} | self._bicubic, faults(artifacts))

    def pictures(self, generator: Generator) -> Iterator[tuple[str, bytes]]:
        """Name and PNG (bicubic | generated | original) of the first few crops."""
        for place in range(min(_NUM_PICTURES, len(self._chosen))):
            hr, lr = self._pair(place)
            columns = [
                ("bicubic", imresize(lr, scale=self._scale)),
                ("generated", self._generate(generator, lr)[0]),
                ("original", hr),
            ]
            yield f"validation-{self._chosen[place][1]}", strip(columns)

    def _pair(self, place: int) -> tuple[Image, Image]:
        """HR and LR of a crop. They are kept: a damaged LR takes a tenth of a second to make, and
        the shard of the crop need not stay on the disk."""
        if place not in self._pairs:
            crops, index = self._chosen[place]
            hr = crops[index]
            # A copy of what a shard has, because torch warns of arrays that cannot be written to.
            lr = self._made(hr) if crops.scale is None else crops.lr(index).copy()
            self._pairs[place] = hr, lr
        return self._pairs[place]

    def _undamaged(self, hr: Image) -> Image:
        """Bicubic of an undamaged LR image: noise has contrast that a good output has not."""
        return imresize(imresize(hr, scale=1 / self._scale), scale=self._scale)

    def _made(self, hr: Image) -> Image:
        if self._degradation == DegradationConfig():
            return imresize(hr, scale=1 / self._scale)
        seed = int(hashlib.sha256(hr.tobytes()).hexdigest()[:_SEED_DIGITS], 16)
        return degrade_photo(hr, self._scale, self._degradation, seed=seed, place=0)

    @property
    def _figures(self) -> list[str]:
        return ["psnr", *([self._judge.name] if self._judge else [])]

    def _rows(self, generator: Generator | None) -> Tensor:
        """Figures and artifacts of each chosen crop, of all ranks; None stands for bicubic."""
        rows = torch.zeros(
            len(self._chosen), len(self._figures) + len(_ARTIFACTS), dtype=torch.float64
        )
        for place in range(ranks.rank(), len(self._chosen), ranks.num_ranks()):
            hr, lr = self._pair(place)
            bicubic = imresize(lr, scale=self._scale)
            sr, finite = self._generate(generator, lr) if generator else (bicubic, True)
            figures = [min(_MAX_PSNR, psnr(hr, sr, border=self._scale))]
            if self._judge:
                figures.append(self._judge(hr, sr, border=self._scale))
            artifacts = (
                measure_artifacts(hr, sr, self._undamaged(hr), scale=self._scale)
                if finite
                else NOT_FINITE
            )
            of_artifacts = [float(getattr(artifacts, name)) for name in _ARTIFACTS]
            rows[place] = torch.tensor([*figures, *of_artifacts], dtype=torch.float64)
        # Each rank has zeros in the rows of the others.
        return ranks.sum_over_ranks(rows.to(self._device)).cpu()

    @torch.inference_mode()
    @ieee_fp32()
    def _generate(self, generator: Generator, lr: Image) -> tuple[Image, bool]:
        """LR uint8 (h, w, 3) → SR uint8 (s·h, s·w, 3), and whether all values were finite."""
        pixels = torch.from_numpy(lr).to(self._device).permute(2, 0, 1)[None]
        was_training = generator.training
        generator.eval()
        sr = generator(pixels.float().contiguous(memory_format=torch.channels_last) / 255)
        generator.train(was_training)
        finite = bool(torch.isfinite(sr).all())
        levels = ((sr[0].nan_to_num() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return np.asarray(levels.permute(1, 2, 0).contiguous().cpu().numpy()), finite


def _spread(crops: Crops, most: int) -> list[tuple[Crops, int]]:
    """At most that many crops, evenly spread."""
    places = np.linspace(0, len(crops) - 1, min(most, len(crops)))
    return [(crops, int(index)) for index in places.round()]


def teachers_of(
    store: ObjectStore,
    config: PretrainConfig | AdversarialConfig,
    init_from: CheckpointRef | None,
) -> frozenset[str]:
    """Perceptual networks that teach a stage, or taught the generator that it starts from.

    Every rank must call it, because rank 0 looks.
    """
    content = feature_content(config)
    found = {content.network} if content else set[str]()
    for manifest in history_of(store, init_from) if init_from and ranks.rank() == 0 else ():
        losses = (manifest.config.get("content"), manifest.config.get("loss"))
        found |= {
            each["network"] for each in losses if isinstance(each, dict) and "network" in each
        }
    return ranks.from_rank_zero(frozenset(found))


def fair_judge(judge: PerceptualDistance | None, teachers: Collection[str]) -> str | None:
    """Name of the judge's distance, if the gate counts it and it is not one of the teachers'."""
    taught = {name for network, name in DISTANCES.items() if network in teachers}
    if judge is None or judge.name in taught:
        return None
    return judge.name if deciding_judges([judge.name]) else None


def build_judge(
    store: ObjectStore,
    config: PretrainConfig | AdversarialConfig,
    teachers: Collection[str],
    course: Course | None = None,
    *,
    crop_size: int,
    device: torch.device,
) -> PerceptualDistance | None:
    """Pick a mirrored network, preferring one that is not among the teachers; None if there is
    none, or if crops leave it nothing to see.

    A stage on its way keeps the judge of its course, with the weights that it began with, also if
    others were mirrored since. `CheckpointError` if they are gone names the command that mirrors
    them. Every rank must call it, because rank 0 looks for all of them.
    """
    if crop_size - 2 * config.generator.scale < MIN_SIDE:
        return None
    found = ranks.from_rank_zero(_choose(store, teachers, course) if ranks.rank() == 0 else None)
    if found is None:
        return None
    network, sha256 = found
    return PerceptualDistance(network, read_weights(store, network, sha256), device=device)


def _choose(
    store: ObjectStore, teachers: Collection[str], course: Course | None
) -> tuple[FeatureNetwork, str] | None:
    """Network and SHA-256 of its weights."""
    judges = find_judges(store)
    if course is None or course.judge is None:
        mirrored = sorted(judges.items(), key=lambda each: each[0] in teachers)
        return mirrored[0] if mirrored else None
    network = JUDGES[course.judge].network
    assert network is not None  # a course has the distance of a network
    sha256 = course.judge_sha256 or judges.get(network)
    if sha256 is None:
        raise CheckpointError(
            f"this stage is judged by {course.judge}, and the weights of {network} are not in the "
            f"bucket any more; put those that it began with there with `srgan weights mirror "
            f"{network}` (--from FILE, if they were not the published ones)"
        )
    return network, sha256
