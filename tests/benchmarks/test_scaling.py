"""The arithmetic of ``docs/scaling.md``: what doubles, what stays, and what is predicted."""

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks.scaling import constants as c
from benchmarks.scaling import storage
from benchmarks.scaling.bulk import (
    Limit,
    Requests,
    Work,
    Worker,
    calls_to_prefect,
    followed_per_s,
    limits,
    predicted_s,
    requests,
)
from benchmarks.scaling.storage import counted_runs
from benchmarks.scaling.training import Training, reduce_share, ring_s, speed_up
from flows import upscale
from srgan.bulk import progress
from srgan.bulk.decoders import Decoders
from srgan.services import metric_log
from srgan.services.s3 import S3Store
from srgan.train import validation

MILLION = 10**6


def limit(work: Work, name: str) -> Limit:
    (found,) = (each for each in limits(work) if name in each.name)
    return found


def test_the_prediction_of_every_measured_run_is_within_15_percent() -> None:
    for run in c.MEASURED_RUNS:
        assert predicted_s(run) == pytest.approx(run.seconds, rel=0.15), run.title


def test_twice_as_many_photos_make_twice_as_many_requests_of_images() -> None:
    one, two = (requests(Work(number))["images"] for number in (MILLION, 2 * MILLION))
    assert two == one + one
    assert two.dollars == pytest.approx(2 * one.dollars)


def test_a_photo_costs_a_read_and_a_write() -> None:
    made = requests(Work(MILLION))["images"]
    assert (made.get, made.head, made.put, made.list) == (MILLION, 0, MILLION, 0)
    assert made.dollars == pytest.approx(0.4 + 5.0)


def test_twice_as_many_workers_end_in_half_the_time_for_the_same_money() -> None:
    few, many = (Work(MILLION, number) for number in (8, 16))
    assert many.seconds == pytest.approx(few.seconds / 2, rel=0.02)
    prices = [sum(requests(each).values(), Requests()).dollars for each in (few, many)]
    assert prices[1] == pytest.approx(prices[0], rel=0.02)


def test_a_run_is_at_least_as_long_as_the_flow_follows_it() -> None:
    work = Work(10 * MILLION, is_measured=True, batch_bytes=2**21)
    assert work.whole_s > work.plan_s + work.num_batches / followed_per_s(work) > work.seconds


def test_requests_that_a_real_store_gets_are_those_of_the_constants(
    object_store: S3Store, running_decoders: Decoders
) -> None:
    photos, batches = storage.NUM_IMAGES, storage.NUM_BATCHES
    runs = {title: each for title, *each in counted_runs(object_store, running_decoders.decode)}
    planned, done = runs["first run"]
    assert planned["PutObject", "<bulk run>/plan/<batch>.json"] == batches
    assert done["HeadObject", "of an output"] == photos * c.HEADS_PER_IMAGE
    assert done["GetObject", "of a photo"] == photos * c.GETS_PER_IMAGE
    assert done["PutObject", "of an output"] == photos * c.PUTS_PER_IMAGE
    others = Counter(done)
    for operation, kind in done:
        if kind in ("of an output", "of a photo"):
            del others[operation, kind]
    by_operation = Counter[str]()
    for (operation, _), number in others.items():
        by_operation[operation] += number
    assert by_operation["GetObject"] == batches * c.GETS_PER_BATCH
    # The plan has written the lists. A slow machine writes progress more than once.
    assert by_operation["PutObject"] >= batches * (c.PUTS_PER_BATCH - 1)
    assert set(by_operation) == {"GetObject", "PutObject"}
    planned, done = runs["outputs without records"]
    assert done["HeadObject", "of an output"] == 2 * photos
    assert not done["GetObject", "of a photo"]
    planned, done = runs["nothing new"]
    assert planned["GetObject", "<bulk run>/records/<batch>.parquet"] == batches
    assert not done


