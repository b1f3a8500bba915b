"""Train what is not trained yet, measure everything, write the page from what is there."""

import argparse
import logging
import math
import shlex
import sys
from pathlib import Path

import torch

from benchmarks.quality.extras import START, open_extras
from benchmarks.quality.judges import measure_contents, open_panel, open_weights
from benchmarks.quality.photos import ORIGINALS, claim, hold_out, open_set, training_photos
from benchmarks.quality.plan import Plan, Wish, make_plan
from benchmarks.quality.timing import StepTimes
from benchmarks.quality.training import Lab, train
from benchmarks.quality.writing import Findings, write
from benchmarks.shipped.stages import TEACHER
from srgan.allocator import use_large_pages
from srgan.config.networks import JUDGES, NIQE
from srgan.errors import ConfigError
from srgan.models.shipped import SHIPPED

_SETS = ("Set5", "Set14")
_PAGE = Path("docs/benchmarks/quality.md")
_OUT = Path(".srgan/quality")
_OPENING = "# Quality: the paper's Tables 1 and 2, reproduced as far as two cores go"
_PLANES = ("efficientnet_lite1_distance", NIQE)
_MOST_SEEDS = 9
_ADDED = {*(f"{title}={file}" for title, file in SHIPPED.items()), f"shipped:sharp={TEACHER}"}
"""Further rows, and the teacher of one, that `make bench-quality` adds."""


def main(arguments: list[str]) -> None:
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    use_large_pages()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = open_weights(options.weights)
    panel = open_panel(weights)
    if unknown := [name for name in options.planes if name not in panel.names]:
        raise ConfigError(f"--planes {unknown[0]}: there are {', '.join(panel.names)}")
    extras, start = open_extras(options.extra, options.start, options.taught)
    sets = {name: open_set(options.eval / name) for name in _SETS}
    allowed, seen = training_photos(
        options.train, [pair for each in sets.values() for pair in each]
    )
    photos, watched = hold_out(allowed, options.held_out)
    claim(options.out, photos)
    lab = Lab(options.out, photos, watched, weights)
    times = StepTimes(options.out, weights)
    wish = Wish(options.only, options.minutes, options.seeds, start)
    plan = make_plan(wish, measure_contents(weights, watched), times)
    _train(lab, plan, wish, times)
    findings = Findings(
        lab=lab,
        sets=sets,
        panel=panel,
        plan=plan,
        wish=wish,
        times=times,
        extras=extras,
        photos=options.train.name,
        left_out=[each.trained for each in seen],
        command=_command(options),
        opening=options.opening.read_text().strip() if options.opening else _OPENING,
    )
    strips = options.strips or options.eval / _SETS[-1] / ORIGINALS
    write(findings, options.page, planes=options.planes, strips=strips)


def _train(lab: Lab, plan: Plan, wish: Wish, times: StepTimes) -> None:
    """Train what is wanted; first say how long that takes."""
    todo = [each for each in plan.everyone if wish.chooses(each) and not lab.is_trained(each)]
    known = [(each, times.known(each.stage)) for each in todo]
    seconds = sum(each.stage.steps * step_s for each, step_s in known if step_s)
    print(f"{len(todo)} trainings, about {seconds / 3600:.1f} hours, and measuring", flush=True)
    for each in todo:
        train(lab, each)


def _command(options: argparse.Namespace) -> str:
    """The command with every variable that was given.

    Files and folders by their names, because they lie elsewhere on each machine. Rows that make
    adds by itself are left out.
    """
    extra, taught = ([_named(each) for each in rows] for rows in (options.extra, options.taught))
    given = {
        "TRAIN": options.train.name,
        "EVAL": options.eval.name,
        "WEIGHTS": " ".join(map(_named, options.weights)),
        "MINUTES": options.minutes and f"{options.minutes:g}",
        "SEEDS": options.seeds,
        "HELD_OUT": options.held_out,
        "START": options.start and options.start.name,
        "ONLY": " ".join(options.only),
        "EXTRA": " ".join(each for each in extra if each not in _ADDED),
        "TAUGHT": " ".join(each for each in taught if each not in _ADDED),
        "PLANES": " ".join(options.planes) if options.planes != _PLANES else None,
        "OUT": _within(options.out) if options.out != _OUT else None,
        "PAGE": _within(options.page) if options.page != _PAGE else None,
        "OPENING": options.opening and options.opening.name,
        "STRIPS": options.strips and options.strips.name,
        "THREADS": options.threads,
    }
    parts = [f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value]
    return " ".join(["make bench-quality", *parts])


def _named(given: str) -> str:
    """``TITLE=FILE`` without the file's folder."""
    title, _, file = given.rpartition("=")
    return f"{title}={Path(file).name}"


def _within(path: Path) -> str:
    """A path in the project as it was given, any other by its name."""
    return path.name if path.is_absolute() else path.as_posix()


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    add = parser.add_argument
    add("--train", type=Path, required=True, help="folder of training photos")
    add("--eval", type=Path, required=True, help="folder with Set5 and Set14")
    add(
        "--weights",
        action="append",
        default=[],
        metavar="NETWORK=FILE",
        help="weights of a perceptual network, repeatable; default: those of installed packages",
    )
    add("--out", type=Path, default=_OUT, help="folder of trainings")
    add("--page", type=Path, default=_PAGE, help=f"the page to write; default: {_PAGE}")
    add(
        "--opening",
        type=Path,
        metavar="FILE",
        help="Markdown that opens the page in place of its title, with another title",
    )
    add(
        "--minutes",
        type=_minutes,
        metavar="M",
        help="train each network for so many minutes, ablations a quarter; default: the recipes' "
        "steps, and equal minutes for all GANs",
    )
    add(
        "--start",
        type=Path,
        metavar="FILE",
        help="generator file that all GANs start from; default: the network `fast`, trained first",
    )
    add(
        "--extra",
        action="append",
        default=[],
        metavar="TITLE=FILE",
        help="a generator file as a further row; repeatable",
    )
    add(
        "--taught",
        action="append",
        default=[],
        metavar="TITLE=NETWORK",
        help=f"a network that taught a further row, or the {START!r}; repeatable",
    )
    add("--strips", type=Path, help="photos for the picture strips; default: Set14's first ones")
    add("--only", nargs="*", default=[], help="train only networks whose names begin so")
    add(
        "--planes",
        nargs="+",
        choices=JUDGES,
        default=_PLANES,
        metavar="JUDGE",
        help=f"judges to draw PSNR against; default: {' '.join(_PLANES)}",
    )
    add(
        "--held-out",
        type=int,
        default=30,
        metavar="N",
        help="training photos that only choices are made on; default: 30",
    )
    add(
        "--seeds",
        type=int,
        choices=range(1, _MOST_SEEDS + 1),
        metavar="N",
        default=3,
        help="trainings of each network on which a claim rests; default: 3",
    )
    add("--threads", type=int, help="threads of torch; default: all cores")
    return parser.parse_args(arguments)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0")
    return minutes


if __name__ == "__main__":
    main(sys.argv[1:])
