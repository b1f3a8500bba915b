"""Costs of jobs, on a real object store."""

import logging

import pytest

from srgan.report.costs import counting, read_costs
from srgan.services.s3 import S3Store


def test_a_job_that_fails_has_cost_too(object_store: S3Store) -> None:
    with counting(object_store, "stage-1", "root-stage-1", stage="pretrain", cpus=4, gpus=2):
        pass
    with (
        pytest.raises(ValueError, match="broken"),
        counting(object_store, "stage-1", "root-stage-2", stage="pretrain", cpus=4, gpus=0),
    ):
        raise ValueError("broken")
    with counting(object_store, "stage-10", "root-stage-1", stage="pretrain", cpus=1, gpus=0):
        pass
    first, second = read_costs(object_store, "stage-1")
    assert [first.job, second.job] == ["root-stage-1", "root-stage-2"]
    assert first.cpu_seconds == 2 * first.gpu_seconds == 4 * first.seconds
    assert first.seconds >= 0


def test_a_bucket_that_takes_nothing_costs_the_figure_and_not_the_job(
    object_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    gone = S3Store(object_store._client, "no bucket's name")
    with (
        caplog.at_level(logging.WARNING),
        counting(gone, "stage-1", "root-stage-1", stage="pretrain", cpus=1, gpus=0),
    ):
        pass
    assert "could not be written" in caplog.text
