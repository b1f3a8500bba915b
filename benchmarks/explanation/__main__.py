"""Draw the figures of docs/explanation, and print their numbers.

``python -m benchmarks.explanation [SECTION ...]``. Sections: networks, curves, photo, layers, game;
all of them by default. ``game`` trains for minutes, the others take seconds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.explanation import networks, pictures, plots, watched

DRAWINGS: dict[str, Callable[[], str]] = {
    "srresnet": networks.srresnet,
    "shuffle": networks.shuffle,
    "vgg": networks.vgg,
    "game": networks.game,
    "gate": networks.gate,
}
"""Drawings without a measurement, by the names of their files."""


def _networks(out: Path) -> None:
    for name, draw in DRAWINGS.items():
        (out / f"{name}.svg").write_text(draw())
    for part, layers, count in networks.parts_of_srresnet():
        print(f"SRResNet {part} ({layers}): {count:,} parameters")
    print(f"SRResNet: {sum(count for *_, count in networks.parts_of_srresnet()):,} parameters")
    print(f"SRResNet: depends on {networks.reach_of_srresnet()} LR pixels to each side")
    for part, count in networks.parts_of_discriminator():
        print(f"discriminator {part}: {count:,} parameters")
    for layer, (sees, side) in networks.vgg_reach().items():
        print(f"VGG19 {layer}: sees {sees} pixels a side, {side}×{side} of a patch of 96")


def _curves(out: Path) -> None:
    plots.averages(out / "averages.svg")
    plots.opinions(out / "opinions.svg")
    plots.adversarial(out / "adversarial.svg")
    plots.evidence(out / "evidence.svg")
    for photos in (10, 20, 100):
        gains = ", ".join(
            f"{plots.needed_gain(attempt, photos):.2f}"
            if plots.enough_photos(attempt, photos)
            else "too few"
            for attempt in (1, 5, 20)
        )
        print(f"gain at attempts 1, 5 and 20 with {photos} photos: {gains} deviations")


def _photo(out: Path) -> None:
    changed = pictures.equal_errors()
    (out / "equal-errors.png").write_bytes(pictures.picture_of_equal_errors(changed))
    for each in changed:
        print(
            f"{each.name}: PSNR {each.psnr:.2f} dB, SSIM {each.ssim:.4f}, EfficientNet-Lite1 "
            f"distance {each.distance:.3f}, NIQE {each.niqe:.2f}"
        )


def _layers(out: Path) -> None:
    picture, means = pictures.errors_of_layers()
    (out / "layers.png").write_bytes(picture)
    for model, errors in means.items():
        print(f"{model}: " + ", ".join(f"{name} {error:.5f}" for name, error in errors.items()))


def _game(out: Path) -> None:
    found = {name: watched.train(config) for name, config in watched.variants().items()}
    watched.plot(found, out / "watched.svg")
    for name, curves in found.items():
        told = ", ".join(f"{each} {mean:.3f}" for each, mean in watched.ends(curves).items())
        print(f"{name}, means of the last steps: {told}")


SECTIONS: dict[str, Callable[[Path], None]] = {
    "networks": _networks,
    "curves": _curves,
    "photo": _photo,
    "layers": _layers,
    "game": _game,
}


def main() -> None:
    """Draw the sections that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument("--out", type=Path, default=Path("docs/explanation/figures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.section or SECTIONS:
        print(f"\n## {name}")
        SECTIONS[name](arguments.out)


if __name__ == "__main__":
    main()
