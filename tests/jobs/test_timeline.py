"""Where the time until the first step goes."""

from srgan.jobs.node import Timeline


def test_the_whole_is_told_with_its_parts_across_processes() -> None:
    driver = Timeline([("begun", 100.0), ("checks", 101.5)])
    worker = Timeline(driver.marks)
    worker.marks.append(("workers", 109.0))
    assert worker.line() == "9.0 s: checks 1.5 s, workers 7.5 s"
    assert driver.line() == "1.5 s: checks 1.5 s", "a copy leaves the driver's own alone"


def test_clocks_that_differ_show_no_negative_part() -> None:
    assert Timeline([("begun", 100.0), ("workers", 99.0)]).line() == "0.0 s: workers 0.0 s"
