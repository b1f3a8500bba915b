"""The join of listings and records holds flat memory."""

import tracemalloc
from collections.abc import Iterator

from srgan.bulk.join import Join
from srgan.storage import ObjectInfo


def test_planning_holds_flat_memory() -> None:
    def join_keys(num_keys: int) -> int:
        tracemalloc.start()
        with Join() as join:
            for number in range(num_keys):
                key = f"photos/{number:07d}.jpg"
                join.add_source(ObjectInfo(key, "token", 1000), f"up/{number:07d}.png")
                join.add_output(ObjectInfo(f"up/{number:07d}.png", "made", 16_000))
            join.add_records(_records(num_keys))
            assert join.count() == (num_keys, num_keys // 2, num_keys // 2 * 1000)
            assert sum(1 for _ in join.todo()) == num_keys // 2
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    # The keys alone would be 1.4 MB, were they held. Threads of other tests count here too.
    assert join_keys(20_000) < 1_000_000


def _records(num_keys: int) -> Iterator[tuple[str, str, str]]:
    return ((f"photos/{number:07d}.jpg", "token", "made") for number in range(0, num_keys, 2))
