"""Order in which each rater sees the images of a study."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from srgan.errors import ConfigError

_MIN_DISTANCE = 10
"""Stimuli between an image and its repeat, where there are so many."""


class Showing(NamedTuple):
    """One image that one method made, at its place in a rater's order."""

    image: str
    method: str
    repeat: bool = False


def session(
    methods: Sequence[str],
    images: Sequence[str],
    rater: int,
    *,
    seed: int,
    num_images: int | None = None,
    repeats: float = 0.0,
) -> list[Showing]:
    """Return the order of one rater, the n-th from 0 of a study; the same for the same `seed`.

    Every rater sees each method on each of `num_images` images (None: all). Those are the next
    ones in a circle, so that all images are seen about equally often. `repeats` is the share of
    them that is shown a second time, at least 10 later.

    The order is balanced: it goes through the rows of a Williams design, in which every method
    follows every other one equally often. With twice as many images as methods no photo comes
    twice in a row, except beside a repeat.
    """
    if not 0 <= repeats <= 1:
        raise ConfigError(f"repeats is {repeats}; it is a share from 0 to 1")
    shared = np.random.default_rng(seed)
    order = shared.permutation(len(images))
    num = len(images) if num_images is None else num_images
    if not 1 <= num <= len(images):
        raise ConfigError(f"num_images is {num}; the study has {len(images)} images")
    mine = [images[order[(rater * num + n) % len(images)]] for n in range(num)]
    own = np.random.default_rng([seed, rater])
    own.shuffle(mine)
    rows = williams(len(methods))
    # The next rows in a circle too, so that raters of few images share them evenly.
    my_rows = own.permutation([(rater * num + block) % len(rows) for block in range(num)])
    # Each block shows every method once. Over the blocks each method meets every image once: its
    # image is the block's, moved by the method's own number of places. With even numbers the last
    # image of a block and the first of the next one differ.
    num_methods = len(methods)
    if num >= 2 * num_methods:
        moved = 2 * own.permutation(num // 2)[:num_methods]
    else:
        moved = own.permutation(max(num, num_methods))[:num_methods]
    showings = [
        Showing(mine[(block + moved[method]) % num], methods[method])
        for block in range(num)
        for method in rows[my_rows[block]]
    ]
    return _with_repeats(showings, round(repeats * len(showings)), own)


def williams(num: int) -> list[list[int]]:
    """Orders of `num` treatments in which each precedes each other one equally often.

    E. J. Williams, "Experimental designs balanced for the estimation of residual effects of
    treatments", 1949: `num` rows for an even number, twice as many for an odd one.
    """
    zigzag = [(n + 1) // 2 if n % 2 else -(n // 2) for n in range(num)]
    rows = [[(step + row) % num for step in zigzag] for row in range(num)]
    return rows + [row[::-1] for row in rows] if num % 2 else rows


def _with_repeats(
    showings: list[Showing], num_repeats: int, random: np.random.Generator
) -> list[Showing]:
    """Show some of the first ones again, far enough behind and otherwise at any place."""
    distance = min(_MIN_DISTANCE, len(showings) // 2)
    chosen = random.permutation(len(showings) - distance)[:num_repeats]
    # Half of a place behind, so that a repeat never replaces anything.
    later = random.integers(chosen + distance, len(showings)) + 0.5
    placed = [(float(n), each) for n, each in enumerate(showings)]
    placed += [
        (float(place), showings[n]._replace(repeat=True))
        for n, place in zip(chosen, later, strict=True)
    ]
    return [each for _, each in sorted(placed)]
