"""Arithmetic of a training: the share of the all-reduce, and what goes to MLflow."""

from dataclasses import dataclass
from math import ceil

from benchmarks.scaling import constants as c


def ring_s(num_bytes: float, num_workers: int, link: c.Link) -> float:
    """Seconds of a ring all-reduce: every worker sends 2(n−1)/n of the bytes in 2(n−1) hops."""
    hops = 2 * (num_workers - 1)
    return hops / num_workers * num_bytes / link.bytes_per_s + hops * link.latency_s


def step_s(step: c.StepTime, num_crops: float) -> float:
    """Seconds of a step on one device, without the all-reduce."""
    return max(num_crops * step.crop_s, step.least_s)


def reduce_share(step: c.StepTime, num_crops: float, num_workers: int, link: c.Link) -> float:
    """Share of a step for the all-reduce, if nothing of it hides behind the backward pass."""
    reduce = ring_s(step.gradient_bytes, num_workers, link)
    return reduce / (reduce + step_s(step, num_crops))


def speed_up(step: c.StepTime, batch: int, num_workers: int, link: c.Link) -> float:
    """Steps a second against one worker, if the workers share a batch of that size."""
    shared = step_s(step, batch / num_workers) + ring_s(step.gradient_bytes, num_workers, link)
    return step_s(step, batch) / shared


@dataclass(frozen=True)
class Training:
    """A stage, as its config says, and how fast it is."""

    steps: int
    step_s: float
    log_every: int
    validate_every: int

    @property
    def num_figures(self) -> float:
        """Values in MLflow's database."""
        return self.steps / self.log_every * c.FIGURES_PER_LOG

    @property
    def num_requests(self) -> float:
        """Requests to MLflow: figures wait for up to two seconds and go together."""
        flushes = min(self.steps / self.log_every, self.steps * self.step_s / c.FLUSH_EVERY_S)
        pictures = ceil(self.steps / self.validate_every) * c.PICTURES_PER_VALIDATION
        return c.REQUESTS_PER_RUN + flushes + pictures * c.REQUESTS_PER_PICTURE

    @property
    def database_bytes(self) -> float:
        """Growth of MLflow's database."""
        return self.num_figures * c.BYTES_PER_FIGURE
