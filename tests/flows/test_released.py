"""A bulk run that the previous release had planned goes on with today's code."""

from tests.support.bench import Bench
from tests.support.released import fill


def test_a_killed_bulk_run_of_the_previous_release_goes_on_with_its_own_plan(bench: Bench) -> None:
    fill(bench.store)
    before = {info.key for info in bench.store.list("up/_srgan/")}
    report = bench.upscale()
    assert (report.num_done, report.num_skipped, report.num_failed) == (1, 2, 0)
    plans = {key for key in before if key.endswith("/plan.json")}
    after = {info.key for info in bench.store.list("up/_srgan/")}
    assert {key for key in after if key.endswith("/plan.json")} == plans
    bench.root = "later"
    again = bench.upscale()
    assert (again.num_done, again.num_skipped, again.num_failed) == (0, 3, 0)
