"""Train what is not trained yet, measure everything, write the page."""

import argparse
import hashlib
import logging
import platform
import sys
import time
from pathlib import Path

import torch

from benchmarks.quality.contestants import Contestant, ablations, gan_ablations, networks
from benchmarks.quality.measuring import T_95, Method, method
from benchmarks.quality.page import Comparison, write_page
from benchmarks.quality.photos import (
    ORIGINALS,
    SCALE,
    Pair,
    claim,
    hold_out,
    open_set,
    training_photos,
)
from benchmarks.quality.plots import plot_curves, plot_plane
from benchmarks.quality.results import (
    measure_baselines,
    measure_ensemble,
    read_ablations,
    read_gan_ablations,
    read_training,
)
from benchmarks.quality.strips import draw_strips
from benchmarks.quality.timing import time_steps
from benchmarks.quality.training import GENERATOR, Lab, train
from srgan.allocator import use_large_pages
from srgan.measure.overlap import Seen
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.interchange import load_generator
from srgan.models.interpolation import Bicubic

_SETS = ("Set5", "Set14")
_WATCHED = "held out"
_PAGE = Path("docs/benchmarks/quality.md")
_ENSEMBLES = ("fast", "few_photos")
_IN_STRIPS = ("fast", "srgan_mse", "srgan_squeezenet")


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    use_large_pages()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = options.weights.read_bytes()
    sets = {name: open_set(options.eval / name) for name in _SETS}
    allowed, seen = training_photos(
        options.train, [pair for each in sets.values() for pair in each]
    )
    photos, watched = hold_out(allowed, options.held_out)
    claim(options.out, photos)
    lab = Lab(
        out=options.out,
        photos=photos,
        watched=watched,
        weights=weights,
    )
    digest = hashlib.sha256(weights).hexdigest()
    trained = networks(digest)
    taken_away = list(ablations())
    taken_from_gan = list(gan_ablations(digest))
    repeated = [one for each in trained for one in each.seeds(options.seeds)]
    everyone = [*repeated, *(one for _, each in (*taken_away, *taken_from_gan) for one in each)]
    for contestant in everyone:
        if not options.only or contestant.name.startswith(tuple(options.only)):
            train(lab, contestant)
    missing = [each.name for each in everyone if not (lab.folder(each) / GENERATOR).exists()]
    if missing:
        print(f"not trained yet, so no page: {', '.join(missing)}")
        return
    _write(options, lab, trained, taken_away, taken_from_gan, sets, seen)


def _write(
    options: argparse.Namespace,
    lab: Lab,
    trained: list[Contestant],
    taken_away: list[tuple[str, list[Contestant]]],
    taken_from_gan: list[tuple[str, list[Contestant]]],
    sets: dict[str, list[Pair]],
    seen: list[Seen],
) -> None:
    shown = options.strips or options.eval / _SETS[-1] / ORIGINALS
    distance = PerceptualDistance("squeezenet1_1", lab.weights, device=torch.device("cpu"))
    times = time_steps(trained, lab.weights, lab.out)
    trainings = [
        read_training(lab, each.seeds(options.seeds), sets, distance, times[each.folder])
        for each in trained
    ]
    baselines = measure_baselines({**sets, _WATCHED: lab.watched}, distance)
    asked_eight_times = [each for each in trained if each.name in _ENSEMBLES]
    folder = _PAGE.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    first = _SETS[0]
    plot_curves(
        [each for each in trainings if each.contestant.start is None],
        baselines["bicubic"][_WATCHED].psnr,
        folder / "curves.svg",
    )
    plot_plane(
        {name: figures[first] for name, figures in baselines.items()}
        | {each.contestant.title: each.figures[first] for each in trainings},
        f"{first}, ×{SCALE}",
        folder / "plane.svg",
    )
    write_page(
        _PAGE,
        Comparison(
            machine=_machine(),
            date=time.strftime("%Y-%m-%d"),
            command="make bench-quality",
            baselines=baselines,
            trainings=trainings,
            ensembles={
                f"{each.title}, self-ensemble": measure_ensemble(lab, each, sets, distance)
                for each in asked_eight_times
            },
            ablations=read_ablations(lab, taken_away),
            gan_ablations=read_gan_ablations(lab, taken_from_gan, distance),
            strips=draw_strips(shown, _shown(lab, trained), folder),
            photos=options.train.name,
            num_photos=len(lab.photos),
            num_held=len(lab.watched),
            num_seeds=options.seeds,
            left_out=[each.trained for each in seen],
        ),
    )
    print(f"wrote {_PAGE}")


def _shown(lab: Lab, trained: list[Contestant]) -> dict[str, Method]:
    """Return the columns of the strips."""
    by_name = {each.name: each for each in trained}
    methods = {"bicubic": method(Bicubic(SCALE))}
    for name in _IN_STRIPS:
        data = (lab.folder(by_name[name]) / GENERATOR).read_bytes()
        methods[by_name[name].title] = method(load_generator(data))
    return methods


def _machine() -> str:
    cores = torch.get_num_threads()
    return f"{cores} threads of {platform.machine()}, torch {torch.__version__}, no GPU used"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="folder of training photos")
    parser.add_argument("--eval", type=Path, required=True, help="folder with Set5 and Set14")
    parser.add_argument("--weights", type=Path, required=True, help="SqueezeNet 1.1's weights file")
    parser.add_argument(
        "--out", type=Path, default=Path(".srgan/quality"), help="folder of trainings"
    )
    parser.add_argument(
        "--strips", type=Path, help="photos for the picture strips; default: Set14's first ones"
    )
    parser.add_argument("--only", nargs="*", help="train only networks whose names begin so")
    parser.add_argument(
        "--held-out",
        type=int,
        default=30,
        metavar="N",
        help="training photos that only choices are made on; default: 30",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        choices=(1, *T_95),
        default=3,
        help="trainings of each network on which a claim rests; default: 3",
    )
    parser.add_argument("--threads", type=int, help="threads of torch; default: all cores")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
