"""How often somebody may ask."""

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


def test_made_up_keys_do_not_fill_the_memory() -> None:
    limit = RateLimit(burst=1, per_s=0)
    for number in range(10_500):
        limit.allows(str(number))
    assert len(limit._left) == 10_000
    assert not limit.allows("10499")
    assert limit.allows("0"), "the oldest are forgotten"