def test_requests_of_all_parts_add_up() -> None:
    assert Requests(1, 2, 3, 4) + Requests(1, 1, 1, 1) == Requests(2, 3, 4, 5)
    assert Requests(put=1000).dollars == Requests(list=1000).dollars == pytest.approx(0.005)


def test_batches_are_those_of_the_planner() -> None:
    work = Work(MILLION)
    assert work.num_batches == -(-MILLION * work.image_bytes // (64 * 2**20))
    first = replace(work, is_measured=False)
    assert first.num_batches == -(-MILLION * work.image_bytes // (8 * 2**20))
    assert Work(MILLION, image_bytes=1000).num_batches == MILLION / 5000


def test_larger_batches_give_the_flow_less_to_follow() -> None:
    work = Work(10 * MILLION, is_measured=False)
    larger = replace(work, is_measured=True, batch_bytes=2**30)
    assert limit(work, "flow notices").share > 2 * limit(larger, "flow notices").share
    assert followed_per_s(larger) == followed_per_s(work), "it reads only what it follows"


def test_png_keeps_the_cpus_longer_than_the_gpu_and_more_cpus_mend_it() -> None:
    work = Work(MILLION, output_format="png")
    assert limit(work, "CPU time").share > 1
    many = replace(work, worker=Worker(num_cpus=64))
    assert limit(many, "CPU time").share < 1
    assert many.seconds < work.seconds


def test_what_prefect_is_asked_depends_on_time_and_not_on_batches() -> None:
    work = Work(MILLION)
    smaller = replace(work, batch_bytes=2**24, worker=Worker(next_batch_s=0))
    assert smaller.num_batches > 3 * work.num_batches
    assert calls_to_prefect(smaller) < calls_to_prefect(work)


def test_limits_begin_with_the_scarcest() -> None:
    shares = [each.share for each in limits(Work(MILLION))]
    assert shares == sorted(shares, reverse=True)


def test_one_gpu_has_no_all_reduce_and_more_have_more_of_it() -> None:
    for step in c.STEPS:
        for link in c.LINKS:
            shares = [reduce_share(step, 16, number, link) for number in (1, 2, 4, 64)]
            assert shares[0] == 0
            assert shares == sorted(shares)
            assert shares[-1] < 1


def test_a_ring_sends_almost_twice_the_bytes_however_many_take_part() -> None:
    link = replace(c.LINKS[1], latency_s=c.Constant(0, "here", "2026-11-29"))
    assert ring_s(1e6, 2, link) == pytest.approx(1e6 / link.bytes_per_s)
    assert ring_s(1e6, 1000, link) == pytest.approx(2e6 / link.bytes_per_s, rel=0.002)


def test_the_measured_all_reduce_of_two_ranks_comes_out_again() -> None:
    assert ring_s(c.GENERATOR_BYTES, 2, c.LINKS[0]) == pytest.approx(8.3e-3)


def test_a_small_batch_gains_nothing_from_more_gpus() -> None:
    step, link = c.STEPS[1], c.LINKS[2]
    assert speed_up(step, 16, 1, link) == 1
    assert speed_up(step, 16, 8, link) < 1
    assert speed_up(step, 1024, 8, link) > 4


def test_figures_that_wait_go_to_mlflow_together() -> None:
    often, seldom = (Training(1000, 1.0, every, 1000) for every in (1, 100))
    assert often.num_figures == 100 * seldom.num_figures
    assert often.database_bytes == 100 * seldom.database_bytes
    # One for every two seconds, against one for each of ten logs.
    assert often.num_requests - seldom.num_requests == 500 - 10


def test_constants_that_the_code_has_too_are_the_same() -> None:
    assert c.LOOK_EVERY_S == upscale._LOOK_EVERY_S
    assert c.FOLLOWED_PER_WORKER == upscale._FOLLOWED
    assert c.PROGRESS_EVERY_S == progress._SAY_EVERY_S
    assert c.FLUSH_EVERY_S == metric_log._FLUSH_INTERVAL_S
    assert c.PICTURES_PER_VALIDATION == validation._NUM_PICTURES
