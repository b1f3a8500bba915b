"""Ray as the pool of a bulk run sees it: nodes that join at their times, on its own clock."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from srgan.bulk.attempt import BatchAttempt
from srgan.jobs import node as ray_node
from srgan.jobs import upscale_batches, upscale_news, upscale_pool
from srgan.services.ray_jobs import DRIVER_MEMORY_BYTES, DRIVER_SHARE, HEAD

LONGEST_S = 3 * 3600.0
"""Pretended seconds after which no test waits on."""


@dataclass
class Node:
    """A node; `joins_at` is in pretended seconds."""

    name: str
    resources: dict[str, float]
    joins_at: float = 0.0


@dataclass(eq=False)
class Actor:
    """A worker that waits for room or has it."""

    options: dict[str, Any]
    given: tuple[Any, ...]
    ray: "PretendedRay"
    node: Node | None = None

    @property
    def resources(self) -> dict[str, float]:
        """Resources that it takes of its node."""
        found = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
        return {name: self.options.get(option, 0) for name, option in found.items()}

    def may_be_on(self, node: Node) -> bool:
        """False where its label selector keeps it off."""
        selector = self.options.get("label_selector", {}).get("ray.io/node-id", "!in()")
        return node.name not in selector.removeprefix("!in(").removesuffix(")").split(",")

    def __getattr__(self, name: str) -> Any:
        return _Method(partial(_Call, self, name))


@dataclass
class _Method:
    remote: Callable[..., "_Call"]


@dataclass(eq=False)
class _Call:
    actor: Actor
    name: str
    batch: int | None = None
    attempt: BatchAttempt = BatchAttempt()  # noqa: RUF009  # frozen
    due: float = field(init=False)

    def __post_init__(self) -> None:
        ray = self.actor.ray
        self.due = ray.monotonic() + (ray.start_s if self.name == "ready" else ray.batch_s)

    def is_done(self) -> bool:
        if self.name == "where":
            return self.actor.node is not None
        return self.due <= self.actor.ray.monotonic()


class PretendedRay:
    """The modules `ray` and `time`, and a cluster of which `srgan.jobs.node` tells."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes
        self.drivers_at = [0.0]
        """When each driver begins; it takes its memory of the head if that is free."""
        self.start_s = self.batch_s = 1.0
        """Seconds that a worker takes to start, and for a batch."""
        self.start: Callable[[str], object] = lambda node: None
        """Called when a worker starts on a node; raises what ends it."""
        self.batch: Callable[[int, str, BatchAttempt], object] = lambda number, node, attempt: None
        """Called when a batch ends on a node; raises what it fails by."""
        self.log: list[tuple[float, str]] = []
        """When workers began to start, and on which nodes."""
        self.batches: list[tuple[int, str]] = []
        """Batches that were done, and on which nodes."""
        self._now = 0.0
        self._actors: list[Actor] = []

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds

    def remote(self, **options: Any) -> Callable[[type], Any]:
        def make(*given: Any) -> Actor:
            self._actors.append(Actor(options, given, self))
            return self._actors[-1]

        return lambda _: _Method(make)  # type: ignore[arg-type]  # makes actors, not calls

    def kill(self, actor: Actor) -> None:
        self._actors.remove(actor)

    def wait(self, calls: Sequence[_Call], *, timeout: float) -> tuple[list[_Call], list[_Call]]:
        assert self._now < LONGEST_S, "the run waits for ever"
        end = self._now + timeout
        while True:
            self._place()
            done = [call for call in calls if call.is_done()][:1]
            if done or self._now >= end:
                return done, [call for call in calls if call not in done]
            times = [call.due for call in calls if call.name != "where"]
            times += [node.joins_at for node in self.nodes] + self.drivers_at
            self._now = min([end, *(each for each in times if each > self._now)])

    def get(self, call: _Call) -> str:
        assert call.actor.node
        name = call.actor.node.name
        if call.name == "ready":
            self.log.append((self._now, name))
            self.start(name)
        if call.batch is not None:
            self.batch(call.batch, name, call.attempt)
            self.batches.append((call.batch, name))
        return name

    def node_resources(self, without: Collection[str] = ()) -> list[dict[str, float]]:
        return [node.resources for node in self._up() if node.name not in without]

    def free_resources(self) -> dict[str, float]:
        free: dict[str, float] = {}
        for node in self._up():
            for name, amount in self._free(node).items():
                free[name] = free.get(name, 0) + amount
        return free

    def running(self) -> list[Actor]:
        """Workers that have room."""
        return [each for each in self._actors if each.node]

    def _up(self) -> list[Node]:
        return [node for node in self.nodes if node.joins_at <= self._now]

    def _free(self, node: Node) -> dict[str, float]:
        free = dict(node.resources)
        if HEAD in free:
            drivers = sum(each <= self._now for each in self.drivers_at)
            free[HEAD] -= DRIVER_SHARE * drivers
            free["memory"] -= DRIVER_MEMORY_BYTES * drivers
        for actor in self._actors:
            if actor.node is node:
                for name, amount in actor.resources.items():
                    free[name] = free.get(name, 0) - amount
        return free

    def _place(self) -> None:
        for actor in self._actors:
            for node in self._up():
                free = self._free(node)
                fits = all(free.get(name, 0) >= need for name, need in actor.resources.items())
                if not actor.node and fits and actor.may_be_on(node):
                    actor.node = node


def pretend(monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> PretendedRay:
    """Replace Ray and time for the pool."""
    found = PretendedRay(*nodes)
    for module in (upscale_pool, upscale_batches, upscale_news, ray_node):
        monkeypatch.setattr(module, "time", found)
    for module in (upscale_pool, ray_node):
        monkeypatch.setattr(module, "node_resources", found.node_resources)
        monkeypatch.setattr(module, "others", lambda _: "nothing else")
    monkeypatch.setattr(upscale_pool, "ray", found)
    monkeypatch.setattr(upscale_pool, "is_starting", lambda: False)
    monkeypatch.setattr(ray_node, "free_resources", found.free_resources)
    monkeypatch.setattr(ray_node.autoscaler, "outlook", lambda _: None)
    return found
