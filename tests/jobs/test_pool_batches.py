"""Batches of a bulk run that fail, on a pretended Ray: images that end processes, bad nodes."""

import json

import pytest
from ray.exceptions import RayActorError

from srgan.bulk.attempt import Attempt
from srgan.jobs.upscale_news import note_in_work
from tests.support.pretended_ray import PretendedRay, pretend
from tests.support.pretended_runs import Store, node, run


@pytest.fixture
def store() -> Store:
    return Store()


class Deadly:
    """Images of batch 1, some of which end the process that does them."""

    def __init__(self, store: Store, *deadly: str) -> None:
        self.attempts: list[Attempt] = []
        self.done: list[str] = []
        self._store = store
        self._deadly = deadly

    def __call__(self, number: int, node: str, attempt: Attempt) -> None:
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
    before = Attempt(2, is_alone=True, job="earlier")
    note_in_work(store, "b", 1, before, "innocent.png")  # type: ignore[arg-type]  # only puts
    attempts: list[Attempt] = []

    def dies(number: int, node: str, attempt: Attempt) -> None:
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
    attempts: list[Attempt] = []

    def fails(number: int, node: str, attempt: Attempt) -> None:
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
