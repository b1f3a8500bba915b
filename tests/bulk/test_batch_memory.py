"""Memory, disk and threads of a batch: which images are held and encoded at once."""

import threading

import pytest
import pyvips

from srgan.bulk import batch
from srgan.bulk import outputs as module
from srgan.bulk.budgets import Budget
from srgan.errors import ImageError
from srgan.images import Photo
from srgan.images.rows import encode_into
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from tests.support.batches import CountingEngine, png, put, upscale
from tests.support.photos import DrawPhoto


def test_the_budget_bounds_what_is_taken_and_lets_giants_in_alone() -> None:
    budget = Budget(100)
    assert not budget.take(60), "nobody else is there"
    entered = threading.Event()

    def giant() -> None:
        budget.take(1000)
        entered.set()

    thread = threading.Thread(target=giant)
    thread.start()
    assert not entered.wait(0.05), "a second one entered beside the first"
    budget.give_back(60)
    assert entered.wait(5), "alone it is let in although it exceeds the budget"
    thread.join()


def test_a_closed_budget_wakes_those_who_wait() -> None:
    budget = Budget(1)
    budget.take(1)
    errors: list[RuntimeError] = []

    def late() -> None:
        try:
            budget.take(1)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    budget.close()
    thread.join(5)
    assert len(errors) == 1


class PhoneEngine(CountingEngine):
    """Takes each photo for one of 12 megapixels, and says when it has upscaled two."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.second = threading.Event()

    def held_bytes(self, photo: Photo) -> int:
        return 36_000_000 + 2 * 576_000_000

    def upscale_photo(self, photo: Photo) -> Photo:
        made = super().upscale_photo(photo)
        if len(self.seen) == 2:
            self.second.set()
        return made


@pytest.mark.parametrize(("num_cpus", "overlap"), [(1, False), (2, True)])
def test_each_cpu_holds_one_photo_of_a_phone(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    num_cpus: int,
    overlap: bool,
) -> None:
    phone = PhoneEngine(engine)
    items = [put(object_store, f"{name}.png", png(draw_photo(1, 8, 8))) for name in "ab"]
    met = list[bool]()

    def encoded(*args: object, **options: object) -> tuple[str, ...]:
        met.append(phone.second.wait(10 if overlap else 0.5))
        return encode_into(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_into", encoded)
    rows = upscale(object_store, phone, items, num_cpus=num_cpus)
    assert [row.outcome for row in rows] == ["done", "done"]
    assert met[0] is overlap


class SpoolingEngine(CountingEngine):
    """Every result goes to the disk, which has room for `most`; notes how many are there at once.

    Photos have 8 × 8 pixels and results 32 × 32: with its file one takes 6 KiB.
    """

    def __init__(self, engine: Engine, most: int) -> None:
        super().__init__(engine)
        self.on_disk = self.highest = self.refused = 0
        self.is_full = threading.Event()
        """Set when the next result does not fit, and when there is none. Then encoding begins."""
        self._most = most

    def is_spooled(self, photo: Photo) -> bool:
        return True

    def upscale_photo(self, photo: Photo) -> Photo:
        if self.on_disk == self._most:
            self.refused += 1
            self.is_full.set()
            raise ImageError("no_space", "the disk is full")
        made = super().upscale_photo(photo)
        self.on_disk += 1
        self.highest = max(self.highest, self.on_disk)
        if len(self.seen) == NUM_SPOOLED:
            self.is_full.set()
        return made

    def encoded(self, *args: object, **options: object) -> tuple[str, ...]:
        """Encode a result, which leaves the disk then."""
        assert self.is_full.wait(60)
        try:
            return encode_into(*args, **options)  # type: ignore[arg-type]
        finally:
            self.on_disk -= 1


NUM_SPOOLED = 12


@pytest.mark.parametrize(("scale", "most"), [(4, 3), (8, 1)])
def test_no_more_results_wait_on_the_disk_than_it_is_meant_to_hold(
    object_store: S3Store,
    engine: Engine,
    draw_photo: DrawPhoto,
    monkeypatch: pytest.MonkeyPatch,
    scale: int,
    most: int,
) -> None:
    spooling = SpoolingEngine(engine, most=NUM_SPOOLED)

    class Known(Budget):
        def _has_room(self, size_bytes: int) -> bool:
            has_room = super()._has_room(size_bytes)
            if not has_room:
                spooling.is_full.set()
            return has_room

    monkeypatch.setattr(batch, "Budget", Known)
    monkeypatch.setattr(module, "encode_into", spooling.encoded)
    monkeypatch.setattr(batch, "SPOOLED_BYTES_PER_CPU", 3 * 2 * 32 * 32 * 3)
    items = [put(object_store, f"{n}.png", png(draw_photo(1, 8, 8))) for n in range(NUM_SPOOLED)]
    rows = upscale(object_store, spooling, items, scale=scale)
    assert {row.outcome for row in rows} == {"done"}
    assert spooling.highest == most


def test_where_the_disk_is_smaller_an_image_waits_until_others_are_written(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooling = SpoolingEngine(engine, most=2)
    monkeypatch.setattr(module, "encode_into", spooling.encoded)
    items = [put(object_store, f"{n}.png", png(draw_photo(1, 8, 8))) for n in range(NUM_SPOOLED)]
    rows = upscale(object_store, spooling, items)
    assert [(row.outcome, row.detail) for row in rows] == [("done", "")] * NUM_SPOOLED
    assert spooling.refused >= 1, "it was full"


def test_an_image_that_does_not_fit_onto_an_empty_disk_is_not_tried_twice(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto
) -> None:
    spooling = SpoolingEngine(engine, most=0)
    (row,) = upscale(object_store, spooling, [put(object_store, "a", png(draw_photo(1, 8, 8)))])
    assert (row.outcome, row.reason, spooling.refused) == ("failed", "no_space", 1)


def test_each_image_is_encoded_by_one_thread_because_others_are_encoded_beside_it(
    object_store: S3Store, engine: Engine, draw_photo: DrawPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def encoded(*args: object, **options: object) -> tuple[str, ...]:
        threads.append(pyvips.concurrency_get())
        return encode_into(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "encode_into", encoded)
    pyvips.concurrency_set(7)
    upscale(object_store, engine, [put(object_store, "a.png", png(draw_photo(1, 8, 8)))])
    assert threads == [1]
