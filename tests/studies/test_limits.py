"""How often somebody may ask."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from srgan.studies.limits import RateLimit


def test_a_burst_is_let_through_and_then_a_rate() -> None:
    now = [0.0]
    limit = RateLimit(burst=3, per_s=2, clock=lambda: now[0])
    assert [limit.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert limit.allows("b"), "each key by itself"
    now[0] = 0.5
    assert [limit.allows("a") for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert [limit.allows("a") for _ in range(5)] == [True, True, True, False, False]


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that take turns all the time, so that a race that there is shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_together_get_no_more_than_the_burst(eager_threads: None) -> None:
    limit = RateLimit(burst=60, per_s=20, clock=lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        allowed = pool.map(lambda _: sum(limit.allows("a") for _ in range(2000)), range(8))
        assert sum(allowed) == 60


def test_made_up_keys_do_not_fill_the_memory() -> None:
    limit = RateLimit(burst=1, per_s=0)
    for number in range(10_500):
        limit.allows(str(number))
    assert len(limit._left) == 10_000
    assert not limit.allows("10499")
    assert limit.allows("0"), "the oldest are forgotten"
