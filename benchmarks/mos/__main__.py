"""Print the figures of docs/mos.md: ``python -m benchmarks.mos [SECTION ...]``.

Sections: coverage, screening, model, pairs, paper; all of them by default, in minutes. Those about
speed are in ``benchmarks.mos.speed``.
"""

import argparse
from collections.abc import Callable

from benchmarks.mos.claims import (
    coverage,
    errors_by_choices,
    errors_of_stimuli,
    pair_coverage,
    paper_study,
    screened,
    share_needed,
)
from benchmarks.mos.crowd import HALF, NARROW, Crowd


def _coverage() -> None:
    for crowd, num_images, num_raters, rated in (
        (Crowd(), 20, 26, 1.0),
        (Crowd(), 10, 12, 1.0),
        (Crowd(), 40, 26, 0.5),
        (Crowd(NARROW), 20, 15, 1.0),
        (Crowd(), 8, 5, 1.0),
    ):
        found = coverage(crowd, num_images, num_raters, rated=rated)
        print(
            f"{len(crowd.methods)} methods, {num_images} images, {num_raters} raters, {rated:.0%} "
            f"rated: MOS {found.of_scores:.1%} held, width {found.width:.2f}; differences "
            f"{found.of_differences:.1%} held, width {found.width_of_differences:.2f}"
        )
    for taste in (0.0, 0.3):
        found = pair_coverage(taste)
        print(
            f"pairs, taste {taste}: strengths {found.of_scores:.1%} held, width {found.width:.2f}; "
            f"differences {found.of_differences:.1%} held, width {found.width_of_differences:.2f}"
        )


def _screening() -> None:
    for crowd, num_images, num_raters in (
        (Crowd(), 20, 24),
        (Crowd(), 10, 12),
        (Crowd(NARROW), 20, 24),
    ):
        for kinds in (None, (HALF,)):
            found = (
                screened(crowd, num_images, num_raters, kinds=kinds)
                if kinds
                else screened(crowd, num_images, num_raters)
            )
            shares = ", ".join(f"{kind} {share:.1%}" for kind, share in found.found.items())
            print(
                f"{len(crowd.methods)} methods, {num_images} images, {num_raters} raters: found "
                f"{shares}; false alarms {found.false_alarms:.1%}"
            )


def _model() -> None:
    for rated in (1.0, 0.5):
        plain, modelled = errors_of_stimuli(rated=rated)
        print(f"{rated:.0%} rated: error of plain means {plain:.3f}, of the model {modelled:.3f}")


def _pairs() -> None:
    random, active = (errors_by_choices(each, 400, num_studies=6) for each in (False, True))
    for name, one, other in zip(("strengths", "order"), random, active, strict=True):
        print(
            f"{name}: error {one[-1]:.3f} after 400 random pairs, {other[-1]:.3f} after as many "
            f"active ones, which need {share_needed(one, other):.0%} for the random ones' error"
        )


def _paper() -> None:
    for name, (mean, width) in paper_study().items():
        print(f"{name}: {mean:.2f}, interval {width:.2f} wide")


SECTIONS: dict[str, Callable[[], None]] = {
    "coverage": _coverage,
    "screening": _screening,
    "model": _model,
    "pairs": _pairs,
    "paper": _paper,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    for name in parser.parse_args().section or SECTIONS:
        print(f"\n## {name}")
        SECTIONS[name]()


if __name__ == "__main__":
    main()
