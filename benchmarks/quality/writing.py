"""From the finished trainings to the page: what there is, measured, compared, drawn and written."""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import torch

from benchmarks.quality.ablations import WHOLE, Without
from benchmarks.quality.claim_section import verdict_line
from benchmarks.quality.claims import make_claims
from benchmarks.quality.contestants import Contestant, Given
from benchmarks.quality.judges import Panel
from benchmarks.quality.measuring import Method, Row, mean_psnr, method
from benchmarks.quality.page import Comparison, write_page
from benchmarks.quality.photos import SCALE, Pair, pictures_of
from benchmarks.quality.plan import Plan, Wish
from benchmarks.quality.plots import plot_curves, plot_plane
from benchmarks.quality.results import Measurements, Training, read_ablations, read_gan_ablations
from benchmarks.quality.strips import draw_strips
from benchmarks.quality.timing import StepTimes
from benchmarks.quality.training import Lab
from srgan.measure.figures import figure_name
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Bicubic

_ENSEMBLES = ("fast", "few_photos")
_IN_STRIPS = ("fast", "srgan_mse", "srgan_vgg16_22", "srgan_vgg16_53", "srgan_squeezenet")
_FAR_AWAY = "nearest"
"""A baseline that would press all others together in a plane."""
_PICTURES = ("strip-*.png", "plane*.svg", "curves*.svg")


@dataclass(frozen=True)
class Findings:
    """Inputs and trainings of a comparison."""

    lab: Lab
    sets: Mapping[str, list[Pair]]
    panel: Panel
    plan: Plan
    wish: Wish
    times: StepTimes
    extras: Sequence[Given]
    photos: str
    """Name of the folder of training photos."""
    left_out: Sequence[str]
    """Photos of it that show an image of the sets."""
    command: str
    opening: str
    """Markdown before the page's text, with its title."""

    @property
    def trained(self) -> list[list[Contestant]]:
        """Networks that are trained, each with the seeds that are."""
        found = (list(takewhile(self.lab.is_trained, seeds)) for seeds in self.plan.networks)
        return [seeds for seeds in found if seeds]

    @property
    def missing(self) -> list[str]:
        """Titles of networks, seeds and ablations that are not trained."""
        found = list(self.plan.missing)
        for seeds in self.plan.networks:
            count = len(list(takewhile(self.lab.is_trained, seeds)))
            if count == 0:
                found.append(seeds[0].title)
            elif count < len(seeds):
                found.append(f"{seeds[0].title} ({count} of {len(seeds)} seeds)")
        for what, groups in (
            ("ablations of the fast recipe", self.plan.ablations),
            ("ablations of its GAN stage", self.plan.gan_ablations),
        ):
            count = len(self.complete(groups))
            if count < max(1, len(groups)):
                found.append(f"{what} ({count} of {len(groups)})" if count else what)
        return found

    def complete(self, groups: Sequence[Without]) -> list[Without]:
        """Ablations whose seeds are all trained; none without the whole to compare them with."""
        found = [each for each in groups if all(map(self.lab.is_trained, each.contestants))]
        return found if any(each.choice == WHOLE for each in found) else []


def write(findings: Findings, page: Path, *, planes: Sequence[str], strips: Path) -> None:
    """Measure what is trained, and write page, plots and strips; `strips` is a folder of photos."""
    lab, plan, panel = findings.lab, findings.plan, findings.panel
    measurements = Measurements(lab, findings.sets, panel)
    trainings = [
        measurements.training(seeds, findings.times.measure(seeds[0].stage))
        for seeds in findings.trained
    ]
    start = _start_row(findings, measurements, trainings)
    rows = _rows(findings, measurements, trainings, start)
    claims = make_claims(rows, start, pictures_of(findings.sets))
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for old in (path for pattern in _PICTURES for path in folder.glob(pattern)):
        old.unlink()
    write_page(
        page,
        Comparison(
            machine=_machine(),
            date=time.strftime("%Y-%m-%d"),
            command=findings.command,
            opening=findings.opening,
            minutes=findings.wish.minutes,
            gan_minutes=plan.minutes,
            panel=panel,
            rows=rows,
            trainings=trainings,
            claims=claims,
            ablations=read_ablations(lab, findings.complete(plan.ablations)),
            gan_ablations=read_gan_ablations(
                lab, findings.complete(plan.gan_ablations), panel.only(planes)
            ),
            plots=_plots(findings, rows, trainings, planes, folder),
            strips=draw_strips(strips, _columns(findings), folder),
            photos=findings.photos,
            num_photos=len(lab.photos),
            num_held=len(lab.watched),
            num_seeds=findings.wish.num_seeds,
            start=_start_words(findings.wish.start),
            left_out=findings.left_out,
            missing=findings.missing,
            sets=list(findings.sets),
        ),
    )
    print(f"{verdict_line(claims)}\nwrote {page}")


