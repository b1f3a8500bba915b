"""How often equal models are promoted in a chain of attempts, with and without the test of signs.

``python -m benchmarks.gate.attempts`` prints the table of docs/retraining.md in a minute, and below
it the same for the whole rule.
"""

import numpy as np
from numpy.typing import NDArray

from srgan.measure.intervals import half_width, sign_flip_p
from srgan.promotion.findings import confidence_of

KINDS = ("normal", "uniform", "two humps")
_CHAINS = 40_000
_SHOWN = (5, 52)


def main() -> None:
    """Print the share of chains with a promotion within 5 and 52 attempts."""
    for signs in (False, True):
        print("interval and signs" if signs else "interval alone")
        for kind in KINDS:
            cells = [promoted(kind, photos, signs=signs) for photos in (6, 10, 20)]
            print(f"| {kind} | {' | '.join(cells)} |")


def promoted(kind: str, num_photos: int, *, signs: bool) -> str:
    """Count chains with a promotion: one judge, other photos each time, never a difference."""
    rng = np.random.default_rng(num_photos)
    won, shown = np.zeros(_CHAINS, bool), []
    for attempt in range(1, max(_SHOWN) + 1):
        means = differences(kind, (_CHAINS, num_photos), rng)
        confidence = confidence_of(attempt)
        gains = means.mean(axis=1) > half_width(means, confidence)
        error = (1 - confidence) / 2
        for chain in np.flatnonzero(gains & ~won) if signs else ():
            gains[chain] = sign_flip_p(means[chain], error) <= error
        won |= gains
        if attempt in _SHOWN:
            shown.append(f"{100 * won.mean():.1f}")
    return f"{' / '.join(shown)} %"


def differences(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw differences that are symmetric around 0: one of `KINDS`."""
    if kind == "uniform":
        return rng.uniform(-1, 1, shape)
    if kind == "two humps":
        return rng.choice([-1.0, 1.0], shape) + rng.normal(0, 0.4, shape)
    return rng.normal(0, 1, shape)


if __name__ == "__main__":
    main()
