"""Print what the GAN stage of `fast_x4` makes of the generator that comes with srgan.

    python -m benchmarks.perceptual.fast_gan PACKAGES SETS WEIGHTS --out FOLDER --seeds 0 1 2

PACKAGES is a folder with the unpacked Debian packages of `benchmarks.shipped`, whose photographs it
trains on; SETS a folder with Set5 and Set14; WEIGHTS a file of SqueezeNet 1.1. The stage starts
from `shipped`, once with its adversarial loss and once without, for each seed. EfficientNet-Lite0
teaches. The judges are EfficientNet-Lite1, SqueezeNet and NIQE, which have taught nothing here.
Takes about four minutes for each training on one core. Finished ones are kept in FOLDER.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality.claims import compare
from benchmarks.quality.contestants import Contestant, Given, generator_of
from benchmarks.quality.measuring import Row, measure, method
from benchmarks.quality.photos import SCALE, Pair, claim, hold_out, open_set, pictures_of
from benchmarks.quality.training import Lab, train
from benchmarks.shipped.photos import unpacked
from benchmarks.shipped.stages import TEACHER, plain
from srgan.allocator import use_large_pages
from srgan.config.networks import PUBLISHED_WEIGHTS, FeatureNetwork
from srgan.measure.comparison import Distance
from srgan.measure.guards import checkerboard
from srgan.measure.intervals import CONFIDENCE
from srgan.measure.niqe import Naturalness
from srgan.measure.perceptual import PerceptualDistance
from srgan.models.interchange import load_generator
from srgan.models.shipped import read_shipped
from srgan.recipes import get_recipe
from srgan.settings import Settings
from srgan.versions.mirror_weights import fetch_named

_NUM_HELD = 3
"""Photos that no network is trained on, as for the generators that come with srgan."""
_GRID = "grid, levels"
Sets = dict[str, list[Pair]]


def contestants(start: Given, seeds: Sequence[int]) -> dict[str, list[Contestant]]:
    """Return the stage with and without its adversarial loss, with each seed."""
    stage = get_recipe("fast_x4").adversarial
    assert stage is not None
    whole = stage.model_copy(update={"generator": generator_of(start)})
    alone = whole.model_copy(update={"adversarial_weight": 0.0, "adversarial_share": None})
    return {
        title: [
            Contestant(
                f"{name}-seed{seed}",
                title,
                config.model_copy(update={"seed": seed}),
                start,
                plain().data,
            )
            for seed in seeds
        ]
        for name, title, config in (
            ("fast_gan", "the stage", whole),
            ("fast_alone", "without its adversarial loss", alone),
        )
    }


def figures(
    generator: bytes, sets: Sets, judges: Sequence[Distance]
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure PSNR, SSIM, the judges' figures and the grid, by set and image."""
    upscale = method(load_generator(generator).eval())
    found = {name: measure(upscale, pairs, judges) for name, pairs in sets.items()}
    for name, pairs in sets.items():
        for pair in pairs:
            grid = checkerboard(pair.hr.rgb, upscale(pair.lr).rgb, scale=SCALE)
            found[name][pair.name][_GRID] = float(grid)
    return found


def fetch(network: FeatureNetwork) -> bytes:
    """Return the network's published weights, from its installed package."""
    published = PUBLISHED_WEIGHTS[network]
    return fetch_named(Settings(), published.source, digest=published.digest)


def print_rows(rows: Sequence[Row], sets: Sets) -> None:
    """Print the mean figures of each row on each set."""
    names = list(rows[0].figures(next(iter(sets))))
    print("| | " + " | ".join(names) + " |\n|---" + "|---:" * len(names) + "|")
    for name in sets:
        for row in rows:
            cells = " | ".join(f"{value:.3f}" for value in row.figures(name).values())
            print(f"| {name}: {row.title} ({len(row.seeds)}) | {cells} |")


def print_differences(one: Row, other: Row, sets: Sets) -> None:
    """Print the differences of two rows over the pictures of all sets, with their intervals."""
    pictures = pictures_of(sets)
    for each in compare(one, other, pictures, CONFIDENCE):
        intervals = (each.over_photos, each.over_seeds)
        text = [f"{i.low:+.4f} to {i.high:+.4f}" if i else "unknown" for i in intervals]
        print(
            f"{one.title} less {other.title}, {each.figure}: {each.mean:+.4f} "
            f"(over {len(set(pictures.values()))} pictures {text[0]}, over seeds {text[1]})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.perceptual.fast_gan", description=__doc__.splitlines()[0]
    )
    parser.add_argument("packages", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of what is finished")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    use_large_pages()
    arguments.out.mkdir(parents=True, exist_ok=True)
    photos, watched = hold_out(unpacked(arguments.packages), _NUM_HELD)
    claim(arguments.out, photos)
    lab = Lab(out=arguments.out, photos=photos, watched=watched, weights={TEACHER: fetch(TEACHER)})
    start = Given("shipped", read_shipped("shipped"))
    judges: list[Distance] = [
        PerceptualDistance("efficientnet_lite1", fetch("efficientnet_lite1")),
        PerceptualDistance("squeezenet1_1", arguments.weights.read_bytes()),
        Naturalness(),
    ]
    sets = {name: open_set(arguments.sets / name) for name in ("Set5", "Set14")}
    seeds = arguments.seeds
    trained = contestants(start, seeds)
    for each in np.array(list(trained.values())).T.ravel():
        train(lab, each)
    first = Row(start.title, [figures(start.data, sets, judges)])
    rows = [
        Row(
            title,
            [figures(lab.generator(each), sets, judges) for each in found],
            frozenset([TEACHER]),
        )
        for title, found in trained.items()
    ]
    print_rows([first, *rows], sets)
    whole, alone = rows
    print()
    print_differences(whole, Row(first.title, list(first.seeds) * len(seeds)), sets)
    print_differences(whole, alone, sets)


if __name__ == "__main__":
    main()
