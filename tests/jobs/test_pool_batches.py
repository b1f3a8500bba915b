"""Batches of a bulk run that fail, on a pretended Ray: images that end processes, bad nodes."""

import json
from collections import Counter

import pytest
from ray.exceptions import RayActorError

from srgan.bulk.attempt import BatchAttempt
from srgan.errors import ClusterError
from srgan.jobs.upscale_news import note_in_work
from tests.support.pretended_ray import PretendedRay, pretend
from tests.support.pretended_runs import Store, node, run


@pytest.fixture
def store() -> Store:
    return Store()


class Deadly:
    """Images of batch 1, some of which end the process that does them."""

    def __init__(self, store: Store, *deadly: str) -> None:
        self.attempts: list[BatchAttempt] = []
        self.done: list[str] = []
        self._store = store
        self._deadly = deadly

    def __call__(self, number: int, node: str, attempt: BatchAttempt) -> None:
        if number != 1:
            return
        self.attempts.append(attempt)
        left = [f"{n:02}.png" for n in range(60)]
        left = [key for key in left if key not in (*self.done, *attempt.killers)]
        if not attempt.is_alone:
            left = left[:5]  # in work, and the process dies before it has stored one
        for key in left:
            if attempt.is_alone:
                note_in_work(self._store, "b", 1, attempt, key)  # type: ignore[arg-type]  # only puts
            if key in self._deadly:
                raise RayActorError
            self.done.append(key)


def failure(store: Store, batch: int) -> str | None:
    found = store.objects.get(f"runs/upscale-b/{batch:06d}/failure.json")
    return found and json.loads(found)["message"]


def deadly(ray: PretendedRay, store: Store, *keys: str) -> Deadly:
    """Have batch 1 have these images."""
    found = Deadly(store, *keys)
    ray.batch = found
    return found


@pytest.mark.parametrize("keys", [("03.png",), ("03.png", "44.png", "45.png", "59.png")])
def test_images_that_end_a_process_are_found_one_after_the_other_and_the_others_are_done(
    store: Store, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    ray = pretend(monkeypatch, node("first"), node("second"))
    images = deadly(ray, store, *keys)
    run(store, batches=3)
    assert sorted(number for number, _ in ray.batches) == [0, 1, 2]
    assert failure(store, 1) is None
    assert len(images.done) == 60 - len(keys)
    assert images.attempts[-1].killers == keys
    assert [each.is_alone for each in images.attempts] == [False, *[True] * (1 + len(keys))]
    assert ray.monotonic() < 60 + 30 * len(keys), "the pauses do not grow"


def test_a_batch_whose_every_image_ends_the_process_is_lost_and_the_last_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("first"), node("second"))
    images = deadly(ray, store, *[f"{n:02}.png" for n in range(60)])
    run(store, batches=3)
    assert sorted(number for number, _ in ray.batches) == [0, 2]
    assert len(images.attempts) == 1 + 12
    assert "(with only '11.png' in work)" in str(failure(store, 1))


def test_what_another_job_had_in_work_is_not_to_blame(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("first"), node("second"))
    before = BatchAttempt(2, is_alone=True, job="earlier")
    note_in_work(store, "b", 1, before, "innocent.png")  # type: ignore[arg-type]  # only puts
    attempts: list[BatchAttempt] = []

    def dies(number: int, node: str, attempt: BatchAttempt) -> None:
        attempts.append(attempt)
        raise RayActorError

    ray.batch = dies
    run(store, batches=2)
    assert {each.killers for each in attempts} == {()}
    assert len(attempts) == 2 * 3


def test_an_error_that_a_worker_lives_on_from_does_not_slow_the_next_attempt_down(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, node("first"))
    attempts: list[BatchAttempt] = []

    def fails(number: int, node: str, attempt: BatchAttempt) -> None:
        attempts.append(attempt)
        if not attempt.is_last:
            raise ValueError

    ray.batch = fails
    run(store, batches=1)
    assert [(each.number, each.is_last, each.is_alone) for each in attempts] == [
        (1, False, False),
        (2, False, False),
        (3, True, False),
    ]
    assert ray.batches == [(0, "first")]


def failing_on(ray: PretendedRay, *names: str) -> Counter[str]:
    """Have workers start on these nodes and fail there at every batch; counts these attempts."""
    ray.start_s, ray.batch_s = 10.0, 14.0
    tried = Counter[str]()

    def batch(number: int, node: str, attempt: BatchAttempt) -> None:
        if node in names:
            tried[node] += 1
            raise ClusterError(f"{node} cannot start a decoder")

    ray.batch = batch
    return tried


@pytest.mark.parametrize(
    ("good", "bad", "batches"), [(2, 1, 200), (2, 2, 200), (14, 2, 500), (14, 4, 500)]
)
def test_nodes_that_fail_at_every_batch_lose_none_and_are_kept_off(
    store: Store, monkeypatch: pytest.MonkeyPatch, good: int, bad: int, batches: int
) -> None:
    nodes = [node(f"good-{n}") for n in range(good)] + [node(f"bad-{n}") for n in range(bad)]
    ray = pretend(monkeypatch, *nodes)
    tried = failing_on(ray, *[f"bad-{n}" for n in range(bad)])
    run(store, batches=batches, max_workers=good + bad)
    assert sorted(number for number, _ in ray.batches) == list(range(batches))
    assert len(tried) == bad
    assert max(tried.values()) <= 12


def test_a_batch_is_not_given_to_a_node_where_it_has_failed_while_there_are_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pretend(monkeypatch, *[node(f"node-{n}") for n in range(3)])
    ray.start_s, ray.batch_s = 10.0, 14.0
    tried: dict[int, list[str]] = {number: [] for number in range(0, 60, 5)}

    def batch(number: int, node: str, attempt: BatchAttempt) -> None:
        if number in tried:
            tried[number].append(node)
            if not attempt.is_last:
                raise ValueError

    ray.batch = batch
    run(store, batches=80)
    names = ["node-0", "node-1", "node-2"]
    assert {number: sorted(nodes) for number, nodes in tried.items()} == dict.fromkeys(tried, names)


@pytest.mark.parametrize("names", [("only",), ("first", "second")])
def test_images_that_are_bad_in_every_batch_keep_no_healthy_node_off_for_long(
    store: Store, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    ray = pretend(monkeypatch, *map(node, names))
    ray.start_s, ray.batch_s = 10.0, 14.0

    def batch(number: int, node: str, attempt: BatchAttempt) -> None:
        if not attempt.is_last:
            raise ValueError

    ray.batch = batch
    run(store, batches=20)
    assert len(ray.batches) == 20
    least_s = 20 * 3 * (10.0 + 14.0) / len(names)
    assert ray.monotonic() < 3 * least_s
