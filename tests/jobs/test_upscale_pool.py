"""Workers of a bulk run on a real Ray of two processors: what one loses, another does."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from srgan.config import UpscaleConfig
from srgan.errors import ClusterError
from srgan.jobs import upscale_pool
from srgan.jobs.failure import Failure
from srgan.jobs.upscale import UpscaleSpec
from srgan.jobs.upscale_pool import Pool
from srgan.refs import ModelRef
from srgan.services.s3 import S3Store
from tests.support.pool_worker import Worker

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its processes


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Nothing listens there. Else a run that waits looks 40 s for this cluster's job server,
        # which it does not have, or finds what another cluster left in /tmp/ray.
        patch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def run(
    store: S3Store,
    folder: Path,
    batches: int,
    plan: dict[int, dict[str, str]],
    name: str = "b",
    **config: int,
) -> None:
    (folder / "plan.json").write_text(json.dumps(plan))
    spec = UpscaleSpec(
        run=name,
        source="s3://b/photos",
        destination=str(folder),
        model=ModelRef(name="m", version=1, run="r", weights_digest="ab" * 32),
        config=UpscaleConfig.model_validate({"max_workers": 2, **config}),
        batches=tuple(range(batches)),
        release_version="1",
    )
    Pool(spec, Worker, store, "root-1", 0.0).run()


def attempts(folder: Path) -> dict[int, int]:
    batches = [int(path.name.partition("-")[0]) for path in folder.glob("*-*")]
    return {batch: batches.count(batch) for batch in sorted(set(batches))}


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


@pytest.mark.slow(group="parts")  # Ray starts three processes, one after the other
def test_workers_that_die_while_they_start_end_the_job(
    object_store: S3Store, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="3 workers died while they started"):
        run(object_store, tmp_path, 2, {}, "stillborn", max_workers=1)


def test_a_cluster_that_is_too_small_is_named_after_the_time_limit(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale_pool, "_FIRST_NOTE_S", 0.1)
    with pytest.raises(ClusterError, match=r"has 2 CPU, 3 CPU on one node .*SRGAN_CLUSTER_WAIT_S"):
        run(object_store, tmp_path, 2, {}, cpus_per_worker=3)


PLAIN, LARGE, SMALL = {"CPU": 64.0}, {"CPU": 32.0, "GPU": 4.0}, {"CPU": 12.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("config", "nodes", "use_gpu", "num_cpus"),
    [
        ({}, [PLAIN], False, 1),
        ({"cpus_per_worker": 3}, [PLAIN], False, 3),
        ({}, [PLAIN, LARGE], True, 8),
        ({}, [PLAIN, LARGE], False, 1),
        ({}, [LARGE, SMALL], True, 6),
        ({"cpus_per_worker": 2}, [LARGE], True, 2),
        ({}, [PLAIN], True, 1),
    ],
)
def test_a_worker_with_a_gpu_has_its_share_of_the_node(
    config: dict[str, object], nodes: list[dict[str, float]], use_gpu: bool, num_cpus: int
) -> None:
    given = UpscaleConfig.model_validate(config)
    assert upscale_pool.worker_cpus(given, nodes, use_gpu) == num_cpus
