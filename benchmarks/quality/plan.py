"""Plan of a run: which networks are trained, for how many steps, and which are left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.quality.ablations import Without, ablations, gan_ablations
from benchmarks.quality.contestants import (
    GAN_STEPS,
    MEASURE,
    Contestant,
    Given,
    networks,
    titles_without_weights,
)
from benchmarks.quality.judges import Contents
from benchmarks.quality.timing import StepTimes, steps_in, with_steps
from srgan.config import AdversarialConfig

_ABLATION_SHARE = 0.25
"""Minutes of an ablation beside a training's."""


@dataclass(frozen=True)
class Plan:
    """Every training of a comparison."""

    minutes: float
    """Minutes of each GAN on this machine."""
    networks: list[list[Contestant]]
    """Rows of the tables, each with its seeds."""
    ablations: list[Without]
    gan_ablations: list[Without]
    missing: list[str]
    """Titles of networks that cannot be trained without weights, or that nobody asked for yet."""

    @property
    def everyone(self) -> list[Contestant]:
        """Every training once, in the order in which they are made."""
        rows = [one for each in self.networks for one in each]
        parts = [*self.ablations, *self.gan_ablations]
        return rows + [one for each in parts for one in each.contestants]


@dataclass(frozen=True)
class Wish:
    """Wishes of the one who starts a run."""

    only: Sequence[str]
    """Beginnings of the names of networks that are trained; empty for all."""
    minutes: float | None
    """Minutes of each training; None for the steps of the recipes."""
    num_seeds: int
    start: Given | None
    """The generator that GANs start from; None for the fast network."""

    def chooses(self, one: Contestant) -> bool:
        """True if this training is wanted."""
        return not self.only or one.name.startswith(tuple(self.only))

    def chooses_any(self, trainings: Iterable[Contestant]) -> bool:
        """True if one of these is wanted."""
        return any(self.chooses(one) for one in trainings)


def make_plan(wish: Wish, contents: Contents, times: StepTimes) -> Plan:
    """Give every training its steps; measures the steps of those that are wanted.

    Trainings whose step nobody has measured are left out: they cannot have been trained in minutes.
    """
    table = networks(contents, wish.start)
    (measure,) = (each for each in table if each.name == MEASURE)
    gan_minutes = wish.minutes or GAN_STEPS * times.measure(measure.stage) / 60
    fitted: dict[str, Contestant] = {}
    for each in table:
        if wish.chooses_any(each.seeds(wish.num_seeds)):
            times.measure(each.stage)
        if (step_s := times.known(each.stage)) is None:
            continue
        is_gan = isinstance(each.stage, AdversarialConfig)
        minutes = gan_minutes if is_gan else wish.minutes
        stage = with_steps(each.stage, steps_in(minutes, step_s)) if minutes else each.stage
        start = each.start
        if isinstance(start, Contestant):
            start = fitted.get(start.name, start)
        fitted[each.name] = replace(each, stage=stage, start=start)
    start = wish.start or fitted.get("fast")
    return Plan(
        minutes=gan_minutes,
        networks=[each.seeds(wish.num_seeds) for each in fitted.values()],
        ablations=_ablations(wish, times),
        gan_ablations=_gan_ablations(wish, contents, start, times) if start else [],
        missing=titles_without_weights(contents)
        + [each.title for each in table if each.name not in fitted],
    )


def _ablations(wish: Wish, times: StepTimes) -> list[Without]:
    nominal = list(ablations(wish.num_seeds))
    if wish.minutes is None:
        return nominal
    steps = _short(wish, nominal, times)
    return list(ablations(wish.num_seeds, steps)) if steps else []


def _gan_ablations(
    wish: Wish, contents: Contents, start: Contestant | Given, times: StepTimes
) -> list[Without]:
    nominal = list(gan_ablations(contents, start, wish.num_seeds))
    if wish.minutes is None or not nominal:
        return nominal
    steps = _short(wish, nominal, times)
    return list(gan_ablations(contents, start, wish.num_seeds, steps)) if steps else []


def _short(wish: Wish, groups: list[Without], times: StepTimes) -> int | None:
    """Steps of each ablation by the time of a step of the whole; None if nobody measured it."""
    assert wish.minutes is not None
    whole = groups[0].contestants[0].stage
    if wish.chooses_any(one for each in groups for one in each.contestants):
        times.measure(whole)
    step_s = times.known(whole)
    return None if step_s is None else steps_in(_ABLATION_SHARE * wish.minutes, step_s)