def _rows(
    findings: Findings,
    measurements: Measurements,
    trainings: Sequence[Training],
    start: Row | None,
) -> list[Row]:
    """Every row of the tables, in their order."""
    ensembles = [
        measurements.ensemble(seeds[0]) for seeds in findings.trained if seeds[0].name in _ENSEMBLES
    ]
    given = [start] if findings.wish.start and start else []
    return [
        *measurements.baselines(),
        *given,
        *(each.row for each in trainings),
        *ensembles,
        *map(measurements.given, findings.extras),
    ]


def _start_row(
    findings: Findings, measurements: Measurements, trainings: Sequence[Training]
) -> Row | None:
    """The one generator that all GANs started from: the given one, or fast's first seed."""
    if findings.wish.start:
        return measurements.given(findings.wish.start)
    for each in trainings:
        if each.contestant.name == "fast":
            return replace(each.row, seeds=each.row.seeds[:1])
    return None


def _start_words(start: Given | None) -> str:
    if start is None:
        return "the first seed of fast"
    return f"the given generator (`{start.folder.removeprefix('given-')}…`, the row {start.title})"


def _plots(
    findings: Findings,
    rows: Sequence[Row],
    trainings: Sequence[Training],
    planes: Sequence[str],
    folder: Path,
) -> dict[str, Path]:
    """Draw curves of both kinds of trainings, and the planes; return paths by their captions."""
    watched = findings.lab.watched
    found: dict[str, Path] = {}
    scratch = [each for each in trainings if each.contestant.start is None]
    gans = [each for each in trainings if each.contestant.start is not None]
    if scratch:
        path = found["PSNR over training time"] = folder / "curves.svg"
        plot_curves(scratch, ("bicubic", mean_psnr(Bicubic(SCALE), watched)), path, log=True)
    if gans:
        path = found["PSNR over the time of the GANs"] = folder / "curves-gan.svg"
        start = gans[0].contestant.start
        assert start is not None
        generator = load_generator(findings.lab.generator(start))
        plot_curves(gans, ("the start", mean_psnr(generator, watched)), path, log=False)
    first = next(iter(findings.sets))
    for judge in planes:
        means = {row.title: row.figures(first) for row in rows}
        points = {
            title: (figures["psnr"], figures[judge])
            for title, figures in means.items()
            if judge in figures and title != _FAR_AWAY
        }
        caption = f"PSNR against {figure_name(judge)}, without {_FAR_AWAY}, which lies far away"
        path = found[caption] = folder / f"plane-{judge}.svg"
        plot_plane(points, judge, f"{first}, ×{SCALE}", path)
    return found


def _columns(findings: Findings) -> dict[str, Method]:
    """Methods in the strips."""
    columns = {"bicubic": method(Bicubic(SCALE))}
    start = findings.wish.start
    shown: list[Contestant | Given] = [start] if start else []
    shown += [seeds[0] for seeds in findings.trained if seeds[0].name in _IN_STRIPS]
    shown += findings.extras
    for one in shown:
        columns[one.title] = method(load_generator(findings.lab.generator(one)))
    return columns


def _machine() -> str:
    cores = torch.get_num_threads()
    return f"{cores} threads of {platform.machine()}, torch {torch.__version__}, no GPU used"
