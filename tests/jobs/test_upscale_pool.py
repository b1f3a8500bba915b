"""Workers of a bulk run on a real Ray of two processors: what one loses, another does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayActorError
from ray.util import placement_group, remove_placement_group

from srgan.config import UpscaleConfig
from srgan.errors import ClusterError, ConfigError, StorageError
from srgan.jobs import upscale_batches, upscale_pool
from srgan.jobs.failure import Failure
from srgan.jobs.node import count_drivers
from srgan.jobs.upscale_need import worker_need
from srgan.jobs.upscale_pool import Pool
from srgan.jobs.upscale_spec import UpscaleSpec
from srgan.refs import ModelRef
from srgan.services.ray_jobs import DRIVER_SHARE, HEAD
from srgan.services.s3 import S3Store
from tests.support.pool_worker import Worker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its processes

MEMORY_BYTES = 16 * 2**30
"""Memory that Ray reckons with, whatever this machine has."""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Nothing listens there. Else a run that waits looks 40 s for this cluster's job server,
        # which it does not have, or finds what another cluster left in /tmp/ray.
        patch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=1,  # pretended: Ray only counts it
            _memory=MEMORY_BYTES,
            include_dashboard=False,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upscale_batches, "_PAUSE_S", 0.2)


def run(
    store: S3Store,
    folder: Path,
    batches: int,
    plan: dict[Any, Any],
    name: str = "b",
    **config: object,
) -> None:
    (folder / "plan.json").write_text(json.dumps(plan))
    spec = UpscaleSpec(
        run=name,
        source="s3://b/photos",
        destination=str(folder),
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig.model_validate({"max_workers": 2, "gpu": "never", **config}),
        batches=tuple(range(batches)),
        num_batches=batches,
        release_version="1",
    )
    Pool(spec, Worker, store, "root-1", 0.0).run()


def attempts(folder: Path) -> dict[int, int]:
    batches = [int(path.name.partition("-")[0]) for path in folder.glob("*-*")]
    return {batch: batches.count(batch) for batch in sorted(set(batches))}


def started(folder: Path) -> list[dict[str, Any]]:
    """Resources of each worker when it started."""
    return [json.loads(path.read_text()) for path in folder.glob("started.*")]


def failure(store: S3Store, batch: int) -> Failure | None:
    found = store.find(f"runs/upscale-b/{batch:06d}/failure.json")
    return None if found is None else Failure.model_validate_json(found)


def test_two_workers_do_all_batches_and_start_once(object_store: S3Store, tmp_path: Path) -> None:
    run(object_store, tmp_path, 12, {})
    assert attempts(tmp_path) == dict.fromkeys(range(12), 1)
    assert len({path.read_text() for path in tmp_path.glob("*-*")}) <= 2, "by processes that stay"
    progress = json.loads(object_store.get("runs/upscale-b/progress.json"))
    assert progress == {"step": 12, "steps": 12}


@pytest.mark.slow(group="parts")
def test_what_one_worker_loses_or_fails_at_is_done_again(
    object_store: S3Store, tmp_path: Path
) -> None:
    run(object_store, tmp_path, 5, {1: {"0": "dies", "1": "fails"}, 3: {"0": "fails"}})
    assert attempts(tmp_path) == {0: 1, 1: 3, 2: 1, 3: 2, 4: 1}
    assert not any(failure(object_store, batch) for batch in range(5))


@pytest.mark.slow(group="parts")
def test_a_batch_that_failed_is_done_again_by_another_process_after_a_pause_that_grows(
    object_store: S3Store, tmp_path: Path
) -> None:
    run(object_store, tmp_path, 1, {0: {"0": "fails", "1": "fails"}})
    files = [tmp_path / f"0-{attempt}" for attempt in range(3)]
    assert len({path.read_text() for path in files}) == 3
    first, second, third = (path.stat().st_mtime for path in files)
    pause_s = upscale_batches._PAUSE_S
    assert second - first >= pause_s
    assert third - second >= 2 * pause_s


@pytest.mark.slow(group="parts")
def test_a_worker_that_rays_memory_monitor_has_killed_costs_one_attempt_of_one_batch(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = ray.get

    def getting(ref: object) -> object:
        try:
            return get(ref)
        except RayActorError as error:  # what Ray says of it is no `RayActorError`
            raise OutOfMemoryError("killed because the node ran low on memory") from error

    monkeypatch.setattr(ray, "get", getting)
    run(object_store, tmp_path, 2, {0: {"0": "dies"}}, max_workers=1)
    assert attempts(tmp_path) == {0: 2, 1: 1}
    assert failure(object_store, 0) is None


@pytest.mark.slow(group="parts")
def test_a_worker_that_is_out_of_reach_is_ended_before_another_does_its_batch(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt fails as long as the first worker lives."""
    lost: list[object] = []
    wait, get = ray.wait, ray.get

    def waiting(refs: list[Any], *, timeout: float) -> object:
        if lost or not (tmp_path / "0-0").exists():
            return wait(refs, timeout=min(timeout, 0.1))
        lost.extend(refs)
        return refs, []

    def getting(ref: object) -> object:
        if ref in lost:
            raise ActorUnavailableError("no answer", None)
        return get(ref)

    monkeypatch.setattr(ray, "wait", waiting)
    monkeypatch.setattr(ray, "get", getting)
    run(object_store, tmp_path, 2, {0: {"0": "hangs", "1": "is alone"}}, max_workers=1)
    assert attempts(tmp_path) == {0: 2, 1: 1}
    assert failure(object_store, 0) is None


