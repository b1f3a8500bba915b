"""Reservation of a bulk run's worker, by the nodes that are up."""

import pytest

from srgan.config import UpscaleConfig
from srgan.jobs.node import room
from srgan.jobs.upscale_need import worker_cpus, worker_need

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
    assert worker_cpus(given, nodes, use_gpu) == num_cpus


GIB = 2**30
HEAD = {"node:__internal_head__": 1.0}


@pytest.mark.parametrize(
    ("nodes", "use_gpu", "memory_bytes"),
    [
        ([{"CPU": 2.0, "memory": 16 * GIB}], False, 3.25 * GIB),
        ([{"CPU": 2.0, "memory": 3 * GIB, **HEAD}], False, 2 * GIB),
        ([{"CPU": 1.0, "memory": 9.7 * GIB}, {"CPU": 1.0, "memory": 9.8 * GIB}], False, 3.25 * GIB),
        ([{"CPU": 2.0, "memory": 2 * GIB}, {"CPU": 2.0, "memory": 3 * GIB}], False, 2 * GIB),
        ([{"CPU": 2.0, "memory": 1 * GIB}, {"CPU": 2.0, "memory": 3 * GIB}], False, 3 * GIB),
        ([{"CPU": 0.0, "memory": 16 * GIB, **HEAD}], False, 0),
        ([{"CPU": 8.0, "memory": 64 * GIB}], True, 0),
        ([{"CPU": 8.0, "GPU": 1.0, "memory": 24 * GIB}], True, 12 * GIB),
        ([{"CPU": 64.0, "GPU": 8.0, "memory": 64 * GIB}], True, 8 * GIB),
        ([{"CPU": 4.0, "memory": 10 * GIB}], False, 2.5 * GIB),
        ([{"CPU": 4.0, "memory": 7 * GIB}], False, 7 * GIB // 3),
    ],
    ids=[
        "what it may take",
        "all that a laptop has beside the driver",
        "no more than it may take",
        "what each of two nodes has",
        "not as little as a node has where it cannot work",
        "none before there is a node with CPUs",
        "none before there is a node with a GPU",
        "a part for each CPU",
        "the share of its GPU",
        "the share of its CPU",
        "as much as the process needs, on three of four CPUs",
    ],
)
def test_a_worker_reserves_the_memory_that_it_may_take(
    nodes: list[dict[str, float]], use_gpu: bool, memory_bytes: float
) -> None:
    need = worker_need(UpscaleConfig(max_workers=8), nodes, use_gpu)
    assert need.memory_bytes == memory_bytes


def test_a_run_of_two_workers_shares_the_memory_of_a_node_by_two() -> None:
    node = {"CPU": 16.0, "memory": 32.0 * GIB}
    assert worker_need(UpscaleConfig(max_workers=2), [node], False).memory_bytes == 3.25 * GIB
    assert worker_need(UpscaleConfig(max_workers=16), [node], False).memory_bytes == 2 * GIB


def alike(least: float, step: float) -> list[dict[str, float]]:
    """Ten nodes for one worker each, whose memory differs a little."""
    return [{"CPU": 12.0, "memory": (least + step * number) * GIB} for number in range(10)]


@pytest.mark.parametrize("process", ["2GiB", "20GiB"], ids=["enough for it", "not enough"])
def test_nodes_that_differ_a_little_all_get_a_worker(process: str) -> None:
    config = UpscaleConfig.model_validate({"cpus_per_worker": 12, "memory_bytes": process})
    nodes = alike(9.7, 0.04)
    need = worker_need(config, nodes, use_gpu=False)
    assert need.memory_bytes == int(9.7 * GIB)
    assert room(nodes, need.bundle) == 10
    tiny = {"CPU": 12.0, "memory": 1.0 * GIB}
    assert worker_need(config, [tiny, *nodes], use_gpu=False) == need


@pytest.mark.parametrize(
    ("memory", "drivers", "reserved"),
    [(3.5, 1, 2.5), (3.5, 2, 1.5), (3.5, 3, 0.5), (3.5, 9, 0.5), (1.25, 1, 0.25), (1.25, 2, 0.25)],
)
def test_a_small_head_gives_what_it_has_beside_the_drivers_but_what_a_process_takes(
    memory: float, drivers: int, reserved: float
) -> None:
    head = {"CPU": 2.0, "memory": memory * GIB, **HEAD}
    need = worker_need(UpscaleConfig(), [head], False, drivers)
    assert need.memory_bytes == reserved * GIB
    elsewhere = {"CPU": 2.0, "memory": 16.0 * GIB}
    assert worker_need(UpscaleConfig(), [elsewhere], False, drivers).memory_bytes == 3.25 * GIB


@pytest.mark.parametrize("reserved", [0, 1, 2, 5, 12])
def test_images_that_wait_have_what_is_reserved_beside_the_process(reserved: int) -> None:
    config = UpscaleConfig(cpus_per_worker=8)
    assert config.worker_bytes(8) == 12 * GIB
    assert config.waiting_bytes(reserved * GIB) == max(0, reserved - 2) * GIB
