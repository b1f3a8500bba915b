"""Times and sizes as people read them."""

import pytest

from srgan.readable import duration, size


def test_durations_are_read_at_a_glance() -> None:
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
def test_sizes_have_the_unit_in_which_they_are_short(num_bytes: int, text: str) -> None:
    assert size(num_bytes) == text