@pytest.mark.slow(group="parts")
def test_a_batch_that_is_lost_leaves_its_reason_and_costs_no_other(
    object_store: S3Store, tmp_path: Path
) -> None:
    plan = {0: {"always": "fails"}, 2: {"always": "is hopeless"}}
    run(object_store, tmp_path, 4, plan, max_workers=1)
    assert attempts(tmp_path) == {0: 3, 1: 1, 2: 1, 3: 1}
    failed, hopeless = failure(object_store, 0), failure(object_store, 2)
    assert failed is not None
    assert hopeless is not None
    assert (failed.job, str(failed), failed.hopeless) == ("root-1", "RuntimeError: again", False)
    assert (str(hopeless), hopeless.hopeless) == ("ConfigError: for ever", True)


@pytest.mark.slow(group="parts")
def test_batches_that_fail_on_one_node_are_done_on_another(
    object_store: S3Store, tmp_path: Path
) -> None:
    """The good node is busy until the other has failed at both batches that are left."""
    run(object_store, tmp_path, 3, {"bad": "batches"})
    assert sorted(attempts(tmp_path).values()) == [1, 2, 2]
    assert not any(failure(object_store, batch) for batch in range(3))


@pytest.mark.slow(group="parts")
@pytest.mark.parametrize(
    ("start", "error", "starts"),
    [
        ("sees no folder", ClusterError("node-1 does not see the folder"), 3),
        ("cannot read", StorageError("away"), 3),
        ("is hopeless", ConfigError("for ever"), 1),
    ],
)
def test_a_run_whose_workers_cannot_start_ends_with_their_error_and_tries_no_batch(
    object_store: S3Store, tmp_path: Path, start: str, error: Exception, starts: int
) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(object_store, tmp_path, 2, {"start": start}, max_workers=1)
    assert len(started(tmp_path)) == starts
    assert attempts(tmp_path) == {}


@pytest.mark.slow(group="parts")  # Ray starts three processes, one after the other
def test_workers_that_die_while_they_start_end_the_job(
    object_store: S3Store, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="3 workers could not start"):
        run(object_store, tmp_path, 2, {}, "stillborn", max_workers=1)


def test_a_cluster_that_is_too_small_is_named_after_the_time_limit(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale_pool, "_FIRST_NOTE_S", 0.1)
    with pytest.raises(ClusterError, match=r"has 2 CPU, 3 CPU on one node .*SRGAN_CLUSTER_WAIT_S"):
        run(object_store, tmp_path, 2, {}, cpus_per_worker=3)


@pytest.mark.parametrize(
    ("config", "device", "said"),
    [
        ({"gpu": "never"}, "cpu", "1 workers on CPUs; each takes 1 CPU + 3.5 GB memory"),
        (
            {"gpu": "required"},
            "cuda",
            "1 workers on GPUs; each takes 2 CPU + 1 GPU + 4.8 GB memory",
        ),
        (
            {"memory_bytes": "64GiB"},
            "cpu",
            "1 workers on CPUs; each takes 1 CPU + 16.1 GB memory",
        ),
    ],
    ids=["without a GPU", "with a GPU", "with more memory than there is"],
)
def test_a_worker_has_the_device_and_the_memory_that_the_log_names(
    object_store: S3Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, object],
    device: str,
    said: str,
) -> None:
    caplog.set_level("INFO")
    run(object_store, tmp_path, 1, {}, **config)
    (worker,) = started(tmp_path)
    assert worker["device"] == device
    assert worker["sees"] == ("0" if device == "cuda" else ""), "the pretended GPU of the node"
    assert worker.get("GPU", 0) == (device == "cuda")
    assert said in caplog.messages[0]
    memory_bytes = worker_need(
        UpscaleConfig.model_validate(config), upscale_pool.node_resources(), device == "cuda"
    ).memory_bytes
    assert worker["memory"] == worker["told"] == memory_bytes


def test_drivers_are_counted_by_what_they_reserve_of_the_head() -> None:
    assert count_drivers() == 1, "the one that counts"
    group = placement_group([{HEAD: DRIVER_SHARE}] * 3)
    # It is counted before it is ready, and Ray 2.60 keeps one in twelve that are removed then.
    assert group.wait(60)
    wait_until(lambda: count_drivers() == 3, "Ray tells of three drivers")
    remove_placement_group(group)
    wait_until(lambda: count_drivers() == 1, "they are gone")


def test_a_run_that_finds_no_gpu_says_how_to_wait_for_one(
    object_store: S3Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(upscale_pool, "node_resources", lambda: [{"CPU": 2.0}])
    run(object_store, tmp_path, 1, {}, gpu="auto")
    assert "on CPUs, because no node has a GPU (gpu: required waits for one)" in caplog.messages[0]


FIRST = {"CPU": 2.0, "GPU": 1.0, "memory": 8 * 2**30}


@pytest.mark.slow(group="parts")
@pytest.mark.parametrize(
    ("before", "after", "starts"),
    [
        ([FIRST], [FIRST, {**FIRST, "CPU": 1.0}], 1),
        ([{"CPU": 2.0}], [FIRST], 2),
        ([{**FIRST, "memory": 0}], [FIRST], 2),
    ],
    ids=["a smaller node joins", "the first with a GPU joins", "its memory is known"],
)
def test_a_worker_is_started_again_only_where_there_is_more_for_it(
    object_store: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[dict[str, float]],
    after: list[dict[str, float]],
    starts: int,
) -> None:
    def nodes() -> list[dict[str, float]]:
        return after if started(tmp_path) else before

    monkeypatch.setattr(upscale_pool, "node_resources", nodes)
    run(object_store, tmp_path, 2, {}, gpu="required", max_workers=1)
    assert len(started(tmp_path)) == starts
    assert {path.read_text().partition(" with ")[2] for path in tmp_path.glob("*-*")} == {"2 CPUs"}
