"""A bulk flow whose display or job fails while it follows batches; Prefect's server is real."""

import threading

import pytest

from flows import upscale as module
from flows.support import artifacts
from flows.upscale import upscale
from srgan.bulk.records import Tally
from srgan.bulk.run import BulkRun
from srgan.errors import ClusterError
from srgan.refs import UpscaleReport
from tests.support.bench import Bench


@pytest.mark.usefixtures("prefect_api")
def test_a_run_is_completed_although_prefect_takes_no_progress(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[float] = []

    def create(percent: float, **_: object) -> None:
        tried.append(percent)
        raise ConnectionError("Prefect's server is away")

    monkeypatch.setattr(artifacts, "create_progress_artifact", create)
    report = upscale(bench.uri("photos"), bench.uri("up"), "m")
    assert isinstance(report, UpscaleReport)
    assert report.num_done == 3
    assert tried, "the progress was shown"


@pytest.mark.usefixtures("prefect_api")
def test_a_flow_that_fails_while_it_follows_a_job_that_fails_too_ends(
    bench: Bench, photos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    broken = threading.Event()

    class Bar:
        def __init__(self, *_: object) -> None:
            pass

        def update(self, _: object) -> None:
            broken.set()
            raise RuntimeError("a bug in the display")

    def follow(number: int, run: BulkRun, have_ended: threading.Event) -> Tally:
        told.append(have_ended.wait(30))
        raise ClusterError("the workers ended")

    def fail(**_: object) -> None:
        assert broken.wait(30), "the flow fails first"
        raise ClusterError("the job failed")

    monkeypatch.setattr(module, "RunProgressBar", Bar)
    monkeypatch.setattr(module, "wait_for_records", follow)
    monkeypatch.setattr(module, "run_job", fail)
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.1)
    with pytest.raises(RuntimeError, match="a bug in the display"):
        upscale(bench.uri("photos"), bench.uri("up"), "m")
    assert told, "batches were followed"
    assert all(told), "all who followed were told that there is no more to come"
