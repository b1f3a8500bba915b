"""Times, sizes and progress for people."""

import time

import pytest

from srgan.config import UpscaleConfig
from srgan.readable import Countdown, duration, parse_size, size
from tests.support.clock import Clock


def test_durations_are_written_in_two_units() -> None:
    assert [duration(s) for s in (0.4, 42, 185, 7620)] == [
        "0 s",
        "42 s",
        "3 min 05 s",
        "2 h 07 min",
    ]


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0.0 kB"),
        (1_234, "1.2 kB"),
        (999_960, "1.0 MB"),
        (74_165_700_000, "74.2 GB"),
        (3 * 10**15, "3000.0 TB"),
    ],
)
def test_sizes_have_the_unit_that_makes_them_short(num_bytes: int, text: str) -> None:
    assert size(num_bytes) == text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_the_time_left_is_reported_every_few_seconds_and_at_the_end(clock: Clock) -> None:
    said: list[str] = []
    countdown = Countdown(said.append, "photos read", every_s=5)
    clock.now += 100  # a listing, which does not count for the pace
    countdown(0, 1200)
    for done in range(1, 1201):
        clock.now += 1
        countdown(done, 1200)
    assert said[:3] == [
        "photos read: 0 of 1200",
        "photos read: 5 of 1200, 19 min 55 s left",
        "photos read: 10 of 1200, 19 min 50 s left",
    ]
    assert said[-1] == "photos read: 1200 of 1200"
    assert len(said) == 1 + 1200 // 5


def test_work_that_is_done_at_once_is_reported_once(clock: Clock) -> None:
    said: list[str] = []
    countdown = Countdown(said.append, "photos read")
    for done in range(1, 4):
        countdown(done, 3)
    assert said == ["photos read: 3 of 3"]


def test_no_work_is_not_reported(clock: Clock) -> None:
    said: list[str] = []
    Countdown(said.append, "photos read")(0, 0)
    assert said == []


@pytest.mark.parametrize(
    ("text", "num_bytes"),
    [("20GiB", 20 * 2**30), (" 1.5 GB ", 1_500_000_000), ("2g", 2 * 10**9), ("7", 7)],
)
def test_sizes_are_read_with_units_of_1000_and_of_1024(text: str, num_bytes: int) -> None:
    assert parse_size(text) == num_bytes


@pytest.mark.parametrize("text", ["", "lots", "-1GiB", "2e3", "10 xB", "1.5.2GB", "2GiB each"])
def test_what_is_not_a_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a size; write it as 20GiB, 1500MB or in bytes"):
        parse_size(text)


def test_configs_take_sizes_too() -> None:
    assert UpscaleConfig(memory_bytes="4GiB").memory_bytes == 4 * 2**30
    assert UpscaleConfig.model_json_schema()["properties"]["memory_bytes"]["anyOf"] == [
        {"type": "integer"},
        {"type": "string"},
    ]
