"""The end of a bulk run: every key is counted once, and the verdict is honest."""

import json
from dataclasses import asdict, fields, replace
from io import BytesIO

import pyarrow.parquet as pq
import pytest

from srgan.bulk.plan import BulkPlan
from srgan.bulk.records import Record, Tally, from_parquet, statistics, tally, to_parquet
from srgan.bulk.run import stamp_of
from srgan.bulk.summary import check, summarise, write_summary
from srgan.config import UpscaleConfig
from srgan.errors import ClusterError, DataError
from srgan.images.statistics import Statistics
from srgan.refs import ModelRef, config_digest
from srgan.services.s3 import S3Store
from tests.support.bulk_runs import run_of


def plan(
    destination: str = "s3://bucket/up", *, num_todo: int = 6, num_covered: int = 3
) -> BulkPlan:
    return BulkPlan(
        run="run",
        source="s3://bucket/photos",
        destination=destination,
        model=ModelRef(name="m", version=7, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig(),
        created_at=0.0,
        num_batches=2,
        num_todo=num_todo,
        todo_bytes=600,
        num_covered=num_covered,
        refused=Tally(num_failed=1, reasons={"unsafe_name": 1}, failures={"../x": "unsafe"}),
    )


def row(key: str, outcome: str, reason: str = "") -> Record:
    return Record(
        source_key=key,
        source_token="t",
        source_bytes=100,
        model="m/7",
        config_digest="c",
        outcome=outcome,  # type: ignore[arg-type]  # tests pass outcomes by name
        error="ImageError" if reason else "",
        reason=reason,
        detail="why" if reason else "",
        width=2000 if outcome == "done" else 0,
        height=1000 if outcome == "done" else 0,
        destination_bytes=5000 if outcome == "done" else 0,
        upscale_s=1.5 if outcome == "done" else 0.0,
    )


MEASURED = Statistics(
    blur=0.25,
    noise=1.5,
    jpeg_quality=92.0,
    source_side=500.0,
    brightness=120.0,
    contrast=40.0,
    colourfulness=30.0,
)
BATCH_0 = tally([row("a", "done"), row("b", "skipped"), row("c", "failed", "truncated")])
BATCH_1 = tally([row("d", "done"), row("e", "done"), row("f", "failed", "truncated")])


def test_every_key_is_counted_once() -> None:
    summary = summarise(plan(), {0: BATCH_0, 1: BATCH_1}, {})
    counts = summary.counts
    assert (counts.num_done, counts.num_skipped, counts.num_failed) == (3, 4, 3)
    assert summary.num_keys == 10
    assert counts.reasons == {"truncated": 2, "unsafe_name": 1}
    assert counts.output_megapixels == pytest.approx(6.0)
    assert (counts.input_bytes, counts.output_bytes) == (300, 15_000)
    assert counts.seconds["upscale"] == pytest.approx(4.5)


def test_the_keys_of_a_lost_batch_count_as_failed_and_fail_the_run_at_any_tolerance() -> None:
    summary = summarise(plan(), {0: BATCH_0}, {1: "the node went away"})
    assert summary.counts.num_failed == 1 + 1 + 3
    assert summary.counts.reasons["batch_lost"] == 3
    with pytest.raises(ClusterError, match=r"(?s)5 of 10 images failed.*the node went away"):
        check(summary, failure_tolerance=1.0)


def test_failures_above_the_tolerance_are_an_error_with_counts_and_examples() -> None:
    summary = summarise(plan(), {0: BATCH_0, 1: BATCH_1}, {})
    with pytest.raises(DataError) as caught:
        check(summary, failure_tolerance=0.29)
    message = str(caught.value)
    assert "3 of 10 images failed (truncated 2, unsafe_name 1)" in message
    assert "3 are done, 4 were already done" in message
    assert "'c' (ImageError truncated: why)" in message


def test_failures_within_the_tolerance_pass() -> None:
    check(summarise(plan(), {0: BATCH_0, 1: BATCH_1}, {}), failure_tolerance=0.3)


def test_what_outputs_lost_is_counted_by_name() -> None:
    done = row("a", "done")
    rows = [replace(done, lost="XMP; gain map"), replace(done, lost="XMP"), done]
    counts = tally(rows[:1]) + tally([*rows[1:], row("b", "failed", "truncated")])
    assert counts.num_lossy == 2
    assert counts.losses == {"XMP": 2, "gain map": 1}
    assert from_parquet(to_parquet(rows), "part") == rows


def test_records_of_earlier_releases_say_nothing_about_losses() -> None:
    table = pq.read_table(BytesIO(to_parquet([row("a", "done")]))).drop_columns(["lost"])
    buffer = BytesIO()
    pq.write_table(table, buffer)
    assert from_parquet(buffer.getvalue(), "part") == [row("a", "done")]


def test_records_of_earlier_releases_have_no_statistics() -> None:
    rows = [replace(row("a", "done"), **asdict(MEASURED)), row("b", "failed", "truncated")]
    assert statistics(to_parquet(rows), "part") == [MEASURED]
    names = [f.name for f in fields(Statistics)]
    table = pq.read_table(BytesIO(to_parquet(rows))).drop_columns(names)
    buffer = BytesIO()
    pq.write_table(table, buffer)
    assert statistics(buffer.getvalue(), "part") == []
    assert [each.source_key for each in from_parquet(buffer.getvalue(), "part")] == ["a", "b"]


def test_options_that_came_later_leave_the_outputs_of_earlier_releases_done() -> None:
    def digest(**options: object) -> str:
        return stamp_of(plan().model, UpscaleConfig.model_validate(options)).config_digest

    assert digest() == digest(compression=3) == config_digest(
        "same", 92, "4:4:4", "auto", None, None
    )  # fmt: skip
    assert digest() != digest(compression=9)
    assert digest() == digest(salvage=True), "whole photos come out the same"


def test_only_the_first_failures_are_listed() -> None:
    many = [row(f"{number:03d}", "failed", "empty") for number in range(50)]
    counts = tally(many[:15]) + tally(many[15:])
    assert counts.num_failed == 50
    assert list(counts.failures) == [f"{number:03d}" for number in range(20)]


def test_the_summary_is_stored_and_reported(object_store: S3Store) -> None:
    made = plan(object_store.uri("up"))
    summary = summarise(made, {0: BATCH_0, 1: BATCH_1}, {})
    report = write_summary(run_of(made, object_store), summary)
    assert report.summary_key == "up/_srgan/run/summary.json"
    assert (report.num_done, report.num_skipped, report.num_failed) == (3, 4, 3)
    assert report.model == "models:/m/7"
    assert report.failures.keys() == {"../x", "c", "f"}
    stored = json.loads(object_store.get(report.summary_key))
    assert stored["counts"]["num_done"] == 3
    assert stored["num_keys"] == 10
