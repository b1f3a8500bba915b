"""Memory and threads of a batch: which images are held and encoded at once."""

import threading

import pytest
import pyvips

from srgan.bulk import outputs as module
from srgan.bulk.batch import MemoryBudget
from srgan.images import Photo
from srgan.images.rows import encode_into
from srgan.inference.engine import Engine
from srgan.services.s3 import S3Store
from tests.support.batches import CountingEngine, png, put, upscale
from tests.support.photos import DrawPhoto


def test_the_budget_bounds_what_is_taken_and_lets_giants_in_alone() -> None:
    budget = MemoryBudget(100)
    budget.take(60)
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
    budget = MemoryBudget(1)
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
